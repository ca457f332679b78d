"""Recorded conversations: the folders that hold some, and the histories in one."""

from __future__ import annotations

from typing import Any

import pytest

from support.recorded_traffic import lines

FOLDERS = [
    "glaive-toolcall",
    "hh-rlhf-harmless",
    "ja-vicuna-qa",
    "mt-bench",
    "oasst-model-eval",
    "oasst-trees",
    "pandalm",
    "sharegpt-dummy",
    "swe-agent",
    "tau-bench-airline",
    "tau2-bench",
    "toolbench",
    "vicuna-bench",
]


GOLDEN_FOLDERS = ["hh-rlhf-harmless", "mt-bench", "oasst-trees", "swe-agent", "tau-bench-airline", "tau2-bench"]


def each_folder(*names):
    """Parametrises ``source`` and ``name``: the folders, or all there are, of the golden and of the recorded data."""
    golden = [pytest.param("golden", name, id=f"golden-{name}") for name in names or GOLDEN_FOLDERS]
    marks = pytest.mark.corpus
    recorded = [pytest.param("recorded", name, id=f"recorded-{name}", marks=marks) for name in names or FOLDERS]
    return pytest.mark.parametrize(("source", "name"), [*golden, *recorded], indirect=["source"])


def conversations(folder) -> list[list[dict[str, Any]]]:
    """The messages of every conversation in a folder."""
    return [row["messages"] for path in sorted(folder.glob("conversations*.jsonl.zst")) for row in lines(path)]
