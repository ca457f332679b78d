"""What clients send to replay nodes, and to change how a plan runs."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from regraft.domain.errors import UsageError
from regraft.domain.ids import canonical_json
from regraft.domain.replay.experiment import Experiment, Kind, Query, grid, read_tools
from regraft.domain.replay.job import Variant
from regraft.flows.replay.service import Continuing
from regraft.presentation.web.request import storable

MOST_NODES = 5_000
MOST_VALUES = 50  # of one dimension of a grid
MOST_VARIANTS = 500
LONGEST_PROMPT = 100_000  # characters

_Name = Annotated[str, Field(min_length=1, max_length=300)]
_Prompt = Annotated[str, Field(max_length=LONGEST_PROMPT)]
_Number = Annotated[float, Field(allow_inf_nan=False)]
_Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class _Sent(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _many(of: Any, most: int = MOST_VALUES) -> Any:
    return Field(default=[], max_length=most, description=of)


class NodeConditions(_Sent):
    """Which nodes: every condition given must be met, by one of its values. ``query`` pivot: contexts whose answers
    led to different outcomes, the heaviest first."""

    sessions: list[_Name] = Field(default=[], max_length=MOST_VALUES)
    themes: list[_Name] = Field(default=[], max_length=MOST_VALUES)
    tasks: list[_Name] = Field(default=[], max_length=MOST_VALUES)
    kinds: list[Kind] = Field(default=[], max_length=MOST_VALUES)
    statuses: list[_Name] = Field(default=[], max_length=MOST_VALUES)
    models: list[_Name] = Field(default=[], max_length=MOST_VALUES)
    outcome_below: _Number | None = None
    outcome_above: _Number | None = None
    pivot: bool = False
    query: Literal["", "pivot"] = ""
    replays: bool = False
    limit: int | None = Field(default=None, ge=1, le=MOST_NODES)

    def conditions(self) -> Query:
        """The same for the planner. Raises UsageError."""
        given = self.model_dump()
        chosen: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
        }
        return Query(**chosen)


class VariantGrid(_Sent):
    """What is changed: each value of each list with each of the others. null in a list keeps what was recorded; an
    empty list does, too. A system prompt of '' removes the recorded one."""

    models: list[_Name | None] = _many("Models to ask.")
    systems: list[_Prompt | None] = _many("System prompts in place of the recorded one.")
    users: list[_Prompt | None] = _many("Last user messages in place of the recorded one.")
    temperatures: list[_Number | None] = _many("Sampling temperatures.")
    top_ps: list[_Number | None] = _many("Nucleus sampling.")
    seeds: list[_Whole | None] = _many("Seed of the first sample; each further sample adds 1.")
    max_tokens: list[Annotated[int, Field(ge=1, lt=2**31)] | None] = _many("Longest answers, in tokens.")
    tools: list[dict[str, Any]] = _many("Tools to add; one of a known name replaces it.", 200)
    without_tools: list[_Name] = _many("Tools to remove.", 200)
    plan: _Name | None = Field(default=None, description="Plan that the calls name.")
    chat: bool = Field(default=False, description="Use the chat API, whichever the original used.")

    def variants(self) -> list[Variant]:
        """Every combination. Raises UsageError."""
        lists: dict[str, list[Any]] = {
            "model": self.models,
            "system": self.systems,
            "user": self.users,
            "temperature": self.temperatures,
            "top_p": self.top_ps,
            "seed": self.seeds,
            "max_tokens": self.max_tokens,
        }
        count = 1
        for values in lists.values():
            count *= max(1, len(set(values)))
        if count > MOST_VARIANTS:
            raise UsageError(f"The grid has {count:,} variants. At most {MOST_VARIANTS} are replayed at once.")
        tools = read_tools(canonical_json(self.tools), "tools") if self.tools else ()
        fixed = Variant(tools=tools, without_tools=tuple(self.without_tools), plan=self.plan, chat=self.chat)
        return grid({name: list(dict.fromkeys(values)) for name, values in lists.items()}, fixed)


class ContinuingRequest(_Sent):
    """The conversation continues after the new answer, along the recorded one, up to ``turns`` answers (null: to its
    end). ``toward``: a node whose path is followed. ``tools``: where their results come from. ``persona``: prompt of a
    simulated user."""

    turns: int | None = Field(default=None, ge=1, le=100)
    toward: str = Field(default="", max_length=40)
    tools: Literal["strict", "recorded", "live", "simulated"] = "strict"
    persona: Annotated[str, Field(min_length=1, max_length=LONGEST_PROMPT)] | None = None
    simulator: str = Field(default="", max_length=300)

    def options(self) -> Continuing:
        """The same for the flow."""
        return Continuing(
            policy=self.tools,
            turns=self.turns,
            toward=self.toward,
            persona=self.persona,
            simulator=self.simulator,
        )


class ReplayLimits(_Sent):
    """How fast a plan runs, and what it may take: no job starts after that."""

    concurrency: int = Field(default=2, ge=1, le=64, description="Calls at once.")
    budget_tokens: int | None = Field(default=None, ge=1, lt=2**62)
    budget_money: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


class ReplayRequest(ReplayLimits):
    """Nodes, or conditions that find them; what is changed; how many answers of each variant."""

    nodes: list[Annotated[str, Field(min_length=6, max_length=40)]] = Field(default=[], max_length=MOST_NODES)
    conditions: NodeConditions | None = None
    grid: VariantGrid = VariantGrid()
    samples: int = Field(default=1, ge=1, le=1000, description="Answers of each variant.")
    name: str = Field(default="", max_length=200)
    again: bool = Field(default=False, description="Run jobs again that have an answer.")
    side_calls: bool = Field(default=False, description="Include clients' side calls (titles, tags, ...).")
    continuing: ContinuingRequest | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.nodes) == (self.conditions is not None):
            raise ValueError("give nodes, or conditions that find them")
        return self

    def experiment(self) -> Experiment:
        """The same for the planner. Raises UsageError."""
        storable("name", self.name)
        found = self.conditions.conditions() if self.conditions is not None else None
        if found is not None and not found.conditions:
            raise UsageError("Give at least one condition: all nodes are too many to be meant.")
        return Experiment(
            nodes=tuple(self.nodes),
            query=found,
            variants=tuple(self.grid.variants()),
            samples=self.samples,
            name=self.name,
            again=self.again,
            side_calls=self.side_calls,
            concurrency=self.concurrency,
            budget_tokens=self.budget_tokens,
            budget_money=self.budget_money,
        )


class ResumeRequest(_Sent):
    """Limits of the rest; null: as before."""

    concurrency: int | None = Field(default=None, ge=1, le=64)
    budget_tokens: int | None = Field(default=None, ge=1, lt=2**62)
    budget_money: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
