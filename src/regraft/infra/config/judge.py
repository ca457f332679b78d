"""A judge's file, as users write it."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from regraft.infra.config.section import FileSection

_OURS = frozenset({"model", "messages", "response_format", "stream", "n", "tools", "tool_choice"})


class JudgedCategorySection(FileSection):
    """A category that the judge searches for."""

    definition: str = Field(min_length=1, description="when a conversation belongs to it")
    examples: list[str] = Field([], description="what belongs to it")
    counter_examples: list[str] = Field([], description="what looks like it and does not belong")


class JudgeFile(FileSection):
    """A judge: a model, a rubric, and what it decides."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="the judge's name, which its labels carry")
    task: Literal["categories", "preference", "rating"] = Field(
        description="what it decides: categories of a path, the better of two answers, a rating of a path"
    )
    model: str = Field("", description="the model, as the gateway knows it; empty: the local model")
    rubric: str = Field("", description="the instructions, which make up the system prompt")
    rubric_file: str = Field("", description="a file with the instructions instead, relative to this one")
    votes: int = Field(1, ge=1, le=25, description="votes on each item; of a pair: in each order")
    both_orders: bool = Field(
        True, description="ask about a pair in both orders; a judge that changes its mind prefers none"
    )
    max_characters: int = Field(
        24_000, ge=400, le=2_000_000, description="of an item that are shown; of a longer one the middle is left out"
    )
    sampling: dict[str, Any] = Field({}, description="further fields of its requests, such as temperature or seed")
    taxonomy: str = Field(
        "", description="of the task categories: a taxonomy's file, relative to this one; none: the taxonomy in use"
    )
    categories: dict[str, JudgedCategorySection] = Field(
        {}, description="of the task categories, instead of a taxonomy: each by its name"
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if bool(self.rubric.strip()) == bool(self.rubric_file):
            raise ValueError("needs a rubric or a rubric_file, and not both")
        if self.task != "categories" and (self.categories or self.taxonomy):
            raise ValueError("has categories, which belong to the task categories")
        if self.categories and self.taxonomy:
            raise ValueError("has categories and a taxonomy: give one of them")
        if taken := sorted(_OURS & self.sampling.keys()):
            raise ValueError(f"sampling cannot set {taken[0]}: the judge's other keys say it")
        return self
