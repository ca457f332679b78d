"""Taskification: which request is split into a plan under which rule, and the result of the calls that requested it.

A plan is asked for once, and a second time with its problems when it is not valid. ``settle`` decides from the captured
calls alone, so that the same calls always give the same result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from regraft.domain.ids import canonical_json, digest, parse_json, uuid_of
from regraft.domain.orchestration.json_values import text, whole_number
from regraft.domain.orchestration.plan import PROMPT, REPAIR, Plan, judge


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
    """An assignment from its label, parsed or not; None when it is not one."""
    try:
        said = parse_json(label) if isinstance(label, str) else label
        if not isinstance(said, Mapping):
            return None
        return Assignment(
            subject=text(said["subject"]),
            rule_version=text(said["taskify_rule_version"]),
            generation=whole_number(said["generation"]),
            supersedes=UUID(said["supersedes"]) if said.get("supersedes") else None,
            node_id=UUID(said["node_id"]) if said.get("node_id") else None,
            workers=tuple(text(each) for each in said["workers"]),
            max_subtasks=whole_number(said["max_subtasks"]),
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


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call that asked for a plan. ``text`` is None when no answer came; ``error`` says why."""

    step: str
    turn_id: UUID | None
    text: str | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class TaskifyResult:
    """How it ended. ``planned``: at once; ``repaired``: at the second try; ``failed``: there is no ``plan``."""

    status: str
    plan: Plan | None
    problems: tuple[str, ...]
    turn_ids: tuple[UUID, ...]


def settle(assignment: Assignment, attempts: Sequence[Attempt], *, finished: bool) -> TaskifyResult | None:
    """The result of these attempts; None while another one may follow. ``finished``: none will.

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
            return TaskifyResult("repaired" if attempt.step == REPAIR else "planned", plan, tuple(problems), turns)
        problems += [f"{attempt.step}: {problem}" for problem in wrong]
        repairs += attempt.step == REPAIR
    if repairs or finished:
        turns = tuple(each.turn_id for each in attempts if each.turn_id is not None)
        return TaskifyResult("failed", None, tuple(problems), turns)
    return None
