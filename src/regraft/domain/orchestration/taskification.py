"""Taskification: a prompt cut into a plan of subtasks, under a versioned rule, and what makes such a plan valid.

A plan is asked for once, and a second time with its problems when it is not valid. What the two answers come to is
decided here (``settle``), from the captured calls alone: the same calls always give the same result.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from regraft.domain.errors import UsageError
from regraft.domain.ids import canonical_json, digest, digest_json, parse_json, uuid_of

CODE_VERSION = 1  # of the rules in this file: how a plan is requested, read and checked
PROMPT = "prompt"  # the input that is the request itself
PLAN, REPAIR = "plan", "repair"  # the steps that ask for a plan; the second names the problems of the first
PURPOSE = "taskify"
LONGEST_INSTRUCTION, LONGEST_ACCEPTANCE = 4000, 1000  # characters that a plan may have
_ASKED_INSTRUCTION, _ASKED_ACCEPTANCE = 240, 100  # characters that a model is held to where the server can do that
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_STEPS_OF_OURS = frozenset({PLAN, REPAIR, "synthesis", "answer"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Subtask:
    """One step. ``inputs`` are ``prompt`` or other subtasks' ids; ``dependencies`` only have to be finished before."""

    id: str
    instruction: str
    inputs: tuple[str, ...] = (PROMPT,)
    dependencies: tuple[str, ...] = ()
    worker: str = ""
    acceptance: str = ""

    @property
    def needs(self) -> frozenset[str]:
        """The subtasks that must be done before this one."""
        return frozenset(self.dependencies) | (frozenset(self.inputs) - {PROMPT})


@dataclass(frozen=True, slots=True)
class Plan:
    """Subtasks in the order in which they were named. Only ``judge`` says whether it can be carried out."""

    subtasks: tuple[Subtask, ...]

    def describe(self) -> dict[str, Any]:
        """The plan as a JSON object."""
        return {"subtasks": [asdict(subtask) for subtask in self.subtasks]}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a plan. ``name`` is one of a fixed set of words, ``text`` says where and what."""

    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.name}: {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How a plan is asked for. ``repair`` holds ``{problems}``."""

    name: str
    instructions: str
    repair: str
    max_subtasks: int = 8
    description: str = ""

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.name):
            raise UsageError(f"A rule cannot be called {self.name!r}: use letters, digits, '.', '_' and '-'.")
        if "{problems}" not in self.repair:
            raise UsageError(f"The rule {self.name} does not say {{problems}} in its repair.")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What is taskified under which conditions: all that its id depends on, and all that its plan is judged by.

    ``subject`` is ``node:ID``, ``turn:ID`` (a call to an orchestrator) or ``prompt:DIGEST``.
    """

    subject: str
    rule_version: str
    generation: int = 1
    supersedes: UUID | None = None
    node_id: UUID | None = None
    workers: tuple[str, ...] = ()
    max_subtasks: int = 8

    @property
    def taskification_id(self) -> UUID:
        """A function of the subject, the rule version and the generation."""
        return uuid_of(
            digest(b"taskification", self.subject.encode(), self.rule_version.encode(), str(self.generation).encode())
        )

    def label(self) -> str:
        """JSON text for the header that the record of the call keeps."""
        return canonical_json(
            {
                "taskify_rule_version": self.rule_version,
                "subject": self.subject,
                "generation": self.generation,
                "supersedes": str(self.supersedes) if self.supersedes else None,
                "node_id": str(self.node_id) if self.node_id else None,
                "workers": list(self.workers),
                "max_subtasks": self.max_subtasks,
            }
        )


def read_assignment(label: object) -> Assignment | None:
    """An assignment from its label, parsed or not; None when it is none."""
    try:
        said = parse_json(label) if isinstance(label, str) else label
        if not isinstance(said, Mapping):
            return None
        return Assignment(
            subject=_text(said["subject"]),
            rule_version=_text(said["taskify_rule_version"]),
            generation=_number(said["generation"]),
            supersedes=UUID(said["supersedes"]) if said.get("supersedes") else None,
            node_id=UUID(said["node_id"]) if said.get("node_id") else None,
            workers=tuple(_text(each) for each in said["workers"]),
            max_subtasks=_number(said["max_subtasks"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def subject_of_prompt(scope: str, prompt: str) -> str:
    """The subject of a prompt that belongs to no node."""
    return f"{PROMPT}:{digest(b'prompt', scope.encode(), prompt.encode('utf-8', 'surrogatepass')).hex()[:32]}"


def plan_header(taskification_id: UUID, step: str) -> str:
    """``X-Regraft-Plan`` of a call."""
    return f"{taskification_id}:{step}"


def read_plan_header(header: object) -> tuple[UUID | None, str]:
    """The taskification and the step that a call says it belongs to; (None, "") for any other words."""
    if not isinstance(header, str):
        return None, ""
    first, _, step = header.partition(":")
    try:
        return UUID(first), step
    except ValueError:
        return None, ""


# ----------------------------------------------------------------------------------------------------------------
# Asking for a plan


def schema(workers: Sequence[str], max_subtasks: int) -> dict[str, Any]:
    """The JSON schema that a plan is held to: an object of steps s1, s2 and so on, those that are not needed null.

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


