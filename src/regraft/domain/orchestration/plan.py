"""A plan of subtasks: read from a model's answer, and checked for everything that prevents carrying it out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

from regraft.domain.ids import parse_json
from regraft.domain.orchestration.json_values import text, texts

PROMPT = "prompt"  # the input that is the request itself
PLAN, REPAIR = "plan", "repair"  # the steps that ask for a plan; the second names the problems of the first
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
LONGEST_INSTRUCTION, LONGEST_ACCEPTANCE = 4000, 1000  # characters that a plan may have
_RESERVED = frozenset({PROMPT, PLAN, REPAIR, "synthesis", "answer"})


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


def judge(answer: str, workers: Collection[str], max_subtasks: int) -> tuple[Plan | None, list[Problem]]:
    """Read a model's answer as a plan, and return all its problems. A plan without problems can be carried out."""
    plan, problems = read_plan(answer)
    if plan is not None:
        problems = [*problems, *problems_of(plan, workers, max_subtasks)]
    return plan, problems


def read_plan(answer: str) -> tuple[Plan | None, list[Problem]]:
    """A plan from a model's answer: JSON, also inside a code fence or between other words."""
    try:
        said = parse_json(answer)
    except ValueError:
        begin, end = answer.find("{"), answer.rfind("}")
        try:
            said = parse_json(answer[begin : end + 1])
        except ValueError:
            return None, [Problem("not_json", "the answer is not a JSON object")]
    listed = _listed(said)
    if listed is None:
        return None, [Problem("wrong_shape", "the answer is not an object of steps")]
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
        raise TypeError("it is not an object")
    return Subtask(
        id=text(said["id"]).strip(),
        instruction=text(said["instruction"]).strip(),
        inputs=texts(said["inputs"]),
        dependencies=texts(said.get("dependencies", [])),
        worker=text(said["worker"]).strip(),
        acceptance=text(said["acceptance"]).strip(),
    )


def problems_of(plan: Plan, workers: Collection[str], max_subtasks: int) -> list[Problem]:
    """Everything that prevents carrying out a plan. If ``workers`` is empty, any name is valid."""
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
        if not ID.fullmatch(name):
            say("bad_id", f"{name!r} cannot be an id: use letters, digits, '.', '_' and '-'")
        elif name in _RESERVED:
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
                say("dangling_input", f"{each.id} takes {name!r}, which is not a subtask")
        for name in dict.fromkeys(each.dependencies):
            if name not in counted:
                say("dangling_dependency", f"{each.id} depends on {name!r}, which is not a subtask")
    if circle := _on_circles(plan):
        say("circle", f"these subtasks wait for one another: {', '.join(circle)}")
    return list(dict.fromkeys(found))


def _on_circles(plan: Plan) -> list[str]:
    """Subtasks that can never start, because what they need needs them; one that needs itself is reported elsewhere."""
    known = {each.id for each in plan.subtasks}
    needs = {each.id: (each.needs - {each.id}) & known for each in plan.subtasks}
    needed_by: dict[str, list[str]] = {}
    for name, needed in needs.items():
        for each in needed:
            needed_by.setdefault(each, []).append(name)
    missing = {name: len(needed) for name, needed in needs.items()}
    free = [name for name, count in missing.items() if not count]
    while free:
        done = free.pop()
        del missing[done]
        for name in needed_by.get(done, ()):
            missing[name] -= 1
            if not missing[name]:
                free.append(name)
    return sorted(missing)
