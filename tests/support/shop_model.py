"""A scripted model server that answers as a shop's assistant, in whole and in streams, and as a judge of pairs."""

from __future__ import annotations

import json
import threading
from typing import Any

from support.judge_model import SHOWN
from support.messages import assistant, calling
from support.scripted_upstream import Pause, Script, Seen, chunked, plain

MODELS = ("small", "large", "thinker", "judge")
FAILING = "please fail"  # what the last message says for the server to be out of order
_DAYS = ("30 days", "30 days", "14 days", "30 days", "60 days")
_ANSWERS = (
    "You may return it within **{days}**, if never ridden.\n\n- Bring the receipt.\n\n```python\nd = {days!r}\n```",
    "Within {days}. Bring the receipt, and we give you the money back on the spot.",
    "Returns are possible for {days} after the purchase. After that we repair it at no cost within the warranty.",
)


class ShopModel:
    """``asked`` is what came. ``said`` is the text of the next answers where a test sets it, ``pause`` the seconds
    between the pieces of a stream, ``thinks`` those before a whole answer."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.said: str | None = None
        self.pause = 0.0
        self.thinks = 0.0
        self._lock = threading.Lock()

    def __call__(self, seen: Seen) -> Script:
        """The answer to a request."""
        if seen.path.endswith("/models"):
            data = [{"id": name, "object": "model", "owned_by": "tests"} for name in MODELS]
            return plain(200, json.dumps({"object": "list", "data": data}).encode())
        asked = json.loads(seen.body)
        with self._lock:
            self.asked.append(asked)
            number = len(self.asked)
        last = str(asked["messages"][-1].get("content"))
        if FAILING in last:
            return plain(503, b'{"error":{"message":"The model is out of memory.","type":"server_error"}}')
        message = self._message(asked, last, number)
        usage = {"prompt_tokens": 40 + len(last) // 4, "completion_tokens": 30 + number % 50}
        head = {"id": f"chatcmpl-{number}", "model": asked["model"], "system_fingerprint": f"fp-{asked['model']}"}
        if asked.get("stream"):
            return self._stream(head, message, usage)
        choices = [{"index": 0, "finish_reason": "stop", "message": message}]
        choices += [
            {"index": at, "finish_reason": "stop", "message": assistant(self._text(number + at))}
            for at in range(1, asked.get("n") or 1)
        ]
        whole = plain(200, json.dumps({**head, "choices": choices, "usage": usage}).encode())
        return Script((Pause(self.thinks), *whole.steps)) if self.thinks else whole

    def _message(self, asked: dict[str, Any], last: str, number: int) -> dict[str, Any]:
        shown = {part["name"]: part["text"] for part in SHOWN.finditer(last)}
        if "first answer" in shown:
            return assistant(json.dumps(self._judgement(shown)))
        if asked.get("tools") and asked["messages"][-1]["role"] == "user":
            name = asked["tools"][0]["function"]["name"]
            return calling(f"call_{number:06d}", name, order=f"R-{number:04d}", why=last)
        message = assistant(self._text(number))
        if asked["model"] == "thinker":
            message["reasoning_content"] = "The customer asks about returns. The rule says thirty days; I check twice."
        return message

    def _text(self, number: int) -> str:
        if self.said is not None:
            return self.said
        days = _DAYS[number % len(_DAYS)]
        return f"{_ANSWERS[number % len(_ANSWERS)].format(days=days)} (answer {number})"

    @staticmethod
    def _judgement(shown: dict[str, str]) -> dict[str, str]:
        """Prefers the answer that is about the question, except where that one is short."""
        first, second = shown["first answer"], shown["second answer"]
        good = "first" if "depends" not in first else "second"
        short = min(len(first), len(second)) % 7 == 0
        place = {"first": "second", "second": "first"}[good] if short else good
        return {"because": f"The {place} answer is about the question.", "preference": place}

    def _stream(self, head: dict[str, Any], message: dict[str, Any], usage: dict[str, int]) -> Script:
        words = (message["content"] or "").split(" ")
        deltas: list[dict[str, Any]] = [{"role": "assistant"}, *({"content": f"{word} "} for word in words)]
        chunks = [{**head, "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
        chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        chunks.append({**head, "choices": [], "usage": usage})
        pieces = [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks]
        return chunked(200, [*pieces, b"data: [DONE]\n\n"], pause=self.pause)
