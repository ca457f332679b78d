"""How clients name their sessions: a table of known clients, applied to a call's headers and body fields.

A name separates conversations that open with the same words; it never joins conversations that the messages separate.
The table itself is data (``clients.toml``), and a config adds to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from regraft.domain.capture.request import Request
from regraft.domain.capture.side_calls import SideCallRule
from regraft.domain.ids import parse_json

LONGEST_NAME = 1024  # characters; a longer text is not a name
_UNPRINTABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class NameSource:
    """A place where a client puts a name: a request ``header``, or a ``field`` of the JSON body (``metadata.chat_id``).

    Of the text found there, the name is what comes ``after`` a mark, or the value of a ``key`` where the text is a JSON
    object. Without either, it is the whole text.
    """

    header: str = ""
    field: str = ""
    after: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownClient:
    """Where one client names the session of a call, the agent that makes it, and the agent that started that one."""

    name: str
    session: tuple[NameSource, ...]
    agent: tuple[NameSource, ...] = ()
    parent_agent: tuple[NameSource, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientName:
    """What a client called the session of a call. ``agent`` is None for the agent that the user speaks to."""

    client: str
    session: str
    agent: str | None = None
    parent_agent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTable:
    """Known clients in the order in which they are tried, and the rules that tell their side calls."""

    clients: tuple[KnownClient, ...] = ()
    side_calls: tuple[SideCallRule, ...] = ()

    @property
    def headers(self) -> frozenset[str]:
        """The lower-case names of all request headers that are looked at."""
        sources = (source for each in self.clients for source in (*each.session, *each.agent, *each.parent_agent))
        rules = (name.lower() for rule in self.side_calls for name, _ in rule.headers)
        return frozenset({*(source.header.lower() for source in sources if source.header), *rules})


class KnownClients:
    """Known clients in the order in which they are tried, made ready to be searched for in many calls."""

    def __init__(self, clients: Iterable[KnownClient]) -> None:
        self._clients = [(each, _places(each.session)) for each in clients]

    def name(self, headers: Mapping[str, str], request: Request) -> ClientName | None:
        """The name of the first client that names the call's session. ``headers`` have lower-case names."""
        given = {*headers, *request.other, *request.sampling, *request.tools}
        for client, places in self._clients:
            if places.isdisjoint(given):
                continue
            session = _first(client.session, headers, request)
            if session:
                return ClientName(
                    client=client.name,
                    session=session,
                    agent=_first(client.agent, headers, request),
                    parent_agent=_first(client.parent_agent, headers, request),
                )
        return None


def _places(sources: Iterable[NameSource]) -> frozenset[str]:
    """The headers, and the fields of the body by the first step of their paths."""
    return frozenset(source.header.lower() or source.field.partition(".")[0] for source in sources)


def _first(sources: Iterable[NameSource], headers: Mapping[str, str], request: Request) -> str | None:
    for source in sources:
        found = headers.get(source.header.lower()) if source.header else _field(request, source.field)
        if found is not None and (name := _name(found, source)):
            return name
    return None


def _field(request: Request, path: str) -> Any:
    first, *rest = path.split(".")
    for part in (request.other, request.sampling, request.tools):
        if first in part:
            value: Any = part[first]
            for step in rest:
                value = value.get(step) if isinstance(value, Mapping) else None
            return value
    return None


def _name(found: Any, source: NameSource) -> str | None:
    if isinstance(found, int) and not isinstance(found, bool):
        found = str(found)
    if not isinstance(found, str):
        return None
    if source.after:
        _, mark, found = found.rpartition(source.after)
        if not mark:
            return None
    elif source.key:
        found = _member(found, source.key)
    if not isinstance(found, str):
        return None
    name = found.strip()
    return name if 0 < len(name) <= LONGEST_NAME and not _UNPRINTABLE.search(name) else None


def _member(text: str, key: str) -> Any:
    if len(text) > 4 * LONGEST_NAME or not text.lstrip().startswith("{"):
        return None
    try:
        document = parse_json(text)
    except (ValueError, RecursionError):
        return None
    return document.get(key) if isinstance(document, dict) else None
