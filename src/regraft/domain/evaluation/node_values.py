"""Values of nodes, propagated up from the paths through them: what an answer led to, on average."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

ValueSource = Literal["human", "outcome", "judge"]
VALUE_SOURCES: tuple[ValueSource, ...] = get_args(ValueSource)  # people's judgements, measured outcomes, models'


@dataclass(frozen=True, slots=True)
class NodeValue:
    """``mean`` of what the paths through a node came to, each 0 to 1, and how many those ``paths`` are."""

    mean: float
    paths: int


def backed_up(paths: Iterable[tuple[Sequence[str], float]]) -> Mapping[str, NodeValue]:
    """The value of each node on paths that are given with what they came to: the mean over all leaves below it."""
    sums: dict[str, tuple[float, int]] = {}
    for nodes, value in paths:
        for node in nodes:
            total, count = sums.get(node, (0.0, 0))
            sums[node] = (total + value, count + 1)
    return {node: NodeValue(total / count, count) for node, (total, count) in sums.items()}
