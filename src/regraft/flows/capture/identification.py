"""What a client says of its calls: the session's name and the purpose, by the table of known clients."""

from __future__ import annotations

from dataclasses import replace

from regraft.domain.capture.clients import ClientTable, KnownClients
from regraft.domain.capture.exchange import Identity
from regraft.domain.capture.request import Request
from regraft.domain.capture.side_calls import SideCallRules
from regraft.domain.ids import Digest, parse_json
from regraft.flows.lineage.history_cache import CachedStep
from regraft.infra.client_table import built_in_table

_CHAT = Identity().purpose
_MOST_PROMPTS = 4_096  # whose rules are remembered: clients send few different ones, again and again


class CallIdentifier:
    """Reads a client's own headers and fields. Threads may share it."""

    def __init__(self, table: ClientTable | None = None) -> None:
        self.table = table or built_in_table()
        self._clients = KnownClients(self.table.clients)
        self._rules = SideCallRules(self.table.side_calls)
        self._met: dict[tuple[Digest, ...], frozenset[str]] = {}

    def identified(self, who: Identity, request: Request, end: CachedStep | None) -> Identity:
        """The identity with the session's name, and the purpose if it is a side call. ``end``: of its history."""
        headers = parse_json(who.client_headers) if who.client_headers else {}
        name = self._clients.name(headers, request)
        if name:
            who = replace(
                who, client=name.client, client_session=name.session, agent=name.agent, parent_agent=name.parent_agent
            )
        if who.purpose != _CHAT or end is None:
            return who
        prompts, count = end.prompts, end.history.context.depth
        by_user = end.message.role == "user" and count > len(prompts)
        met = self._met_by_system(request, prompts)
        purpose = self._rules.purpose_under(met, headers, request, prompts=len(prompts), by_user=by_user)
        return replace(who, purpose=purpose) if purpose else who

    def _met_by_system(self, request: Request, prompts: tuple[Digest, ...]) -> frozenset[str]:
        met = self._met.get(prompts)
        if met is None:
            met = self._rules.met_by_system(request.messages[: len(prompts)])
            if len(self._met) >= _MOST_PROMPTS:
                self._met.clear()
            self._met[prompts] = met
        return met
