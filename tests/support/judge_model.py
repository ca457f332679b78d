"""A scripted model server that answers as a judge of conversations or of pairs, by a rule that a test gives it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from support.gateways import Upstream
from support.messages import assistant
from support.scripted_upstream import Seen, plain

SHOWN = re.compile(
    r"<<(?P<name>[a-z ]+) (?P<mark>[0-9a-f]{12})>>\n(?P<text>.*?)\n<<end of (?P=name) (?P=mark)>>", re.DOTALL
)
Rule = Callable[[dict[str, str]], Any]  # by the texts that are shown: the answer, as an object or as text


def preferring(place: str) -> dict[str, str]:
    """The answer of a judge of pairs."""
    return {"because": f"I prefer {place}.", "preference": place}


class JudgeModel(Upstream):
    """Answers each call by the rule. ``fingerprint`` is what it says of its build, ``status`` what it answers with."""

    def __init__(self, rule: Rule) -> None:
        super().__init__(self._judged)
        self.rule = rule
        self.fingerprint = "fp1"
        self.status = 200
        self.asked: list[dict[str, Any]] = []

    def _judged(self, seen: Seen):
        asked = json.loads(seen.body)
        self.asked.append(asked)
        if self.status >= 400:
            return plain(self.status, b'{"error":{"message":"no such model"}}')
        shown = {part["name"]: part["text"] for part in SHOWN.finditer(asked["messages"][-1]["content"])}
        said = self.rule(shown)
        text = said if isinstance(said, str) else json.dumps(said)
        reply = {
            "id": f"judged-{len(self.asked)}",
            "model": asked["model"],
            "system_fingerprint": self.fingerprint,
            "choices": [{"index": 0, "finish_reason": "stop", "message": assistant(text)}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 2},
        }
        return plain(200, json.dumps(reply).encode())
