"""Pivots: contexts of a session whose answers led to different outcomes, and how many paths depend on them.

The value of an answer is the mean outcome of the paths through it. People's judgements, measured outcomes and
models' judgements are never mixed: a context may be a pivot by each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import stdev

from regraft.domain.evaluation.node_values import NodeValue, ValueSource, backed_up


@dataclass(frozen=True, slots=True)
class ValuedPath:
    """A path from its first turn to a leaf, with the anchor of each node, and what it came to (0 to 1) by source."""

    nodes: Sequence[str]
    anchors: Sequence[str]
    values: Mapping[ValueSource, float]


@dataclass(frozen=True, slots=True)
class ValuedAnswer:
    """One answer under a pivot's anchor, with its value."""

    node_id: str
    value: NodeValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Pivot:
    """An anchor whose answers have different values by one source.

    ``answers`` are the best first. ``mean``: of their values. ``spread``: the sample standard deviation of their
    values, 0 to about 0.71. ``error``: the standard error of ``mean``, which is the spread over the square root of the
    number of answers. ``leaves``: valued paths below all of them. ``weight``: spread times leaves.
    """

    anchor: str
    source: ValueSource
    answers: tuple[ValuedAnswer, ...]
    mean: float
    spread: float
    error: float
    leaves: int
    weight: float


def pivots_of(paths: Iterable[ValuedPath], source: ValueSource) -> list[Pivot]:
    """The pivots by one source, the heaviest first. Paths that this source does not value count for nothing."""
    valued = [path for path in paths if source in path.values]
    values = backed_up((path.nodes, path.values[source]) for path in valued)
    siblings: dict[str, dict[str, None]] = {}
    for path in valued:
        for node, anchor in zip(path.nodes, path.anchors, strict=True):
            siblings.setdefault(anchor, {})[node] = None
    found = (_pivot(anchor, source, nodes, values) for anchor, nodes in siblings.items() if len(nodes) > 1)
    return sorted((each for each in found if each is not None), key=lambda each: (-each.weight, each.anchor))


def _pivot(anchor: str, source: ValueSource, nodes: Iterable[str], values: Mapping[str, NodeValue]) -> Pivot | None:
    answers = sorted(
        (ValuedAnswer(node, values[node]) for node in nodes), key=lambda one: (-one.value.mean, one.node_id)
    )
    means = [answer.value.mean for answer in answers]
    if means[0] == means[-1]:
        return None
    spread = stdev(means)
    leaves = sum(answer.value.paths for answer in answers)
    return Pivot(
        anchor=anchor,
        source=source,
        answers=tuple(answers),
        mean=sum(means) / len(means),
        spread=spread,
        error=spread / sqrt(len(means)),
        leaves=leaves,
        weight=spread * leaves,
    )
