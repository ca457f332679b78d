"""A taskify rule: how a plan is requested from a model, and the version that names that way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from regraft.domain.errors import UsageError
from regraft.domain.ids import digest_json
from regraft.domain.orchestration.plan import ID, PROMPT, Problem

CODE_VERSION = 1  # of how a plan is requested, read and checked
_ASKED_INSTRUCTION, _ASKED_ACCEPTANCE = 240, 100  # characters that a model is held to where the server can do that


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How a plan is requested. ``repair`` contains ``{problems}``."""

    name: str
    instructions: str
    repair: str
    max_subtasks: int = 8
    description: str = ""

    def __post_init__(self) -> None:
        if not ID.fullmatch(self.name):
            raise UsageError(f"A rule cannot be called {self.name!r}: use letters, digits, '.', '_' and '-'.")
        if "{problems}" not in self.repair:
            raise UsageError(f"The repair message of the rule {self.name} must contain {{problems}}.")
        if not 1 <= self.max_subtasks <= 64:
            raise UsageError(f"The rule {self.name} allows {self.max_subtasks} subtasks; it can be 1 to 64.")

    @property
    def version(self) -> str:
        """``taskify_rule_version``: another wording, another schema or other code is another version."""
        said = [self.instructions, self.repair, schema((), self.max_subtasks), CODE_VERSION]
        return f"{self.name}@{CODE_VERSION}-{digest_json(said).hex()[:12]}"


def rule_name(version: str) -> str:
    """The rule that a ``taskify_rule_version`` is a version of."""
    return version.rpartition("@")[0]


def schema(workers: Sequence[str], max_subtasks: int) -> dict[str, Any]:
    """The JSON schema of a plan: an object of steps s1, s2 and so on, those that are not needed null.

    A step can only take from earlier ones, so that a server which keeps to the schema cannot give a circle, nor an id
    twice. Strict: every property is required, no other is allowed.
    """
    names = [f"s{number}" for number in range(1, max_subtasks + 1)]
    steps = {name: _step_schema(names[:place], workers) for place, name in enumerate(names)}
    first, *others = names
    return {
        "type": "object",
        "properties": {first: steps[first], **{name: {"anyOf": [steps[name], {"type": "null"}]} for name in others}},
        "required": names,
        "additionalProperties": False,
    }


def _step_schema(earlier: list[str], workers: Sequence[str]) -> dict[str, Any]:
    properties = {
        "instruction": {"type": "string", "minLength": 1, "maxLength": _ASKED_INSTRUCTION},
        "inputs": _several([PROMPT, *earlier]),
        **({"dependencies": _several(earlier)} if earlier else {}),
        "worker": {"type": "string", "enum": list(workers)} if workers else {"type": "string", "maxLength": 40},
        "acceptance": {"type": "string", "minLength": 1, "maxLength": _ASKED_ACCEPTANCE},
    }
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _several(names: list[str]) -> dict[str, Any]:
    return {"type": "array", "maxItems": len(names), "items": {"type": "string", "enum": names}}


def ask(rule: Rule, model: str, prompt: str, workers: Mapping[str, str], max_subtasks: int) -> dict[str, Any]:
    """The chat request for a plan. ``workers``: name -> its description (may be empty)."""
    system = rule.instructions.strip() + f"\nAt most {max_subtasks} steps."
    if workers:
        said = ", ".join(f"{name} ({about})" if about else name for name, about in workers.items())
        system += f"\nWorkers: {said}."
    return {
        "model": model,
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": prompt}],
        "temperature": 0,
        "max_tokens": 64 + 192 * max_subtasks,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "plan", "strict": True, "schema": schema(list(workers), max_subtasks)},
        },
    }


def ask_again(request: Mapping[str, Any], rule: Rule, answer: str, problems: Iterable[Problem]) -> dict[str, Any]:
    """The request for a better plan than ``answer``."""
    listed = "\n".join(dict.fromkeys(f"- {problem.text}" for problem in problems))
    said = [
        {"role": "assistant", "content": answer[:2000]},
        {"role": "user", "content": rule.repair.strip().replace("{problems}", listed)},
    ]
    return {**request, "messages": [*request["messages"], *said]}
