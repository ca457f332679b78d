"""A taxonomy's file, as users write it."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from regraft.domain.evaluation.taxonomy import Category, RuleName, SignalBound, SignalName, Taxonomy
from regraft.infra.config.section import FileSection


class BoundSection(FileSection):
    """From and up to which value a measured signal speaks for the category."""

    min: float | None = Field(None, description="least value; none if unset")
    max: float | None = Field(None, description="greatest value; none if unset")

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("needs min, max, or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("has a min above its max")
        return self


class CategorySection(FileSection):
    """A category: what it means, and what makes it hold."""

    definition: str = Field(min_length=1, description="when a conversation belongs to it")
    examples: list[str] = Field([], description="what belongs to it")
    counter_examples: list[str] = Field([], description="what looks like it and does not belong")
    rule: RuleName | None = Field(None, description="a built-in rule that says when it holds")
    where: dict[SignalName, BoundSection] = Field(
        {}, description="a rule of your own: measured signals, each with its bounds; all must be met"
    )
    threshold: float = Field(0.5, gt=0, le=1, description="value of a label from which it decides, 0 to 1")

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if self.rule is not None and self.where:
            raise ValueError("has a rule and bounds under where: it takes one or the other")
        return self


class TaxonomyFile(FileSection):
    """Categories that conversations are sorted into, each under its own name."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$", description="the taxonomy's name, which its labels carry")
    categories: dict[str, CategorySection] = Field(min_length=1, description="the categories by name")

    def taxonomy(self) -> Taxonomy:
        """The taxonomy. Raises ConfigError for names that are none."""
        return Taxonomy(
            self.name,
            tuple(
                Category(
                    name=name,
                    definition=each.definition,
                    examples=tuple(each.examples),
                    counter_examples=tuple(each.counter_examples),
                    rule=each.rule or "",
                    bounds=tuple(SignalBound(signal, bound.min, bound.max) for signal, bound in each.where.items()),
                    threshold=each.threshold,
                )
                for name, each in self.categories.items()
            ),
        )
