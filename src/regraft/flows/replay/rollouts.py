"""Rollouts: a replay job that continues past its first answer, along the record, with its tools answered by an oracle.

``Rollouts.grow`` is what ``flows.replay.run`` is given. Every call goes through the gateway, and says in its variant
which rollout it belongs to and how true that is so far, so that the graph derives the same from the log alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from regraft.domain.capture.dialects import CHAT, dialect_of
from regraft.domain.capture.endings import ending_of
from regraft.domain.capture.message import text_of
from regraft.domain.capture.request import Request
from regraft.domain.errors import ConfigError, RegraftError, UnavailableError, UpstreamError, UsageError
from regraft.domain.ids import canonical_json, digest, parse_json
from regraft.domain.lineage.difference import tool_names
from regraft.domain.replay.budget import TokenSpend
from regraft.domain.replay.experiment import Experiment
from regraft.domain.replay.job import LONGEST_LABEL, Job
from regraft.domain.replay.recording import RecordedConversation
from regraft.domain.replay.rollout import (
    ERROR,
    USER_ENDED,
    AskModel,
    Need,
    RolloutBranch,
    RolloutEnd,
    Tools,
    persona_request,
    sent_back,
    user_ended,
)
from regraft.domain.replay.tool_results import (
    POLICIES,
    SIMULATED,
    OrderedResults,
    StrictResults,
    ToolCall,
    ToolOracle,
    UnservedCall,
)
from regraft.flows.replay.execution import Grow, JobResult, identity_of, refusal, run_single_call, spent_in
from regraft.flows.replay.recorded_conversations import read_record
from regraft.flows.replay.tool_oracles import LiveTools, SimulatedTools
from regraft.infra.llm.client import GatewayReply
from regraft.infra.llm.retrying_client import RetryingClient
from regraft.infra.postgres.pool import transaction
from regraft.infra.postgres.replay import rollouts as store

if TYPE_CHECKING:
    from regraft.infra.config.tool_server import ToolServerSection

MOST_TURNS = 100  # answers of a rollout without its own limit: an agent may go round in circles
WORKER = "worker"  # the purpose of calls to a model that simulates a tool or a user
_SOURCES_TOLD = 40  # results of one step whose sources a call tells


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutOptions:
    """The length of a rollout, and what is simulated. ``toward`` is the node whose path is followed; None: the longest.

    ``persona`` is the prompt of a simulated user; None: no user is simulated. ``simulator`` is the model that
    plays it, and tools under the policy ``simulated``; empty: the job's own.
    """

    policy: str = "strict"
    max_turns: int = MOST_TURNS
    toward: UUID | None = None
    persona: str | None = None
    simulator: str = ""
    servers: Mapping[str, ToolServerSection] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises UsageError or ConfigError for what makes no sense."""
        if self.policy not in POLICIES:
            raise UsageError(f"--tools is one of {', '.join(POLICIES)}, not {self.policy!r}.")
        if self.max_turns < 1:
            raise UsageError(f"A rollout has at least 1 answer, not {self.max_turns}.")
        if self.policy == "live" and not self.servers:
            raise ConfigError("Live tools need a tool server: name one in the settings, as [tools.NAME].")
        if self.persona is not None and not self.persona.strip():
            raise UsageError("The persona of a simulated user is empty.")

    def growth(self) -> str:
        """What of this makes another job of the same call, for the fingerprint."""
        persona = digest(canonical_json(self.persona).encode()).hex()[:16] if self.persona is not None else ""
        simulator = self.simulator if persona or self.policy == SIMULATED else ""
        return f"rollout {self.policy} {self.max_turns} {self.toward or ''} {persona} {simulator}"

    def describe(self) -> dict[str, Any]:
        """All of it but the tool servers, as a JSON object."""
        toward = str(self.toward) if self.toward is not None else None
        return {
            "policy": self.policy,
            "max_turns": self.max_turns,
            "toward": toward,
            "persona": self.persona,
            "simulator": self.simulator,
        }

    @classmethod
    def of(cls, described: Mapping[str, Any], servers: Mapping[str, ToolServerSection]) -> RolloutOptions:
        """The options that ``describe`` gave, with the tool servers that there are now."""
        toward = UUID(described["toward"]) if described["toward"] is not None else None
        return cls(**{**described, "toward": toward}, servers=servers)


Watch = Callable[[Job, Mapping[str, Any]], None]


