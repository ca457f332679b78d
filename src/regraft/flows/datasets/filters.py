"""What a recipe leaves out although it is legal: lengths, languages, near-duplicates, evaluation prompts; and
redaction."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from regraft.domain.datasets.messages import RowRefusal
from regraft.domain.datasets.recipe import Filters
from regraft.domain.datasets.rows import Row
from regraft.flows.datasets.row_filters.contamination import Contamination
from regraft.flows.datasets.row_filters.languages import Languages
from regraft.flows.datasets.row_filters.lengths import Lengths
from regraft.flows.datasets.row_filters.near_duplicates import NearDuplicates
from regraft.flows.datasets.row_filters.redaction import RowRedaction


class RowFilter(Protocol):
    """One step of the way of a row into a dataset, in the order of rank."""

    def check(self, row: Row) -> Row | RowRefusal:
        """The row, changed where the filter replaces something; or why it is left out."""

    def replaced(self, row: Row) -> Row:
        """The row with what the filter replaces, and no row left out: to prove a stored row again."""

    def report(self) -> Mapping[str, object]:
        """Figures for the certificate: what was found, replaced, or compared."""

    def links(self) -> list[tuple[int, int]]:
        """Pairs of kept rows, by their order, that belong into one split."""


class RowFilters:
    """The filters of a recipe, one after another. ``folder`` is the data folder with the
    key of redaction, None where that is not known."""

    def __init__(self, wanted: Filters, folder: Path | None) -> None:
        self._redaction: RowRedaction | None = None
        self._filters: list[RowFilter] = []
        if wanted.decontaminate:
            self._filters.append(Contamination(wanted.decontaminate, wanted.ngram))
        if wanted.languages:
            self._filters.append(Languages(wanted.languages))
        if wanted.redact:
            self._redaction = RowRedaction(wanted.redact, folder)
            self._filters.append(self._redaction)
        if wanted.tokenizer:
            self._filters.append(Lengths(wanted))
        if wanted.near_duplicates:  # the last one: it remembers the rows that it lets through as kept
            self._filters.append(NearDuplicates(wanted.near_duplicates))

    def check(self, row: Row) -> Row | RowRefusal:
        """The row after every filter, or the first refusal."""
        for each in self._filters:
            checked = each.check(row)
            if isinstance(checked, RowRefusal):
                return checked
            row = checked
        return row

    def replaced(self, row: Row) -> Row:
        """The row with what the filters replace in it."""
        for each in self._filters:
            row = each.replaced(row)
        return row

    def unprovable(self, report: Mapping[str, object]) -> str:
        """Why stored rows cannot be made again here, '' when they can. ``report`` is the one of their freeze."""
        return self._redaction.unprovable(report) if self._redaction else ""

    def report(self) -> Mapping[str, object]:
        """The figures of every filter."""
        return {name: value for each in self._filters for name, value in each.report().items()}

    def links(self) -> list[tuple[int, int]]:
        """Pairs of kept rows that belong into one split."""
        return [link for each in self._filters for link in each.links()]
