"""The figures of judges from items that people judged too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pyarrow as pa

from regraft.domain.evaluation.agreement import (
    Weights,
    accuracy,
    class_figures,
    cohens_kappa,
    corrected_prevalence,
    disagreement,
    macro_f1,
)
from regraft.domain.evaluation.calibration import LABELS, PEOPLE, JudgeFigures
from regraft.infra.statistics.bootstrap import f1s, intervals, kappas, macro_f1s

FEWEST_OF_THEME = 10  # items of a theme from which it has figures of its own
_FIFTHS = 5
_FEWEST = 10  # items from which a coding by length counts, and a half of the items has a figure
_NOT_BY_SCOPE: Mapping[str, Any] = dict.fromkeys(
    ("flips", "first_share", "judged", "prevalence", "corrected_prevalence")
)
_YES = 1  # the place of "yes" among the labels of a category


@dataclass(frozen=True, slots=True)
class JudgeFacts:
    """What is known of judges beside the items: rows by version, as the queries give them. ``positions`` and
    ``versions`` are by version, ``prevalences`` by version, category and theme."""

    positions: Mapping[str, Mapping[str, Any]]
    versions: Mapping[str, Mapping[str, Any]]
    prevalences: Mapping[tuple[str, str, str | None], Mapping[str, Any]]


def judge_figures(items: pa.Table, facts: JudgeFacts) -> Iterator[JudgeFigures]:
    """The figures of each judge on each task and category: over all items, by tenant, and by theme where there are
    several.

    ``items`` are ordered by ``judge_group``, then in time.
    """
    import numpy as np

    group = items["judge_group"].to_numpy()
    starts: list[int] = np.flatnonzero(np.diff(group, prepend=-1)).tolist()
    for start, end in pairwise([*starts, len(group)]):
        one = _Items(items.slice(start, end - start))
        whole = one.figures(facts)
        yield whole
        scopes = one.parts("scope")
        for scope, part in scopes:
            yield replace(whole, **_NOT_BY_SCOPE, scope=scope) if len(scopes) == 1 else part.figures(facts, scope=scope)
        themes = one.parts("theme")
        for theme, part in themes if len(themes) > 1 else ():
            if len(part) >= FEWEST_OF_THEME:
                yield part.figures(facts, theme=theme)


class _Items:
    """The items of one judge on one task and category, in time, as arrays."""

    def __init__(self, rows: pa.Table) -> None:
        self._rows = rows
        self.first = rows.slice(0, 1).to_pylist()[0]
        self.labels: Sequence[str] = LABELS[self.first["task"]]
        self._people = _codes(rows["people"], self.labels)
        self._said = _codes(rows["said"], self.labels)
        self._component = rows["component"].to_numpy()
        self._longer = _codes(rows["longer"], ("a", "b", ""))
        self._own = _codes(rows["own"], ("a", "b", ""))

    def __len__(self) -> int:
        return len(self._people)

    def parts(self, column: str) -> list[tuple[str, _Items]]:
        """Those of each theme, or of each tenant, by its name."""
        import numpy as np

        code, names = _encoded(self._rows[column])
        if len(names) == 1:
            return [(names[0], self)]
        order = sorted(range(len(names)), key=lambda place: names[place])
        return [(names[place], _Items(self._rows.take(pa.array(np.flatnonzero(code == place))))) for place in order]

    def figures(self, facts: JudgeFacts, *, theme: str | None = None, scope: str | None = None) -> JudgeFigures:
        """All figures; what is not counted by tenant is not in those of one."""
        import numpy as np

        judge, size = self.first, len(self.labels)
        task, category, version = judge["task"], judge["category"], judge["judge_version"]
        weights: Weights = "quadratic" if task == "rating" else "none"
        counts = _matrix(self._people, self._said, size)
        kappa = cohens_kappa(counts, weights)
        cost = disagreement(size, weights)
        found = intervals(
            self._component,
            self._people * size + self._said,
            size * size,
            {
                "kappa": lambda drawn: kappas(drawn, cost),
                "f1": (lambda drawn: f1s(drawn, size, _YES))
                if task == "categories"
                else (lambda drawn: macro_f1s(drawn, size)),
            },
        )
        half = len(self) // 2
        halves = [slice(0, half), slice(half, None)] if half >= _FEWEST else []
        early_late = [cohens_kappa(_matrix(self._people[each], self._said[each], size), weights) for each in halves]
        one = class_figures(counts, _YES) if task == "categories" else None
        pairs = facts.positions.get(version) if task == "preference" and theme is None and scope is None else None
        seen = facts.prevalences.get((version, category, theme)) if task == "categories" and scope is None else None
        snapshots = tuple(sorted(each for each in self._rows["snapshot"].unique().to_pylist() if each))
        interval, f1_interval = found["kappa"], found["f1"]
        return JudgeFigures(
            **{name: judge[name] for name in ("judge", "judge_version", "source", "given_by", "model")},
            task=task,
            category=category,
            theme=theme,
            scope=scope,
            items=len(self),
            components=len(np.unique(self._component)),
            kappa=kappa,
            kappa_low=interval.low if interval else None,
            kappa_high=interval.high if interval else None,
            agreement=self._agreement(kappa),
            accuracy=accuracy(counts),
            precision=one.precision if one else None,
            recall=one.recall if one else None,
            f1=one.f1 if one else macro_f1(counts),
            f1_low=f1_interval.low if f1_interval else None,
            f1_high=f1_interval.high if f1_interval else None,
            labels=tuple(self.labels),
            confusion=tuple(map(tuple, counts)),
            flips=_share(pairs["flipped"], pairs["pairs"]) if pairs else None,
            first_share=_share(pairs["first"], pairs["decided"]) if pairs else None,
            longer_share=self._preference_for(self._longer, self._said),
            people_longer_share=self._preference_for(self._longer, self._people),
            own_pairs=int(np.count_nonzero(self._own < 2)),
            own_share=self._preference_for(self._own, self._said),
            people_own_share=self._preference_for(self._own, self._people),
            judged=seen["judged"] if seen else None,
            prevalence=seen["prevalence"] if seen else None,
            corrected_prevalence=_corrected(seen["prevalence"], counts) if seen else None,
            kappa_early=early_late[0] if early_late else None,
            kappa_late=early_late[1] if early_late else None,
            snapshots=snapshots,
            stale=_stale(facts.versions.get(version), snapshots),
        )

    def _agreement(self, kappa: float | None) -> float | None:
        """The least kappa over codings in which a judge of length alone has 0.

        A judge that always takes the longer answer agrees with people who often do; as "the longer" or "the shorter"
        its answers are anyway. Of ratings it is the kappa within fifths of about equal length.
        """
        task = self.first["task"]
        if kappa is None or task == "categories" or self.first["judge"] == PEOPLE:
            return kappa
        other = self._kappa_by_length() if task == "preference" else self._kappa_of_equal_length()
        return kappa if other is None else min(kappa, other)

    def _kappa_by_length(self) -> float | None:
        unequal = self._longer < 2
        if int(unequal.sum()) < _FEWEST:
            return None
        by_length = [_by_side(label[unequal], self._longer[unequal]) for label in (self._people, self._said)]
        return cohens_kappa(_matrix(by_length[0], by_length[1], len(self.labels)))

    def _kappa_of_equal_length(self) -> float | None:
        """Weighted kappa with the disagreement of each fifth, observed and by chance, added up."""
        import numpy as np

        size = len(self.labels)
        if len(self) < _FIFTHS * _FEWEST:
            return None
        length = self._rows["characters"].to_numpy()
        fifth = np.searchsorted(np.quantile(length, np.arange(1, _FIFTHS) / _FIFTHS), length, side="right")
        cost = np.array(disagreement(size, "quadratic"))
        observed = expected = 0.0
        for place in range(_FIFTHS):
            among = fifth == place
            counts = np.array(_matrix(self._people[among], self._said[among], size), float)
            observed += (cost * counts).sum()
            expected += (cost * np.outer(counts.sum(axis=1), counts.sum(axis=0))).sum() / max(1.0, counts.sum())
        return float(1.0 - observed / expected) if expected else None

    def _preference_for(self, side: Any, label: Any) -> float | None:
        """The share of decided preferences for the answer on a side that was named."""
        decided = (side < 2) & (label < 2) & (self.first["task"] == "preference")
        return _share(int((label[decided] == side[decided]).sum()), int(decided.sum()))


def _by_side(label: Any, side: Any) -> Any:
    """Labels a and b as 0, that side, and 1, the other one."""
    import numpy as np

    return np.where(label < 2, (label != side).astype(np.int64), label)


def _codes(column: Any, labels: Sequence[str]) -> Any:
    import numpy as np

    code, names = _encoded(column)
    place = {label: index for index, label in enumerate(labels)}
    return np.array([place[name] for name in names], np.int64)[code]


def _encoded(column: Any) -> tuple[Any, list[str]]:
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    return encoded.indices.to_numpy(), encoded.dictionary.to_pylist()


def _matrix(people: Any, said: Any, size: int) -> list[list[int]]:
    import numpy as np

    counts: list[list[int]] = np.bincount(people * size + said, minlength=size * size).reshape(size, size).tolist()
    return counts


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _corrected(apparent: float, counts: Sequence[Sequence[int]]) -> float | None:
    (true_no, false_yes), (false_no, true_yes) = counts
    if not true_no + false_yes or not false_no + true_yes:
        return None
    return corrected_prevalence(apparent, true_yes / (false_no + true_yes), true_no / (true_no + false_yes))


def _stale(version: Mapping[str, Any] | None, snapshots: Sequence[str]) -> str:
    if version is None:
        return ""
    if not version["current"]:
        return "rubric"
    latest = version["latest_snapshot"]
    return "model" if latest and latest not in snapshots else ""