def growing(
    dsn: str,
    asked: Experiment,
    nodes: Collection[UUID],
    servers: Mapping[str, ToolServerSection],
    watch: Watch | None = None,
) -> Grow:
    """How the jobs of an experiment at these nodes are grown. Raises UsageError where that cannot be known or done."""
    if asked.rollout is None:
        if asked.growth:
            raise UsageError(
                "This plan was stored without its options, by an older version: give them to `regraft replay --resume`."
            )
        return run_single_call
    rollouts = Rollouts(dsn, RolloutOptions.of(asked.rollout, servers), watch)
    rollouts.check(nodes)
    return rollouts.grow


class Rollouts:
    """Runs jobs. ``watch`` is called with the end of each: the columns of the table ``rollout``."""

    def __init__(self, dsn: str, options: RolloutOptions, watch: Watch | None = None) -> None:
        self._dsn = dsn
        self._options = options
        self._watch = watch
        self._records: dict[UUID, asyncio.Task[RecordedConversation]] = {}

    def check(self, nodes: Collection[UUID]) -> None:
        """Raises UsageError when the path to follow does not go through one of these nodes."""
        if self._options.toward is not None:
            for node in nodes:
                self._read(node)

    async def grow(self, caller: RetryingClient, job: Job) -> JobResult:
        """A job, from its first call to its last. A branch that the record ends is not a failure; a call that fails
        is."""
        try:
            one = _Rollout(caller, job, await self._record(job.origin.node_id), self._options)
        except RegraftError as error:
            return JobResult(failure=str(error))
        stop = await one.run()
        row = one.row(stop)
        try:
            await asyncio.to_thread(self._save, row)
        except UnavailableError as error:
            return JobResult(turns=tuple(one.turns), failure=str(error), spent=one.spent)
        if self._watch:
            self._watch(job, row)
        failure = stop.detail if stop.reason == ERROR else None
        return JobResult(turns=tuple(one.turns), failure=failure, spent=one.spent)

    def _save(self, row: Mapping[str, Any]) -> None:
        with transaction(self._dsn) as connection:
            store.save(connection, dict(row), datetime.now(UTC))

    async def _record(self, node: UUID) -> RecordedConversation:
        if node not in self._records:
            self._records[node] = asyncio.create_task(asyncio.to_thread(self._read, node))
        return await self._records[node]

    def _read(self, node: UUID) -> RecordedConversation:
        with transaction(self._dsn) as connection:
            return read_record(connection, node, self._options.toward)


