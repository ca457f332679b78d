"""Recorded conversations: the folders that hold some, and the histories in one."""

from __future__ import annotations

from typing import Any

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


def conversations(folder) -> list[list[dict[str, Any]]]:
    """The messages of every conversation in a folder."""
    return [row["messages"] for path in sorted(folder.glob("conversations*.jsonl.zst")) for row in lines(path)]
