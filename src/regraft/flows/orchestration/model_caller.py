"""One model call through the gateway, for a plan or for a step of one; made again while that may help."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from regraft.domain.capture.answer import events, read_answer
from regraft.domain.capture.trace_context import TraceContext, span_of_step
from regraft.domain.errors import RegraftError, UpstreamError
from regraft.domain.ids import canonical_json, parse_json
from regraft.domain.orchestration.orchestration import TASKIFY
from regraft.domain.orchestration.plan import PLAN, REPAIR, judge
from regraft.domain.orchestration.prompt import words
from regraft.domain.orchestration.rule import Rule, ask, ask_again
from regraft.domain.orchestration.taskification import Assignment, Attempt, TaskifyResult, plan_header, settle
from regraft.infra.backoff import Backoff
from regraft.infra.llm.client import GatewayClient, StreamedReply
from regraft.infra.llm.upstream import Headers

BACKOFF = Backoff(0.25, 8.0)
_AGAIN = frozenset({408, 425, 429})
_EVENT_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")


class CallRefusedError(RegraftError):
    """The gateway or the model server refused the call; asking again will not help."""


@dataclass(slots=True)
class StepCost:
    """The cost of a step so far, even if it fails or is cancelled."""

    attempts: int = 0
    tool_calls: int = 0
    turn_ids: list[UUID] = field(default_factory=list)
    usages: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer: its message, and the call that gave it."""

    message: dict[str, Any]
    finish_reason: str | None
    turn_id: UUID | None

    @property
    def text(self) -> str:
        """The text of the message."""
        return words(self.message.get("content"))


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a streamed answer."""

    delta: dict[str, Any]
    finish_reason: str | None


class ModelCaller:
    """Makes the calls of one taskification. ``identity``: X-Regraft values that all of them carry.

    With a ``trace`` each call is in the trace of that span, under the span of its step.
    """

    def __init__(
        self,
        client: GatewayClient,
        taskification_id: UUID,
        identity: Mapping[str, str],
        headers: Headers | None = None,
        retries: int = 1,
        trace: TraceContext | None = None,
    ) -> None:
        self._client = client
        self._trace = trace
        self._taskification_id = taskification_id
        self._identity = identity
        self._headers = headers
        self._retries = retries

    async def ask(
        self, request: Mapping[str, Any], purpose: str, step: str, spent: StepCost, **more: str
    ) -> Completion:
        """A whole answer. Raises UpstreamError when there is none after all tries, RefusedError when none will help."""
        body, identity = canonical_json(dict(request)), self._who(purpose, step, more)
        for attempt in range(1 + self._retries):
            await asyncio.sleep(BACKOFF.spread(attempt))
            spent.attempts += 1
            try:
                reply = await self._client.chat(body, identity, self._headers_of(step))
                if reply.turn_id is not None:
                    spent.turn_ids.append(reply.turn_id)
                return _completion(reply.status, reply.body, reply.turn_id, spent)
            except UpstreamError:
                if attempt == self._retries:
                    raise
        raise AssertionError("unreachable")

    async def stream(
        self, request: Mapping[str, Any], purpose: str, step: str, spent: StepCost, silence: float
    ) -> AsyncGenerator[Delta, None]:
        """An answer unchanged; retried only before its first piece. ``silence``: seconds without a byte."""
        body, identity = canonical_json(dict(request)), self._who(purpose, step, {})
        for attempt in range(1 + self._retries):
            await asyncio.sleep(BACKOFF.spread(attempt))
            spent.attempts += 1
            began = False
            reply: StreamedReply | None = None
            try:
                async with asyncio.timeout(silence):
                    reply = await self._client.stream(body, identity, self._headers_of(step))
                if reply.turn_id is not None:
                    spent.turn_ids.append(reply.turn_id)
                async for delta in _deltas(reply, spent, silence):
                    began = True
                    yield delta
                return
            except (UpstreamError, TimeoutError) as error:
                if began or attempt == self._retries:
                    if isinstance(error, TimeoutError):
                        raise UpstreamError(f"The model sent nothing for {silence:g} s") from error
                    raise
            finally:
                if reply is not None:
                    reply.close()

    def _headers_of(self, step: str) -> Headers | None:
        if self._trace is None:
            return self._headers
        span = span_of_step(self._taskification_id, PLAN if step == REPAIR else step)
        header = TraceContext(self._trace.trace_id, span, self._trace.sampled).header()
        kept = [each for each in self._headers or () if each[0].lower() != b"traceparent"]
        return [*kept, (b"traceparent", header.encode())]

    def _who(self, purpose: str, step: str, more: Mapping[str, str]) -> dict[str, str]:
        return {
            **self._identity,
            "purpose": purpose,
            "plan": plan_header(self._taskification_id, step),
            **more,
        }


def _check(status: int, body: bytes) -> None:
    if status < 400:
        return
    error = read_answer(body, "").error
    said = error.get("message") if isinstance(error, Mapping) else error
    message = f"HTTP {status}: {str(said or 'without a word')[:300]}"
    if status >= 500 or status in _AGAIN:
        raise UpstreamError(message)
    raise CallRefusedError(message)


def _completion(status: int, body: bytes, turn_id: UUID | None, spent: StepCost) -> Completion:
    _check(status, body)
    answer = read_answer(body, "")
    if answer.usage:
        spent.usages.append(answer.usage)
    choice = answer.choices[0] if answer.choices else None
    if choice is None or choice.message is None:
        raise UpstreamError(f"The answer contains no message: {canonical_json(answer.error)[:300]}")
    return Completion(choice.message, choice.finish_reason, turn_id)


async def _deltas(reply: StreamedReply, spent: StepCost, silence: float) -> AsyncGenerator[Delta, None]:
    pieces = aiter(reply)
    if reply.status >= 400 or "event-stream" not in reply.content_type:
        body = b"".join([piece async for piece in pieces])
        whole = _completion(reply.status, body, reply.turn_id, spent)
        yield Delta(whole.message, whole.finish_reason)
        return
    waiting = b""
    while True:
        async with asyncio.timeout(silence):
            piece = await anext(pieces, b"")
        finished, waiting = _whole_events(waiting + piece) if piece else (waiting, b"")
        for data in events(finished.decode("utf-8", "replace")):
            if data.strip() == "[DONE]":
                continue
            for delta in _chunk(data, spent):
                yield delta
        if not piece:
            return


def _whole_events(data: bytes) -> tuple[bytes, bytes]:
    """The events that have come whole, and the beginning of the next."""
    end = max((0, *(at + len(mark) for mark in _EVENT_ENDS if (at := data.rfind(mark)) >= 0)))
    return data[:end], data[end:]


def _chunk(data: str, spent: StepCost) -> list[Delta]:
    try:
        chunk = parse_json(data)
    except ValueError as error:
        raise UpstreamError(f"The model server sent a chunk that is not JSON: {data[:100]}") from error
    if not isinstance(chunk, dict):
        return []
    if chunk.get("error"):
        raise UpstreamError(f"The model server ended the answer early: {canonical_json(chunk['error'])[:300]}")
    usage = chunk.get("usage")
    if isinstance(usage, dict):
        spent.usages.append(usage)
    choices = chunk.get("choices")
    found = []
    for choice in choices if isinstance(choices, list) else []:
        if isinstance(choice, dict) and choice.get("index", 0) == 0:
            delta = choice.get("delta")
            reason = choice.get("finish_reason")
            found.append(Delta(delta if isinstance(delta, dict) else {}, reason if isinstance(reason, str) else None))
    return found


async def make_plan(
    model_caller: ModelCaller,
    assignment: Assignment,
    rule: Rule,
    model: str,
    prompt: str,
    workers: Sequence[str],
    spent: StepCost,
    timeout: float,
) -> TaskifyResult:
    """Request a plan, and once more with its problems. Never raises for what the model or its server does."""
    request = ask(rule, model, prompt, dict.fromkeys(workers, ""), assignment.max_subtasks)
    attempts: list[Attempt] = []
    for step in (PLAN, REPAIR):
        before = len(spent.turn_ids)
        try:
            async with asyncio.timeout(timeout):
                said = await model_caller.ask(request, TASKIFY, step, spent, variant=assignment.label())
        except (UpstreamError, CallRefusedError, TimeoutError) as error:
            why = str(error) or f"no answer in {timeout:g} s"
            turns: list[UUID | None] = [*spent.turn_ids[before:]] or [None]
            attempts += [Attempt(step, turn, None, why) for turn in turns]
            break
        attempts += [Attempt(step, turn, None, "the call failed") for turn in spent.turn_ids[before:-1]]
        attempts.append(Attempt(step, said.turn_id, said.text))
        if settle(assignment, attempts, finished=False) is not None:
            break
        _, problems = judge(said.text, assignment.workers, assignment.max_subtasks)
        request = ask_again(request, rule, said.text, problems)
    settled = settle(assignment, attempts, finished=True)
    assert settled is not None
    return settled