class _Rollout:
    """One branch while it runs."""

    def __init__(self, caller: RetryingClient, job: Job, record: RecordedConversation, options: RolloutOptions) -> None:
        self.rollout_id = uuid4()
        self.turns: list[UUID] = []
        self.spent = TokenSpend()
        self._caller = caller
        self._job = job
        self._options = options
        self._request = dialect_of(job.endpoint).read_request(job.body.encode())
        self._branch = RolloutBranch(
            record=record,
            recorded=record.results(),
            history=list(self._request.messages),
            literal=options.policy != "live",
            max_turns=options.max_turns,
            simulated_user=options.persona is not None,
        )

    async def run(self) -> RolloutEnd:
        """Grow it to its end, and say why it ended."""
        try:
            async with self._oracle() as oracle:
                need: Need = AskModel()
                while not isinstance(need, RolloutEnd):
                    need = await self._next(need, oracle)
                return need
        except RegraftError as error:
            return RolloutEnd(ERROR, str(error))

    async def _next(self, need: Need, oracle: ToolOracle) -> Need:
        branch = self._branch
        if isinstance(need, Tools):
            answers = []
            for call in need.calls:
                answers.append(await oracle.serve(call))
                if isinstance(answers[-1], UnservedCall):
                    break
            return branch.served(answers)
        if isinstance(need, AskModel):
            return await self._ask()
        text = await self._stand_in("user", persona_request(self._options.persona or "", branch.history))
        return (
            RolloutEnd(USER_ENDED, "the simulated user had no more to say") if user_ended(text) else branch.said(text)
        )

    async def _ask(self) -> Need:
        first = not self.turns
        body = self._job.body if first else self._body(replace(self._request, messages=list(self._branch.history)))
        reply = await self._caller.post(self._job.endpoint, body, self._identity(first), self._job.model)
        if reply.turn_id:
            self.turns.append(reply.turn_id)
        if reply.status >= 400:
            return RolloutEnd(ERROR, refusal(reply))
        self.spent += spent_in(reply, self._job.endpoint)
        answer = dialect_of(self._job.endpoint).answer(reply.body, reply.content_type, self._request)
        choice = answer.choices[0] if answer.choices else None
        if choice is None or choice.message is None:
            return RolloutEnd(ERROR, "The model server's answer holds no message.")
        if answer.error or ending_of(choice.finish_reason) == "failed":
            return RolloutEnd(ERROR, f"The model server broke off: {answer.error or choice.finish_reason}"[:300])
        if choice.unattributed or answer.unread:
            return RolloutEnd(ERROR, "The pieces of the model server's answer cannot be put together for certain.")
        message = sent_back(choice.message) if self._job.endpoint == CHAT else choice.message
        return self._branch.answered(message, choice.finish_reason)

    def _body(self, request: Request) -> str:
        return dialect_of(self._job.endpoint).standalone(request).decode()

    def _identity(self, first: bool) -> dict[str, str]:
        """The headers of a call. All but the first grow from the one before: its turn is the parent that they name."""
        identity = identity_of(self._job)
        identity["variant"] = self._variant(identity["variant"] if first else "{}")
        if not first:
            del identity["replay-node"]
            identity["parent-node"] = str(self.turns[-1])
        return identity

    def _variant(self, label: str) -> str:
        """What is changed, and how true to the record the branch is that the call is made with. Never too long."""
        branch = self._branch
        told: dict[str, Any] = {
            "id": str(self.rollout_id),
            "step": branch.answers + 1,
            "tools": self._options.policy,
            "results": branch.results,
            "exact": branch.exact,
        }
        if 0 < len(branch.latest) <= _SOURCES_TOLD:
            told["sources"] = branch.latest
        if self._options.persona is not None:
            told["user"] = SIMULATED
        # The fingerprint in the log would say that the job is done. Which call finishes it is known when it has ended.
        changes = {key: value for key, value in parse_json(label).items() if key != "fingerprint"}
        parted = branch.first.describe() if branch.first else None
        short = {key: value for key, value in (parted or {}).items() if key not in ("before", "after")}
        text = ""
        for change, where in ((changes, parted), ({}, parted), ({}, short)):
            more = {"divergence": where} if where else {}
            text = canonical_json({**change, "rollout": {**told, **more}})
            if len(text.encode()) <= LONGEST_LABEL:
                break
        return text

    @asynccontextmanager
    async def _oracle(self) -> AsyncIterator[ToolOracle]:
        """The oracle of this branch. Live tools have their own processes, so that branches share no state."""
        recorded = self._branch.recorded
        if self._options.policy == "live":
            from regraft.infra.mcp.servers import ToolServers

            async with ToolServers(self._options.servers) as servers:
                yield LiveTools(servers, recorded)
        elif self._options.policy == "simulated":
            yield SimulatedTools(self.stand_in_for, recorded, tool_names(self._request.tools))
        else:
            yield OrderedResults(recorded) if self._options.policy == "recorded" else StrictResults(recorded)

    async def stand_in_for(self, call: ToolCall, messages: list[dict[str, Any]]) -> str:
        """The result that a model simulates for a tool."""
        return await self._stand_in(f"tool {call.name}", messages)

    async def _stand_in(self, whom: str, messages: list[dict[str, Any]]) -> str:
        model = self._options.simulator or self._job.model
        identity = {
            "session": f"simulated {self.rollout_id}",
            "purpose": WORKER,
            "variant": canonical_json({"simulated": whom[:100], "rollout": {"id": str(self.rollout_id)}}),
        }
        body = canonical_json({"model": model, "messages": messages})
        reply: GatewayReply = await self._caller.post(CHAT, body, identity, model)
        if reply.status >= 400:
            raise UpstreamError(f"The model that simulates the {whom} failed: {refusal(reply)}")
        self.spent += spent_in(reply, CHAT)
        choices = dialect_of(CHAT).read_answer(reply.body, reply.content_type).choices
        return text_of(choices[0].message) if choices else ""

    def row(self, stop: RolloutEnd) -> dict[str, Any]:
        """How it ended, as the table ``rollout`` holds it."""
        branch = self._branch
        return {
            "rollout_id": self.rollout_id,
            "fingerprint": self._job.fingerprint,
            "session_id": self._job.origin.session_id,
            "node_id": self._job.origin.node_id,
            "turn_ids": list(self.turns),
            "policy": self._options.policy,
            "simulated_user": self._options.persona is not None,
            "stop_reason": stop.reason,
            "stop_detail": stop.detail,
            "steps": branch.answers,
            "tool_sources": dict(branch.sources),
            "drift": list(branch.notes),
            "fidelity": branch.fidelity,
            "first_divergence": branch.first.describe() if branch.first else None,
        }
