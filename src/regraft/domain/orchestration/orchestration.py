"""Orchestration: which subtask may start, the prompt of each worker, and how the results are combined.

Pure decisions; the loop that makes the calls is in ``flows/orchestrate.py``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from regraft.domain.ids import digest_json
from regraft.domain.orchestration.plan import PROMPT, Plan, Subtask
from regraft.domain.orchestration.rule import Rule

PREFIX = "orchestrator/"  # of the model names that orchestrators answer to
BACKEND = "orchestrator"  # the "upstream" of an orchestrated call: what it used was used, and is counted, by others
SYNTHESIS, ANSWER = "synthesis", "answer"  # steps: the last inner call, and the call that the client made
TASKIFY, WORKER, ORCHESTRATOR = "taskify", "worker", "orchestrator"  # purposes
TOOL_ROUNDS = 8

DEFAULT_SYNTHESIS = (
    "You write the final answer to a request. Others have worked on its parts; their results are below. "
    "Answer the request itself, completely, in one piece, without speaking of parts or workers. "
    "Where a part failed, say what is missing."
)
_WORKER = (
    "You carry out one step of a larger task. Do only what the step says, and reply with its result alone. "
    "The result is good when: {acceptance}"
)

StepStatus = Literal["done", "failed", "blocked", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Orchestrator:
    """One ``orchestrator/NAME``. ``model`` plans and writes the answer; ``workers``: name -> model.

    ``timeout`` is seconds for one step with its tools and retries. ``on_failure``: ``continue`` leaves out a failed
    step and what needs it, ``cancel`` ends them all. ``tools`` are names of MCP servers. ``max_tokens`` is the longest
    result of a step, and the longest answer where the client sets no limit.
    """

    name: str
    model: str
    rule: Rule
    workers: Mapping[str, str]
    synthesis: str = DEFAULT_SYNTHESIS
    max_steps: int = 8
    concurrency: int = 4
    timeout: float = 120.0
    retries: int = 1
    max_tokens: int | None = None
    on_failure: Literal["continue", "cancel"] = "continue"
    tools: tuple[str, ...] = ()

    @property
    def max_subtasks(self) -> int:
        """What both the rule and this orchestrator allow."""
        return min(self.rule.max_subtasks, self.max_steps)

    @property
    def pin(self) -> str:
        """What pins its answers, as far as it decides them: the digest of its conditions."""
        said = [self.model, self.rule.version, dict(self.workers), self.synthesis, self.max_subtasks, self.on_failure]
        return digest_json([*said, list(self.tools), self.max_tokens]).hex()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """How one step ended. ``attempts`` are model calls that were begun; ``turn_ids`` those that were captured."""

    id: str
    worker: str
    model: str
    status: StepStatus
    attempts: int = 0
    tool_calls: int = 0
    turn_ids: tuple[UUID, ...] = ()
    error: str = ""
    seconds: float = 0.0
    began_seconds: float = 0.0  # after the orchestration began
    result: str = field(default="", repr=False)

    def describe(self) -> dict[str, Any]:
        """For the client: everything but the result."""
        return {
            "id": self.id,
            "worker": self.worker,
            "model": self.model,
            "status": self.status,
            "attempts": self.attempts,
            "tool_calls": self.tool_calls,
            "turn_ids": [str(each) for each in self.turn_ids],
            "error": self.error or None,
            "seconds": round(self.seconds, 3),
            "began_seconds": round(self.began_seconds, 3),
        }


# ----------------------------------------------------------------------------------------------------------------
# Scheduling


def ready(plan: Plan, done: Collection[str], failed: Collection[str], started: Collection[str] = ()) -> list[Subtask]:
    """The subtasks that may start now, in the plan's order: all that they need is done, and they were not started."""
    return [
        each
        for each in plan.subtasks
        if each.id not in done and each.id not in failed and each.id not in started and each.needs <= set(done)
    ]


def blocked(plan: Plan, failed: Collection[str]) -> list[Subtask]:
    """The subtasks that can never start, because something that they need failed, directly or through others."""
    lost = set(failed)
    found: dict[str, Subtask] = {}
    grew = True
    while grew:
        grew = False
        for each in plan.subtasks:
            if each.id not in lost and each.needs & lost:
                lost.add(each.id)
                found[each.id] = each
                grew = True
    return [each for each in plan.subtasks if each.id in found]


# ----------------------------------------------------------------------------------------------------------------
# What is asked


def worker_messages(subtask: Subtask, prompt: str, results: Mapping[str, str]) -> list[dict[str, Any]]:
    """The messages for a worker: its inputs by name, and the instruction last."""
    shown = [
        f"[{'the request' if name == PROMPT else 'result of ' + name}]\n{prompt if name == PROMPT else results[name]}"
        for name in subtask.inputs
    ]
    return [
        {"role": "system", "content": _WORKER.replace("{acceptance}", subtask.acceptance)},
        {"role": "user", "content": "\n\n".join([*shown, f"[the step]\n{subtask.instruction}"])},
    ]


def synthesis_messages(
    orchestrator: Orchestrator, messages: Sequence[Any], plan: Plan, reports: Mapping[str, StepReport]
) -> list[Any]:
    """The conversation as the client sent it, followed by the result of each step."""
    parts = []
    for subtask in plan.subtasks:
        report = reports[subtask.id]
        head = f"[{subtask.id}] {subtask.instruction}"
        parts.append(f"{head}\n{report.result if report.status == 'done' else '(' + _why(report) + ')'}")
    results = {"role": "user", "content": "The results of the parts:\n\n" + "\n\n".join(parts)}
    return [{"role": "system", "content": orchestrator.synthesis}, *messages, results]


def _why(report: StepReport) -> str:
    return f"this part {report.status}" + (f": {report.error[:200]}" if report.error else "")


# ----------------------------------------------------------------------------------------------------------------
# The final answer


def add_usage(usages: Sequence[Mapping[str, Any] | None]) -> dict[str, int]:
    """The total usage of the inner calls, in the form of Chat Completions."""
    total = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    for usage in usages:
        if usage:
            prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
            total["prompt_tokens"] += prompt
            total["completion_tokens"] += completion
            total["total_tokens"] += prompt + completion
    return total


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def tool_result(call: Mapping[str, Any], content: str | list[dict[str, Any]]) -> dict[str, Any]:
    """The message that answers a tool call."""
    return {"role": "tool", "tool_call_id": str(call.get("id") or ""), "content": content}
