"""Conversations held through a real gateway: tools, branches, a compaction, a sub-agent, images, failures, outcomes."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from support.messages import assistant, system, told, user
from support.shop_model import FAILING

Message = dict[str, Any]
ORDER_TOOL = {
    "type": "function",
    "function": {
        "name": "look_up_order",
        "description": "The state of an order",
        "parameters": {
            "type": "object",
            "properties": {"order": {"type": "string"}, "why": {"type": "string"}},
            "required": ["order"],
        },
    },
}
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
_SHOP = "You help the customers of a bicycle shop. Be short, friendly and exact."
_TASK = "Find every order of the last month whose brake was replaced, and list number, day and price of each of them."


class Client:
    """Calls the gateway as a client would. ``turns`` are the calls that it made."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.turns: list[UUID] = []

    def call(
        self, messages: list[Message], headers: dict[str, str] | None = None, **settings: Any
    ) -> tuple[UUID, Message]:
        """The turn of a call, and the message that came back; an empty one where the server failed."""
        status, turn, reply = self.post(
            "/v1/chat/completions", {"model": "small", "messages": messages, **settings}, headers
        )
        self.turns.append(UUID(turn))
        if status != 200 or settings.get("stream"):
            return self.turns[-1], {}
        return self.turns[-1], json.loads(reply)["choices"][0]["message"]

    def post(self, path: str, body: Message, headers: dict[str, str] | None = None) -> tuple[int, str, bytes]:
        """The status, the turn and the body of an answer of the gateway."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            sent = {"Content-Type": "application/json", **(headers or {})}
            connection.request("POST", path, json.dumps(body), sent)
            answer = connection.getresponse()
            return answer.status, answer.headers.get("x-regraft-turn", ""), answer.read()

    def reward(self, turn: UUID, value: float) -> None:
        """Report what an answer came to."""
        status, _, body = self.post("/v1/feedback", {"turn_id": str(turn), "reward": value, "source": "shop-rules"})
        assert status == 202, body


def named(session: str, theme: str = "returns", **more: str) -> dict[str, str]:
    """The headers of a call of this session and theme; ``task="x"`` adds X-Regraft-Task."""
    others = {f"X-Regraft-{name.title().replace('_', '-')}": value for name, value in more.items()}
    return {"X-Regraft-Session": session, "X-Regraft-Theme": theme, **others}


def hold_all(client: Client) -> None:
    """Every conversation of the shop."""
    for hold in (_returns, _order, _long_talk, _compacted, _delegated, _picture_and_failure, _streamed):
        for _ in hold(client):
            pass


def _returns(client: Client) -> Iterator[UUID]:
    """One question, answered eight times: retries, another model, another temperature, another prompt, two choices."""
    who = named("returns-desk")
    opening = [system(_SHOP), user("How long may I return a bicycle?")]
    first, answer = client.call(opening, who)
    rewarded = [first]
    rewarded += [client.call(opening, who)[0] for _ in range(2)]
    rewarded += [client.call(opening, who, model="large")[0], client.call(opening, who, model="thinker")[0]]
    rewarded += [client.call(opening, who, temperature=1.2)[0], client.call(opening, who, n=2)[0]]
    client.call([system("Answer in one word."), opening[1]], who)
    history = [*opening, answer]
    for text in ("And if I rode it in the rain?", "What about the lock?", "Thank you. Who do I write to?"):
        history.append(user(text))
        turn, answer = client.call(history, who)
        if "lock" in text:
            client.call([*history[:-1], user("What about the bell?")], who)
        history.append(answer)
        yield turn
    for at, turn in enumerate(rewarded):
        client.reward(turn, float(at % 3 != 1))


def _order(client: Client) -> Iterator[UUID]:
    """A tool is called, and its result is answered."""
    who = named("order-status", "orders")
    history: list[Message] = [system(_SHOP)]
    for text in ("Where is my order R-1001?", "And the second one, R-1002?"):
        history.append(user(text))
        turn, asked = client.call(history, who, tools=[ORDER_TOOL])
        yield turn
        identity = asked["tool_calls"][0]["id"]
        result = json.dumps({"order": text[-6:-1], "state": "sent", "days": 2, "items": [{"name": "brake", "n": 1}]})
        history += [asked, told(identity, result)]
        turn, answer = client.call(history, who, tools=[ORDER_TOOL])
        history.append(answer)
        yield turn


def _long_talk(client: Client) -> Iterator[UUID]:
    """Thirty turns, with a fork at the tenth."""
    who = named("long-repair", "repairs")
    history: list[Message] = [system(_SHOP)]
    for number in range(30):
        history.append(user(f"Step {number}: the gear still makes a noise. What do I do next?"))
        turn, answer = client.call(history, who)
        if number == 9:
            client.call([*history[:-1], user("Step 9: now the chain fell off.")], who)
        history.append(answer)
        yield turn


def _compacted(client: Client) -> Iterator[UUID]:
    """A client replaces its history by a summary, and continues."""
    history: list[Message] = [system("You mend builds.")]
    for number in range(5):
        history.append(user(f"The build of module {number} fails since the lock file names a package twice."))
        turn, answer = client.call(history)
        history.append(answer)
        yield turn
    kept = [history[0], user("Summary: five modules failed for the same reason; all were mended."), *history[-2:]]
    for number in range(2):
        kept.append(user(f"The build fails again ({number})."))
        turn, answer = client.call(kept)
        kept.append(answer)
        yield turn


def _delegated(client: Client) -> Iterator[UUID]:
    """An agent gives a task to another one, which answers it."""
    tool = {"type": "function", "function": {"name": "delegate", "description": "Ask a helper", "parameters": {}}}
    asked = [system("You lead helpers."), user(_TASK)]
    turn, calls = client.call(asked, tools=[tool])
    yield turn
    turn, found = client.call([system("You look things up."), user(_TASK)])
    yield turn
    history = [*asked, calls, told(calls["tool_calls"][0]["id"], found["content"])]
    turn, _ = client.call(history, tools=[tool])
    yield turn


def _picture_and_failure(client: Client) -> Iterator[UUID]:
    parts = [
        {"type": "text", "text": "What is wrong with this wheel?"},
        {"type": "image_url", "image_url": {"url": PIXEL}},
    ]
    who = named("photo-of-a-wheel", "repairs", task="inspect")
    turn, answer = client.call([user("hello"), assistant("Hello!"), {"role": "user", "content": parts}], who)
    yield turn
    history = [user("hello"), assistant("Hello!"), {"role": "user", "content": parts}, answer, user(FAILING)]
    yield client.call(history, who)[0]


def _streamed(client: Client) -> Iterator[UUID]:
    who = named("streamed-question", "orders")
    yield client.call([system(_SHOP), user("Can I pay by invoice?")], who, stream=True)[0]
