"""A format: how a row is written for one training target, and how that target reads it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from regraft.domain.datasets.formats.features import Features
from regraft.domain.datasets.messages import RowRefusal
from regraft.domain.datasets.rows import Row

Parts = dict[str, Any]  # the columns of a row, each a list of canonical messages, and its tools


class Format(Protocol):
    """A target's JSON Lines. A row may be legal and still be refused by one format for its own reason."""

    @property
    def name(self) -> str:
        """The name that ``regraft dataset export --format`` takes."""

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of rows that the format can hold."""

    @property
    def note(self) -> str:
        """Notes on the encoding for the dataset card."""

    def encode(self, row: Row) -> str | RowRefusal:
        """The row as one line of JSON, or why the format cannot express it."""

    def decode(self, line: str, kind: str) -> Parts:
        """A line as the target's own converter reads it, in canonical parts."""

    def loss(self, row: Row, line: str) -> RowRefusal | None:
        """The first difference in what the target would read; None when nothing is lost."""

    def features(self, kind: str, *, last_only: bool) -> Features:
        """The keys of a line and their types, as ``datasets`` loads them. ``last_only``: only last answers count."""

    def file_name(self, row: Row, split: str) -> str:
        """The file that a row belongs to."""

    def companions(self, dataset: str, kind: str, files: Sequence[str]) -> Mapping[str, str]:
        """Additional files for the target, by name: a registration of the dataset, a configuration."""


def write_row(target: Format, row: Row) -> str | RowRefusal:
    """A proven line: encoded, decoded as the target does and equal to the row; or why there is none."""
    if row.kind not in target.kinds:
        return RowRefusal("kind_unsupported", f"{target.name} has no form for kind {row.kind}")
    line = target.encode(row)
    return line if isinstance(line, RowRefusal) else target.loss(row, line) or line
