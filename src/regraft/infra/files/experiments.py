"""Experiment files: a small TOML text under version control that says which nodes are replayed, and how.

[experiment]
name = "cooler"
samples = 4
budget_tokens = 200_000
[nodes]                       # ids = ["01890a5d", ...], or conditions: every one given must be met
theme = "support"
outcome_below = 0.5
[grid]                        # each value with each; or [[variant]] tables, one after another
model = ["small", "large"]
temperature = [0.2, 1.0]
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, WrapValidator, field_validator, model_validator

from regraft.domain.capture.endings import Status
from regraft.domain.errors import ConfigError, UsageError
from regraft.domain.replay.experiment import SAMPLING, Experiment, Kind, Query, QueryName, grid, read_tools
from regraft.domain.replay.job import Variant, one_spelling
from regraft.infra.config.document import parse_document
from regraft.infra.config.section import FileSection
from regraft.infra.files.text import read_text

Read = Callable[[str], str]


def _as_list(value: object) -> object:
    return value if isinstance(value, list) else [value]


def _as_written(value: Any, validate: Callable[[Any], float]) -> Any:
    validate(value)
    return value  # 1 stays 1: a request and the digest of an experiment hold what was written


Texts = Annotated[list[str], BeforeValidator(_as_list, json_schema_input_type=str | list[str])]
Number = Annotated[float, WrapValidator(_as_written)]
Numbers = Annotated[list[Number], BeforeValidator(_as_list, json_schema_input_type=float | list[float])]
WholeNumbers = Annotated[list[int], BeforeValidator(_as_list, json_schema_input_type=int | list[int])]
Kinds = Annotated[list[Kind], BeforeValidator(_as_list, json_schema_input_type=Kind | list[Kind])]
Statuses = Annotated[list[Status], BeforeValidator(_as_list, json_schema_input_type=Status | list[Status])]


class ExperimentSection(FileSection):
    """The name of the plan, the number of answers, and the budget."""

    name: str = Field("", description="the plan's name")
    theme: str | None = Field(None, description="the theme of the new answers; unset: that of the node")
    samples: int = Field(1, ge=1, description="answers for each node and variant")
    concurrency: int = Field(2, ge=1, description="calls at the same time")
    again: bool = Field(False, description="whether jobs that were finished before are run again")
    side_calls: bool = Field(False, description="whether clients' side calls (titles, tags, ...) are replayed too")
    turns: int = Field(1, description="must be 1: conversations are continued by the option --continue")
    budget_tokens: int | None = Field(None, ge=1, description="tokens after which no new job starts")
    budget_money: float | None = Field(None, description="money after which no new job starts; it needs prices")

    @field_validator("turns")
    @classmethod
    def _is_one(cls, value: int) -> int:
        if value != 1:
            raise ValueError("can only be 1 in a file; use --continue to continue a conversation")
        return value


class NodesSection(FileSection):
    """Which nodes are replayed: ``ids``, or conditions, of which a node must meet every one that is given."""

    ids: Texts = Field([], description="ids of nodes, or unique beginnings of ids")
    session: Texts = Field([], description="sessions: ids or names")
    theme: Texts = Field([], description="themes")
    task: Texts = Field([], description="tasks")
    kind: Kinds = Field([], description="how the node came about")
    status: Statuses = Field([], description="how its call ended")
    model: Texts = Field([], description="models that answered")
    outcome_below: float | None = Field(None, description="rewards lower than this")
    outcome_above: float | None = Field(None, description="rewards higher than this")
    pivot: bool = Field(False, description="only contexts with several answers that differ")
    query: QueryName | None = Field(
        None, description="pivot: contexts whose answers came to different ends, the heaviest first"
    )
    replays: bool = Field(False, description="whether answers of replays are found too")
    limit: int | None = Field(None, ge=1, description="nodes at most")

    @model_validator(mode="after")
    def _ids_or_conditions(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("is empty: give ids, or conditions such as theme or outcome_below")
        if self.ids and self.model_fields_set != {"ids"}:
            raise ValueError("has ids and conditions: it takes one or the other")
        return self

    def conditions(self) -> Query:
        """The conditions. Raises UsageError when one of them can be met by no node."""
        return Query(
            sessions=tuple(self.session),
            themes=tuple(self.theme),
            tasks=tuple(self.task),
            kinds=tuple(self.kind),
            statuses=tuple(self.status),
            models=tuple(self.model),
            outcome_below=self.outcome_below,
            outcome_above=self.outcome_above,
            pivot=self.pivot,
            query=self.query or "",
            replays=self.replays,
            limit=self.limit,
        )


class _Changes(FileSection):
    tools_file: str | None = Field(None, description="a JSON file of tools to add or replace, beside this file")
    without_tools: Texts = Field([], description="names of tools that are taken away")
    plan: str | None = Field(None, description="the id of the taskification that the calls belong to")
    chat: bool = Field(False, description="whether the node is asked as a chat, whatever API it was asked through")

    def variant(self, read: Read) -> Variant:
        """A variant with these changes alone. ``read`` gives the text of a file that the experiment names."""
        tools = read_tools(read(self.tools_file), self.tools_file) if self.tools_file is not None else []
        return Variant(tools=tools or (), without_tools=tuple(self.without_tools), plan=self.plan, chat=self.chat)


class VariantSection(_Changes):
    """One variant: what is changed in the request. What is not named stays as it was."""

    model: str | None = Field(None, description="the model to ask")
    temperature: Number | None = Field(None, description="the sampling temperature")
    top_p: Number | None = Field(None, description="the share of probability that is sampled from")
    seed: int | None = Field(None, description="the seed of the first sample; the others count it up")
    max_tokens: int | None = Field(None, description="tokens of an answer at most")
    system: str | None = Field(None, description="the system prompt")
    system_file: str | None = Field(None, description="a file with the system prompt, beside this file")
    user: str | None = Field(None, description="the last user message")
    user_file: str | None = Field(None, description="a file with the last user message, beside this file")

    @model_validator(mode="after")
    def _text_or_file(self) -> Self:
        for name in ("system", "user"):
            if getattr(self, name) is not None and getattr(self, f"{name}_file") is not None:
                raise ValueError(f"has {name} and {name}_file: it takes one or the other")
        return self

    def variant(self, read: Read) -> Variant:
        """The variant."""
        fixed = super().variant(read)
        values = {name: getattr(self, name) for name in SAMPLING if getattr(self, name) is not None}
        return Variant(
            model=self.model,
            system=self.system if self.system_file is None else read(self.system_file),
            user=self.user if self.user_file is None else read(self.user_file),
            sampling=one_spelling(values),
            tools=fixed.tools,
            without_tools=fixed.without_tools,
            plan=fixed.plan,
            chat=fixed.chat,
        )


class GridSection(_Changes):
    """Variants: each value of each key with each value of the others. One value needs no list."""

    model: Texts = Field([], description="the models to ask")
    temperature: Numbers = Field([], description="sampling temperatures")
    top_p: Numbers = Field([], description="shares of probability that are sampled from")
    seed: WholeNumbers = Field([], description="seeds of the first sample; the other samples count it up")
    max_tokens: WholeNumbers = Field([], description="tokens of an answer at most")
    system: Texts = Field([], description="system prompts")
    system_file: Texts = Field([], description="files with system prompts, beside this file")
    user: Texts = Field([], description="last user messages")
    user_file: Texts = Field([], description="files with last user messages, beside this file")

    def variants(self, read: Read) -> list[Variant]:
        """All points of the grid, those of one model together."""
        dimensions: dict[str, list[Any]] = {name: getattr(self, name) for name in ("model", *SAMPLING)}
        dimensions["system"] = [*self.system, *map(read, self.system_file)]
        dimensions["user"] = [*self.user, *map(read, self.user_file)]
        return grid(dimensions, self.variant(read))


class ExperimentFile(FileSection):
    """An experiment: which nodes are replayed, under which variants, how often, and for how much at most."""

    experiment: ExperimentSection = Field(ExperimentSection(), description="name, samples, budgets")
    nodes: NodesSection = Field(description="give ids, or conditions such as theme or outcome_below")
    grid: GridSection | None = Field(None, description="variants as a grid; excludes `variant`")
    variant: list[VariantSection] | None = Field(None, description="variants one after another; excludes `grid`")

    @model_validator(mode="after")
    def _grid_or_variants(self) -> Self:
        if self.grid is not None and self.variant is not None:
            raise ValueError("[grid] and [[variant]] exclude each other: an experiment takes one or the other")
        return self

    def value(self, text: str, read: Read) -> Experiment:
        """The experiment. ``text`` is the file as written, kept with the plan. Raises UsageError."""
        said = self.experiment
        if self.grid is not None:
            variants = self.grid.variants(read)
        else:
            variants = [each.variant(read) for each in self.variant or ()] or [Variant()]
        return Experiment(
            nodes=tuple(self.nodes.ids),
            query=None if self.nodes.ids else self.nodes.conditions(),
            variants=variants,
            samples=said.samples,
            name=said.name,
            theme=said.theme,
            again=said.again,
            side_calls=said.side_calls,
            concurrency=said.concurrency,
            budget_tokens=said.budget_tokens,
            budget_money=said.budget_money,
            text=text,
        )


def parse_experiment(text: str, source: str, read: Read) -> Experiment:
    """An experiment from the text of its file. ``read`` gives the text of a file that it names.

    Raises ConfigError with the path of each key that is wrong.
    """
    document = parse_document(text, source, ExperimentFile)
    try:
        return document.value(text, read)
    except UsageError as error:
        raise ConfigError(f"{source}: {error}") from error


def read_experiment(path: Path) -> Experiment:
    """The experiment of a file; files that it names are searched for beside it. Raises ConfigError, UsageError."""
    return parse_experiment(read_text(path), str(path), lambda name: read_text(path.parent / name))