# ----------------------------------------------------------------------------------------------------------------
# Judging a plan


def judge(text: str, workers: Collection[str], max_subtasks: int) -> tuple[Plan | None, list[Problem]]:
    """Read a model's words as a plan, and say all that is wrong with it. No problem: it can be carried out."""
    plan, problems = read_plan(text)
    if plan is not None:
        problems = [*problems, *problems_of(plan, workers, max_subtasks)]
    return plan, problems


def read_plan(text: str) -> tuple[Plan | None, list[Problem]]:
    """A plan from a model's answer: JSON, also inside a code fence or between other words."""
    try:
        said = parse_json(text)
    except ValueError:
        begin, end = text.find("{"), text.rfind("}")
        try:
            said = parse_json(text[begin : end + 1])
        except ValueError:
            return None, [Problem("not_json", "the answer is no JSON object")]
    listed = _listed(said)
    if listed is None:
        return None, [Problem("wrong_shape", "the answer is no object of steps")]
    subtasks, problems = [], []
    for number, each in enumerate(listed, 1):
        try:
            subtasks.append(_subtask(each))
        except (KeyError, TypeError, ValueError) as error:
            said_of = f"misses {error}" if isinstance(error, KeyError) else f"is not as asked: {error}"
            problems.append(Problem("wrong_shape", f"step number {number} {said_of}"))
    return Plan(tuple(subtasks)), problems


def _listed(said: Any) -> list[Any] | None:
    """The steps of a plan: an object of steps by id, or, as some models prefer, a list of them under ``subtasks``."""
    if not isinstance(said, dict):
        return None
    if isinstance(said.get("subtasks"), list):
        return list(said["subtasks"])
    if not all(each is None or isinstance(each, dict) for each in said.values()):
        return None
    return [{**each, "id": name} for name, each in said.items() if each is not None]


def _subtask(said: Any) -> Subtask:
    if not isinstance(said, dict):
        raise TypeError("it is no object")
    return Subtask(
        id=_text(said["id"]).strip(),
        instruction=_text(said["instruction"]).strip(),
        inputs=_texts(said["inputs"]),
        dependencies=_texts(said.get("dependencies", [])),
        worker=_text(said["worker"]).strip(),
        acceptance=_text(said["acceptance"]).strip(),
    )


