"""Rows that say nearly the same: the better ranked one stays, and those that are only alike share a split."""

from __future__ import annotations

from array import array
from collections.abc import Mapping

from regraft.domain.datasets.messages import RowRefusal
from regraft.domain.datasets.rows import Row
from regraft.domain.datasets.words import runs, spoken, words
from regraft.infra.text.minhash_index import PERMUTATIONS, MinHashIndex

ALIKE = 0.5  # kept rows from this similarity on share a split
_RUN = 5  # words


class NearDuplicates:
    """Compares the sets of 5-grams of words. Must see only rows that are kept unless it refuses them itself."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._alike = min(ALIKE, threshold)
        self._index = MinHashIndex()
        self._rows = array("Q")  # by number in the index: the row, by the order of being kept
        self._row_ids: list[str] = []
        self._labels: list[str | None] = []
        self._kept = self._refused = 0
        self._links: list[tuple[int, int]] = []
        self._parent = array("Q")

    def check(self, row: Row) -> Row | RowRefusal:
        """Refuse a row that resembles a kept one. Rows with different labels contradict each other, and both stay."""
        parts = [run for text in spoken(row) for run in runs(words(text), _RUN)]
        if not parts:
            self._kept += 1
            return row
        signature = self._index.signature(parts)
        alike = self._index.resembling(signature, self._alike)
        for number, share in alike:
            if share < self._threshold:
                break
            if self._labels[number] == row.label:
                self._refused += 1
                return RowRefusal("near_duplicate", f"resembles {self._row_ids[number]} ({share:.2f})")
        number = self._index.add(signature)
        self._rows.append(self._kept)
        self._row_ids.append(row.row_id)
        self._labels.append(row.label)
        self._parent.append(number)
        self._kept += 1
        for other, _ in alike:
            self._link(number, other)
        return row

    def _link(self, number: int, other: int) -> None:
        """One link joins two groups of rows; further ones between the same groups say nothing new."""
        first, second = self._root(number), self._root(other)
        if first != second:
            self._parent[max(first, second)] = min(first, second)
            self._links.append((self._rows[number], self._rows[other]))

    def _root(self, number: int) -> int:
        root = number
        while self._parent[root] != root:
            root = self._parent[root]
        while self._parent[number] != root:
            self._parent[number], number = root, self._parent[number]
        return root

    def replaced(self, row: Row) -> Row:
        """Nothing is replaced."""
        return row

    def report(self) -> Mapping[str, object]:
        """The thresholds, and the pairs that were found above them."""
        figures = {
            "threshold": self._threshold,
            "same_split_from": self._alike,
            "words_of_a_run": _RUN,
            "permutations": PERMUTATIONS,
            "refused": self._refused,
            "links": len(self._links),
        }
        return {"near_duplicates": figures}

    def links(self) -> list[tuple[int, int]]:
        """Kept rows that resemble each other."""
        return self._links
