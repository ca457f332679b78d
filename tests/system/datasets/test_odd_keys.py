"""Imported files whose keys PostgreSQL cannot hold as text: rows are made of them, and old answers are cleaned up."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from regraft.flows.capture.importing import import_files
from regraft.flows.capture.retention import remove_raw_bodies
from regraft.flows.datasets.freeze import freeze
from regraft.flows.evaluation.trajectories import materialise_units

RECIPE = """
name = "odd"
kind = "sft"
[source]
labels = ["signals"]
min_score = 0.0
"""


def test_a_key_with_half_a_surrogate_pair_stops_no_freeze_and_no_clean_up(truth: str, tmp_path: Path) -> None:
    lines = [
        {
            "id": f"key \ud800 {number} \x00",
            "source": "odd \udfff",
            "messages": [{"role": "user", "content": f"Q{number}"}, {"role": "assistant", "content": "An answer."}],
        }
        for number in range(3)
    ]
    file = tmp_path / "odd.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    import_files(truth, [file])
    bench = tmp_path / "workbench.duckdb"
    materialise_units(truth, bench)
    frozen = freeze(RECIPE, dsn=truth, workbench=bench, warehouse=str(tmp_path / "warehouse"))
    assert sum(frozen.row_counts.values()) == 3
    later = datetime.now(UTC) + timedelta(days=2)
    assert remove_raw_bodies(truth, timedelta(days=1), now=later).counts["answers"] == (0, 0)
    assert freeze(RECIPE, dsn=truth, workbench=bench, warehouse=str(tmp_path / "warehouse")) == replace(
        frozen, created=False
    )
