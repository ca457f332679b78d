"""Sources of tool results beyond the record: running tool servers, or a model that simulates the tool."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from regraft.domain.replay.tool_results import (
    LIVE,
    SIMULATED,
    RecordedResults,
    ServedResult,
    StrictResults,
    ToolCall,
    UnservedCall,
    result_message,
    simulation,
)

if TYPE_CHECKING:
    from regraft.infra.mcp.servers import ToolServers

StandIn = Callable[[ToolCall, list[dict[str, Any]]], Awaitable[str]]
_EXAMPLES = 4  # recorded results that a simulated tool is shown


@dataclass(frozen=True, slots=True)
class LiveTools:
    """Tools that a server offers run for real; others are answered as ``strict`` does."""

    servers: ToolServers
    recorded: RecordedResults

    async def serve(self, call: ToolCall) -> ServedResult | UnservedCall:
        if not self.servers.has(call.name):
            recorded = await StrictResults(self.recorded).serve(call)
            return (
                UnservedCall(f"{recorded.reason}, and no tool server offers it")
                if isinstance(recorded, UnservedCall)
                else recorded
            )
        result = await self.servers.call(call.name, call.sent)
        return ServedResult(message=result_message(call, result.content), source=LIVE, stands_for=call.key)


@dataclass(frozen=True, slots=True)
class SimulatedTools:
    """A model invents results that are not in the record; it is shown the tool's results for other calls."""

    stand_in: StandIn
    recorded: RecordedResults
    definitions: Mapping[str, Any]

    async def serve(self, call: ToolCall) -> ServedResult | UnservedCall:
        recorded = await StrictResults(self.recorded).serve(call)
        if isinstance(recorded, ServedResult):
            return recorded
        examples = [each for each in self.recorded.results if each.call.name == call.name][:_EXAMPLES]
        asked = simulation(call, self.definitions.get(call.name), examples)
        said = await self.stand_in(call, asked)
        return ServedResult(message=result_message(call, said), source=SIMULATED, stands_for=call.key)
