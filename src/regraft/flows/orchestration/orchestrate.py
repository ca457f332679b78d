"""An orchestrated call: a plan, its steps as soon as their inputs are there, and one answer made from their results.

Every call goes through the gateway, like any client's. This is all asynchronous and small, so that it runs beside the
gateway's own work; nothing here waits for a database.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, aclosing, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from regraft.domain.errors import RegraftError, UpstreamError, UsageError
from regraft.domain.ids import plain
from regraft.domain.orchestration.orchestration import (
    ORCHESTRATOR,
    SYNTHESIS,
    TOOL_ROUNDS,
    WORKER,
    Orchestrator,
    StepReport,
    StepStatus,
    add_usage,
    blocked,
    ready,
    synthesis_messages,
    tool_result,
    worker_messages,
)
from regraft.domain.orchestration.plan import Plan, Subtask
from regraft.domain.orchestration.prompt import prompt_of
from regraft.domain.orchestration.taskification import Assignment, TaskifyResult
from regraft.flows.orchestration.model_caller import Completion, ModelCaller, StepCost, make_plan
from regraft.infra.telemetry.emitter import emit
from regraft.infra.telemetry.facts import OrchestrationCallEnded, OrchestrationEnded

if TYPE_CHECKING:
    from regraft.infra.config.tool_server import ToolServerSection
    from regraft.infra.mcp.servers import ToolServers

CLIENT = "client"  # who asks the orchestrator's own model, in its facts
_OURS = frozenset({"model", "messages", "stream", "stream_options", "n", "store", "metadata"})
_REFUSED = frozenset({"tools", "tool_choice", "functions", "function_call"})


class OrchestrationListener(Protocol):
    """Receives the progress of an orchestrated call. A slow listener slows it down."""

    async def noted(self, words: str) -> None:
        """Something was planned or done; for people."""

    async def said(self, delta: dict[str, Any]) -> None:
        """A piece of the answer."""


class _StepFailedError(Exception):
    """Ends all steps together."""


class Orchestration:
    """One call. ``describe`` returns its progress at any time, also after a failure or a cancellation."""

    def __init__(
        self,
        orchestrator: Orchestrator,
        model_caller: ModelCaller,
        assignment: Assignment,
        request: Mapping[str, Any],
        tool_servers: Mapping[str, ToolServerSection] | None = None,
        listener: OrchestrationListener | None = None,
        began: float | None = None,
    ) -> None:
        """Raises UsageError for a request that no orchestrator can answer. With a listener the answer is streamed.

        Steps are told from ``began`` on, a reading of the performance counter; from now if it is unset.
        """
        self._orchestrator = orchestrator
        self._model_caller = model_caller
        self._assignment = assignment
        self._request = request
        self._tool_servers = tool_servers or {}
        self._listener = listener
        self._prompt = _checked(request)
        self._places = asyncio.Semaphore(orchestrator.concurrency)
        self._tools: ToolServers | None = None
        self._spent: list[StepCost] = []
        self._synthesis = StepCost()
        self._reports: dict[str, StepReport] = {}
        self._began = time.perf_counter() if began is None else began
        self._times: dict[str, dict[str, float]] = {}  # of the orchestrator's own calls
        self.taskified: TaskifyResult | None = None

    async def run(self) -> Completion:
        """The answer. Raises UpstreamError or RefusedError when there is none; cancelled, it hangs up everywhere."""
        began, result = time.perf_counter(), "cancelled"
        try:
            answer = await self._run()
            result = "done"
        except RegraftError:
            result = "failed"
            raise
        finally:
            plan = self.taskified.plan if self.taskified else None
            emit(
                OrchestrationEnded(
                    orchestrator=self._orchestrator.name,
                    result=result,
                    steps=len(plan.subtasks) if plan else 0,
                    seconds=time.perf_counter() - began,
                )
            )
        return answer

    async def _run(self) -> Completion:
        async with AsyncExitStack() as held:
            if self._tool_servers:
                from regraft.infra.mcp.servers import ToolServers

                self._tools = await held.enter_async_context(ToolServers(self._tool_servers))
            plan = await self._plan()
            if plan is not None:
                await self._carry_out(plan)
        return await self._synthesise(plan)

    def describe(self) -> dict[str, Any]:
        """For the client: the plan, and how each step ended."""
        made = self.taskified
        return {
            "taskification_id": str(self._assignment.taskification_id),
            "taskify_rule_version": self._assignment.rule_version,
            "plan": {
                "status": made.status if made else "unfinished",
                "problems": list(made.problems) if made else [],
                "turn_ids": [str(each) for each in made.turn_ids] if made else [],
                **self._times.get("plan", {}),
            },
            "steps": [
                self._reports[each.id].describe()
                for each in (made.plan.subtasks if made and made.plan else ())
                if each.id in self._reports
            ],
            "synthesis": {
                "attempts": self._synthesis.attempts,
                "turn_ids": [str(each) for each in self._synthesis.turn_ids],
                **self._times.get("answer", {}),
            },
            "usage_is_sum": True,
        }

    def usage(self) -> dict[str, int]:
        """What all inner calls used; it was counted with each of them."""
        return add_usage([usage for spent in self._spent for usage in spent.usages])

    @contextmanager
    def _call_of(self, step: str) -> Iterator[None]:
        """Tell how the orchestrator's own model was asked for a step, and how that ended."""
        began, result = time.perf_counter(), "cancelled"
        try:
            yield
            result = "done"
        except (RegraftError, TimeoutError):
            result = "failed"
            raise
        finally:
            seconds = time.perf_counter() - began
            self._times[step] = {"began_seconds": round(began - self._began, 3), "seconds": round(seconds, 3)}
            self._emit(CLIENT, self._orchestrator.model, step, result, seconds)

    def _emit(self, caller: str, worker: str, step: str, result: str, seconds: float) -> None:
        emit(
            OrchestrationCallEnded(
                orchestrator=self._orchestrator.name,
                caller=caller,
                worker=worker,
                step=step,
                result=result,
                seconds=seconds,
            )
        )

    async def _plan(self) -> Plan | None:
        one = self._orchestrator
        with self._call_of("plan"):
            made = await make_plan(
                self._model_caller,
                self._assignment,
                one.rule,
                one.model,
                self._prompt,
                tuple(one.workers),
                self._spend(StepCost()),
                one.timeout,
            )
        self.taskified = made
        if made.plan is None:
            await self._note("there is no plan; the request is answered as it is")
        else:
            await self._note(f"{made.status}: {len(made.plan.subtasks)} steps")
        return made.plan

    def _spend(self, spent: StepCost) -> StepCost:
        self._spent.append(spent)
        return spent

    # Steps

    async def _carry_out(self, plan: Plan) -> None:
        started: set[str] = set()

        async def one(subtask: Subtask) -> None:
            async with self._places:
                report = await self._step(subtask)
            await self._note(f"{subtask.id} {report.status}")
            if report.status == "failed":
                if self._orchestrator.on_failure == "cancel":
                    raise _StepFailedError(subtask.id)
                self._block(plan)
            launch()

        def launch() -> None:
            for subtask in ready(plan, self._of("done"), self._of("failed"), started):
                started.add(subtask.id)
                group.create_task(one(subtask))

        try:
            async with asyncio.TaskGroup() as group:
                launch()
        except* _StepFailedError:
            pass
        for subtask in plan.subtasks:
            self._reports.setdefault(subtask.id, self._report(subtask, StepCost(), "cancelled"))
        if not self._of("done") or (self._orchestrator.on_failure == "cancel" and self._of("failed")):
            raise UpstreamError(f"No answer was made: {self._first_failure()}")

    def _of(self, status: StepStatus) -> set[str]:
        return {name for name, report in self._reports.items() if report.status == status}

    def _block(self, plan: Plan) -> None:
        for subtask in blocked(plan, self._of("failed")):
            lost = ", ".join(sorted(subtask.needs & (self._of("failed") | self._of("blocked")))) or "a failed step"
            self._reports.setdefault(subtask.id, self._report(subtask, StepCost(), "blocked", f"it needs {lost}"))

    def _first_failure(self) -> str:
        failed = [report for report in self._reports.values() if report.status == "failed"]
        return f"the step {failed[0].id} failed: {failed[0].error}" if failed else "no step was done"

    async def _step(self, subtask: Subtask) -> StepReport:
        spent = self._spend(StepCost())
        began = time.perf_counter()
        status: StepStatus = "cancelled"
        error = result = ""
        try:
            async with asyncio.timeout(self._orchestrator.timeout):
                result = await self._work(subtask, spent)
            status = "done"
        except TimeoutError:
            status, error = "failed", f"no result in {self._orchestrator.timeout:g} s"
        except RegraftError as failure:
            status, error = "failed", str(failure)
        finally:
            seconds = time.perf_counter() - began
            report = self._reports[subtask.id] = self._report(
                subtask, spent, status, error, result, seconds, began - self._began
            )
            self._emit(self._orchestrator.model, subtask.worker, "work", status, seconds)
        return report

    async def _work(self, subtask: Subtask, spent: StepCost) -> str:
        results = {name: report.result for name, report in self._reports.items()}
        messages = worker_messages(subtask, self._prompt, results)
        more: dict[str, Any] = {"tools": self._tools.definitions()} if self._tools is not None else {}
        if self._orchestrator.max_tokens is not None:
            more["max_tokens"] = self._orchestrator.max_tokens
        for _ in range(TOOL_ROUNDS):
            request = {"model": self._orchestrator.workers[subtask.worker], "messages": messages, **more}
            said = await self._model_caller.ask(request, WORKER, subtask.id, spent)
            asked = said.message.get("tool_calls")
            if not isinstance(asked, list) or not asked:
                if not said.text.strip():
                    raise UpstreamError("The worker's answer is empty")
                return said.text
            messages = [*messages, said.message, *[await self._run_tool(each, spent) for each in asked]]
        raise UpstreamError(f"The worker still asked for tools after {TOOL_ROUNDS} rounds")

    async def _run_tool(self, call: Any, spent: StepCost) -> dict[str, Any]:
        function = call.get("function") if isinstance(call, dict) else None
        if self._tools is None or not isinstance(function, dict):
            raise UpstreamError("The worker called a tool, but it has no tools")
        spent.tool_calls += 1
        result = await self._tools.call(str(function.get("name")), function.get("arguments"))
        return tool_result(call, result.content)

    def _report(
        self,
        subtask: Subtask,
        spent: StepCost,
        status: StepStatus,
        error: str = "",
        result: str = "",
        seconds: float = 0.0,
        began: float = 0.0,
    ) -> StepReport:
        return StepReport(
            id=subtask.id,
            worker=subtask.worker,
            model=self._orchestrator.workers.get(subtask.worker, ""),
            status=status,
            attempts=spent.attempts,
            tool_calls=spent.tool_calls,
            turn_ids=tuple(spent.turn_ids),
            error=error,
            seconds=seconds,
            began_seconds=began,
            result=result,
        )

    # The answer

    async def _synthesise(self, plan: Plan | None) -> Completion:
        with self._call_of("answer"):
            return await self._answer(plan)

    async def _answer(self, plan: Plan | None) -> Completion:
        messages = list(self._request["messages"])
        if plan is not None:
            messages = synthesis_messages(self._orchestrator, messages, plan, self._reports)
        wanted = {key: value for key, value in self._request.items() if key not in _OURS}
        request = {**wanted, "model": self._orchestrator.model, "messages": messages}
        limit = self._orchestrator.max_tokens
        if limit is not None and not wanted.keys() & {"max_tokens", "max_completion_tokens"}:
            request["max_tokens"] = limit
        spent = self._spend(self._synthesis)
        if self._listener is None:
            try:
                async with asyncio.timeout(self._orchestrator.timeout):
                    return await self._model_caller.ask(request, ORCHESTRATOR, SYNTHESIS, spent)
            except TimeoutError as error:
                raise UpstreamError(f"The answer took longer than {self._orchestrator.timeout:g} s") from error
        request |= {"stream": True, "stream_options": {"include_usage": True}}
        finish = None
        silence = self._orchestrator.timeout
        async with aclosing(self._model_caller.stream(request, ORCHESTRATOR, SYNTHESIS, spent, silence)) as pieces:
            async for piece in pieces:
                finish = piece.finish_reason or finish
                delta = {key: value for key, value in plain(piece.delta).items() if key != "role" and value is not None}
                if delta:
                    await self._listener.said(delta)
        return Completion({"role": "assistant", "content": None}, finish, None)

    async def _note(self, words: str) -> None:
        if self._listener is not None:
            await self._listener.noted(words)


def _checked(request: Mapping[str, Any]) -> str:
    """The prompt of a request that an orchestrator can answer. Raises UsageError."""
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise UsageError("The request has no list of messages")
    if request.get("n") not in (None, 1):
        raise UsageError("An orchestrator gives one answer: leave out n")
    if refused := sorted(_REFUSED & {key for key, value in request.items() if value}):
        raise UsageError(f"An orchestrator calls the tools that it is configured with: leave out {', '.join(refused)}")
    return prompt_of(messages)
