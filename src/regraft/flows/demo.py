"""The demo's conversations: short, on three themes, held with a real model through the gateway by the official client.

No session id is sent: the graph finds the conversations by their content. A turn that was already captured is not asked
again, so a second run adds nothing, and a run that was killed continues where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import openai

from regraft.domain.capture.message import text_of
from regraft.domain.errors import UpstreamError
from regraft.domain.ids import SessionId, parse_json
from regraft.domain.lineage.history import Context, read_history, session_by_opening
from regraft.flows.capture.waiting import wait_until_stored
from regraft.infra.gateway_endpoint import GatewayEndpoint
from regraft.infra.llm.client import KeyRefusedError, key_refused, refuses_key
from regraft.infra.postgres import demo as store
from regraft.infra.postgres.lineage import projection
from regraft.infra.postgres.pool import connect, reading_from

SCOPE = "default"
MAX_TOKENS = 96


@dataclass(frozen=True, slots=True)
class Script:
    """One conversation to hold: a theme, an instruction, and what the user says turn by turn."""

    theme: str
    system: str
    says: tuple[str, ...]
    temperature: float = 0.7
    streamed: bool = False

    def opening(self) -> list[dict[str, Any]]:
        """The messages of the first call."""
        return [{"role": "system", "content": self.system}, {"role": "user", "content": self.says[0]}]


_SCIENCE = "You explain science to curious people in two short sentences."
_TRAVEL = "You help to plan small trips. Be concrete and brief."
_PYTHON = "You teach Python to beginners. Keep answers short."

SCRIPTS = (
    Script(
        "everyday-science",
        _SCIENCE,
        ("Why is the sky blue?", "And why is it red at sunset?", "Would it be blue on Mars?"),
    ),
    Script(
        "everyday-science",
        _SCIENCE,
        ("Why does ice float on water?", "What would happen to lakes if it sank?", "Name another solid that floats."),
        streamed=True,
    ),
    Script(
        "everyday-science",
        _SCIENCE,
        ("What makes bread rise?", "Can I do it without yeast?"),
    ),
    Script(
        "small-trips",
        _TRAVEL,
        ("Suggest a day trip by train from Lyon.", "What should I pack?", "Make it work for two children."),
    ),
    Script(
        "small-trips",
        _TRAVEL,
        ("Plan a rainy afternoon in a museum.", "Where could we eat after that?", "Sum the plan up in one line."),
        streamed=True,
    ),
    Script(
        "small-trips",
        _TRAVEL,
        ("I have two hours in a new city. What do I do?", "And if it is evening?"),
    ),
    Script(
        "python-basics",
        _PYTHON,
        ("What is a list in Python?", "How do I add an item to it?", "And how do I remove one?"),
        streamed=True,
    ),
    Script(
        "python-basics",
        _PYTHON,
        ("What does a for loop do?", "Show me one over the numbers 1 to 3."),
    ),
)


@dataclass(frozen=True, slots=True)
class DemoConversation:
    """``asked`` calls were made now; ``found`` were captured by an earlier run."""

    session_id: SessionId
    theme: str
    asked: int
    found: int


def turns() -> int:
    """How many turns the demo has in all."""
    return sum(len(script.says) for script in SCRIPTS)


def hold(
    dsn: str, gateway: GatewayEndpoint, model: str, said: Callable[[str], None], keep: Callable[[], None] | None = None
) -> list[DemoConversation]:
    """Hold every conversation; ``said`` is called for each turn. Returns when all of them are stored."""
    client = openai.OpenAI(
        base_url=f"{gateway.url}/v1", api_key=gateway.key or "not-needed-on-loopback", timeout=300, max_retries=0
    )
    with connect(dsn, autocommit=True) as connection, client:
        version = projection.held(connection)
        talks: list[DemoConversation] = []
        calls: list[UUID] = []
        for number, script in enumerate(SCRIPTS):
            session = _session(script, version)
            asked = 0
            for messages, seed in _turns(script, number):
                place = _place(messages, version)
                known = store.stored_answer(connection, session, place.projection_id)
                if known is None:
                    answer, call = _ask(client, gateway, script, model, messages, seed)
                    calls.append(call)
                    asked += 1
                else:
                    answer = text_of(parse_json(known))
                messages.append({"role": "assistant", "content": answer})
                said(script.theme)
            talks.append(DemoConversation(session, script.theme, asked, len(script.says) - asked))
    wait_until_stored(dsn, calls, keep)
    return talks


def _session(script: Script, version: int) -> SessionId:
    return session_by_opening(SCOPE, _place(script.opening(), version).projection_id)


def _place(messages: list[dict[str, Any]], version: int) -> Context:
    return read_history(SCOPE, messages, version).history.context


def _turns(script: Script, number: int) -> Iterator[tuple[list[dict[str, Any]], int]]:
    messages = script.opening()
    yield messages, 1000 * number
    for place, text in enumerate(script.says[1:], start=1):
        messages.append({"role": "user", "content": text})
        yield messages, 1000 * number + place


def _ask(
    client: openai.OpenAI,
    gateway: GatewayEndpoint,
    script: Script,
    model: str,
    messages: list[dict[str, Any]],
    seed: int,
) -> tuple[str, UUID]:
    asked: dict[str, Any] = {
        "model": model,
        "messages": messages,
        "temperature": script.temperature,
        "max_tokens": MAX_TOKENS,
        "seed": seed,
        "extra_headers": {"X-Regraft-Theme": script.theme},
    }
    try:
        if not script.streamed:
            whole = client.chat.completions.with_raw_response.create(**asked)
            answer = whole.parse().choices[0].message.content or ""
            return answer, UUID(whole.headers["x-regraft-turn"])
        asked |= {"stream": True, "stream_options": {"include_usage": True}}
        raw = client.chat.completions.with_raw_response.create(**asked)
        pieces = [chunk.choices[0].delta.content or "" for chunk in raw.parse() if chunk.choices]
        return "".join(pieces), UUID(raw.headers["x-regraft-turn"])
    except openai.OpenAIError as error:
        if isinstance(error, openai.AuthenticationError) and refuses_key(error.response.content):
            raise KeyRefusedError(key_refused(gateway)) from error
        raise UpstreamError(f"The demo's call failed: {error}. See `regraft doctor`.") from error


def first_answers(dsn: str, sessions: Collection[UUID]) -> dict[UUID, UUID]:
    """By session the node of its first answer."""
    with reading_from(dsn) as connection:
        return store.replayable(connection, sessions)
