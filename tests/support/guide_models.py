"""The model server of the guides: two models that know bicycles, one better than the other."""

from __future__ import annotations

import hashlib
import json
import threading
from typing import Any

from support.scripted_upstream import Script, Seen, plain

# A word of the question; a short answer without figures, and one with them.
_KNOWN = {
    "squeal": ("Clean the rims and sand the pads.", "Clean the rims, sand the pads, and toe them in by 1 mm."),
    "pads": ("Replace them when they are worn.", "Replace them when less than 3 mm of rubber is left."),
    "chain": ("Use as many links as the old one has.", "Run it over both biggest rings and add 2 links."),
    "pressure": ("It is printed on the tyre.", "Start at 3.8 bar in front and 4.2 bar at the back."),
    "winter": ("Keep it dry.", "Wash and oil it, and hang it up at over 5 °C."),
    "punctures": ("Look for glass in the tyre.", "Turn the tube beside the tyre and feel 10 cm around the hole."),
    "build": ("Let me try that again.", "`make` is not installed here: install it, or tell me another way to build."),
    "saddle": ("Your heel should reach the pedal.", "Your knee should bend by 25 to 30 degrees at the lowest point."),
}
_WEAK = ("pads", "pressure", "winter", "saddle", "build")  # what the small model does not know by itself


class GuideModels:
    """``qwen3:8b`` knows everything, ``llama3.2:3b`` some of it.

    A system prompt that asks for figures helps; one that asks for one sentence shortens."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def __call__(self, seen: Seen) -> Script:
        if seen.method == "GET":
            models = [{"id": name, "object": "model"} for name in ("llama3.2:3b", "qwen3:8b")]
            return plain(200, json.dumps({"object": "list", "data": models}).encode())
        request = json.loads(seen.body)
        with self._lock:
            self.asked.append(request)
        return plain(200, json.dumps(_reply(request)).encode())


def _reply(request: dict[str, Any]) -> dict[str, Any]:
    text = _answer(request)
    prompt = sum(len(str(each.get("content"))) // 4 + 4 for each in request["messages"])
    return {
        "id": f"chatcmpl-{hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:12]}",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": request["model"],
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": len(text) // 4 + 1,
            "total_tokens": prompt + len(text) // 4 + 1,
        },
    }


def _answer(request: dict[str, Any]) -> str:
    said = [each for each in request["messages"] if each["role"] == "user"]
    question = str(said[-1]["content"]).lower()
    system = " ".join(str(each["content"]) for each in request["messages"] if each["role"] == "system").lower()
    word = next((each for each in _KNOWN if each in question), "")
    if not word:
        return "I do not know that."
    short, exact = _KNOWN[word]
    knows = request["model"].startswith("qwen") or word not in _WEAK or "figure" in system or "not found" in system
    answer = exact if knows else short
    if "one sentence" in system:
        return answer
    more = "Then check it again." if request["model"].startswith("qwen") else "Ask me again if that does not help."
    return f"{answer} {more}"