def problems_of(plan: Plan, workers: Collection[str], max_subtasks: int) -> list[Problem]:
    """All that keeps a plan from being carried out. ``workers`` empty: any name will do."""
    found: list[Problem] = []

    def say(name: str, text: str) -> None:
        found.append(Problem(name, text))

    if not plan.subtasks:
        say("no_subtask", "the plan has no subtask")
    if len(plan.subtasks) > max_subtasks:
        say("too_many_subtasks", f"the plan has {len(plan.subtasks)} subtasks; at most {max_subtasks} are allowed")
    counted = Counter(subtask.id for subtask in plan.subtasks)
    for name, times in counted.items():
        if times > 1:
            say("duplicate_id", f"{times} subtasks have the id {name!r}; ids must differ")
        if not _ID.fullmatch(name):
            say("bad_id", f"{name!r} cannot be an id: use letters, digits, '.', '_' and '-'")
        elif name == PROMPT or name in _STEPS_OF_OURS:
            say("reserved_id", f"no subtask may have the id {name!r}")
    for each in plan.subtasks:
        if not each.instruction:
            say("empty_instruction", f"{each.id} has no instruction")
        if not each.acceptance:
            say("empty_acceptance", f"{each.id} does not say when its result is good")
        if len(each.instruction) > LONGEST_INSTRUCTION or len(each.acceptance) > LONGEST_ACCEPTANCE:
            say("too_long", f"the words of {each.id} are too long")
        if workers and each.worker not in workers:
            say("unknown_worker", f"{each.id} is for {each.worker!r}; the workers are {', '.join(sorted(workers))}")
        if each.id in each.needs:
            say("needs_itself", f"{each.id} needs its own result")
        for name in dict.fromkeys(each.inputs):
            if name != PROMPT and name not in counted:
                say("dangling_input", f"{each.id} takes {name!r}, which is no subtask")
        for name in dict.fromkeys(each.dependencies):
            if name not in counted:
                say("dangling_dependency", f"{each.id} depends on {name!r}, which is no subtask")
    if circle := _on_circles(plan):
        say("circle", f"these subtasks wait for one another: {', '.join(circle)}")
    return list(dict.fromkeys(found))


def _on_circles(plan: Plan) -> list[str]:
    """Subtasks that can never start, because what they need needs them; a subtask that needs itself is reported
    elsewhere."""
    left = {each.id: set(each.needs) - {each.id} for each in plan.subtasks}
    left = {name: needs & left.keys() for name, needs in left.items()}
    while free := [name for name, needs in left.items() if not needs & left.keys()]:
        for name in free:
            del left[name]
    return sorted(left)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{canonical_json(value)[:40]} is no text")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{canonical_json(value)[:40]} is no list")
    return tuple(dict.fromkeys(_text(each).strip() for each in value))


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("no whole number")
    return value


# ----------------------------------------------------------------------------------------------------------------
# What the answers come to


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call that asked for a plan. ``text`` is None when no answer came; ``error`` says why."""

    step: str
    turn_id: UUID | None
    text: str | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Taskified:
    """How it ended. ``planned``: at once; ``repaired``: at the second try; ``failed``: there is no ``plan``."""

    status: str
    plan: Plan | None
    problems: tuple[str, ...]
    turn_ids: tuple[UUID, ...]


def settle(assignment: Assignment, attempts: Sequence[Attempt], *, finished: bool) -> Taskified | None:
    """What these attempts come to; None while a further one may follow. ``finished``: none will.

    A call that failed may be asked again under the same step; a second plan is the last.
    """
    problems: list[str] = []
    repairs = 0
    for number, attempt in enumerate(attempts, 1):
        turns = tuple(each.turn_id for each in attempts[:number] if each.turn_id is not None)
        if attempt.text is None:
            problems.append(f"{attempt.step}: no_answer: {attempt.error or 'the call gave no answer'}")
            continue
        plan, wrong = judge(attempt.text, assignment.workers, assignment.max_subtasks)
        if not wrong:
            return Taskified("repaired" if attempt.step == REPAIR else "planned", plan, tuple(problems), turns)
        problems += [f"{attempt.step}: {problem}" for problem in wrong]
        repairs += attempt.step == REPAIR
    if repairs or finished:
        turns = tuple(each.turn_id for each in attempts if each.turn_id is not None)
        return Taskified("failed", None, tuple(problems), turns)
    return None


def prompt_of(messages: Sequence[Any]) -> str:
    """What a conversation asks for, as one text: its last user message, behind what was said before, if anything."""
    said = [(str(_get(each, "role") or ""), words(_get(each, "content"))) for each in messages]
    users = [place for place, (role, _) in enumerate(said) if role == "user"]
    if not users:
        raise UsageError("There is no user message that could be taskified.")
    last = users[-1]
    before = [f"{role}: {text}" for place, (role, text) in enumerate(said) if place != last and text]
    request = said[last][1]
    if not request.strip():
        raise UsageError("The last user message has no text that could be taskified.")
    return request if not before else "Said before:\n" + "\n".join(before) + f"\n\nThe request:\n{request}"


def words(content: Any) -> str:
    """The text of a message's content, which is a string or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = [_get(part, "text") for part in content]
        return "\n".join(text for text in texts if isinstance(text, str))
    return ""


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else None
