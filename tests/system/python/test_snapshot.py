"""The public Python API: frozen datasets."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet
import pytest

import regraft
from regraft.domain.errors import NotFoundError, UsageError, WithdrawnError
from regraft.flows.datasets.export import export
from regraft.flows.datasets.withdraw import withdraw
from regraft.infra.postgres.pool import transaction
from support.frozen import register
from support.small_graph import SmallGraph, call, say

SFT = 'name = "good"\nkind = "sft"\n[splits]\ntrain = 0.8\nvalidation = 0.2\n'
DPO = 'name = "pairs"\nkind = "dpo"\n[source]\nlabels = ["signals"]\n[select]\nper_context = 0\n'


@pytest.fixture
def snapshot(log: regraft.Log) -> regraft.Snapshot:
    """Conversations, some with calls of tools, in two splits."""
    return log.freeze(SFT)


def test_a_recipe_is_a_text_a_file_or_a_built_in_name(log: regraft.Log, tmp_path: Path) -> None:
    (tmp_path / "good.toml").write_text(SFT)
    assert log.freeze(SFT).id == log.freeze(tmp_path / "good.toml").id == log.freeze("good.toml").id
    assert log.freeze("demo-sft").kind == "sft"
    with pytest.raises(NotFoundError, match="Built in: demo-dpo, demo-sft"):
        log.freeze("unknown")


def test_a_preview_writes_nothing(log: regraft.Log) -> None:
    found = log.preview(SFT)
    assert found.rows == sum(found.splits.values()) > 0
    assert log.snapshots().num_rows == 0


def test_a_snapshot_is_found_by_the_start_of_its_id(log: regraft.Log, snapshot: regraft.Snapshot) -> None:
    found = log.snapshot(snapshot.id[:8])
    assert (found.id, found.recipe, found.kind) == (snapshot.id, SFT, "sft")
    (row,) = log.snapshots().to_pylist()
    assert row["rows"] == sum(snapshot.row_counts.values())
    assert dict(row["row_counts"]) == snapshot.row_counts
    assert (
        repr(snapshot)
        == f"<regraft.Snapshot {snapshot.id}: sft, "
        + ", ".join(f"{count} {split}" for split, count in snapshot.row_counts.items())
        + ">"
    )


def test_the_name_of_a_dataset_is_its_newest_snapshot(log: regraft.Log, snapshot: regraft.Snapshot, truth: str) -> None:
    newer = log.freeze(SFT + "[select]\nper_context = 0\n")
    assert newer.id != snapshot.id
    with transaction(truth) as connection:
        for number, day in enumerate(("2100-01-02", "2100-01-01")):
            named = {"dataset": "good-too", "iceberg_snapshot_id": number, "recipe": SFT}
            register(connection, f"good-too-{number}", created_at=f"{day}T00:00:00Z", **named)
    assert log.snapshot("good").id == newer.id
    assert log.snapshot("good-too").id == "good-too-0"
    with pytest.raises(NotFoundError, match="Several snapshots start with good-"):
        log.snapshot("good-")


def test_rows_come_with_their_certificates_of_one_split_or_of_all(snapshot: regraft.Snapshot) -> None:
    rows = snapshot.rows()
    assert rows.num_rows == sum(snapshot.row_counts.values())
    assert b"who decided" in rows.schema.field("label_source").metadata[b"about"]
    for split, count in snapshot.row_counts.items():
        assert snapshot.rows(split).column("split").to_pylist() == [split] * count
    (asked,) = [row for row in rows.to_pylist() if row["tools"]]
    assert json.loads(asked["messages"][1]["tool_calls"][0]["function"]["arguments"]) == {"city": "Oslo"}
    with pytest.raises(UsageError, match=r"has no split 'test'\. It has: train, validation"):
        snapshot.rows("test")


def test_a_snapshot_verifies_itself(snapshot: regraft.Snapshot) -> None:
    assert snapshot.verify().ok


@pytest.mark.parametrize("target", ["trl", "openai", "axolotl"])
def test_a_targets_records_are_those_of_its_export(
    log: regraft.Log, snapshot: regraft.Snapshot, truth: str, tmp_path: Path, target: str
) -> None:
    export(snapshot.id, tmp_path / "out", dsn=truth, warehouse=str(tmp_path / "warehouse"), format=target)
    for split in snapshot.row_counts:
        lines = (tmp_path / "out" / f"{split}.jsonl").read_text("utf-8").splitlines()
        rows = snapshot.for_target(target, split)
        key = json.dumps
        assert sorted(map(key, rows)) == sorted(map(key, map(json.loads, lines)))
        assert rows.left_out == {}


def test_records_for_trl_hold_arguments_as_objects_without_nulls(snapshot: regraft.Snapshot) -> None:
    (asked,) = [record for record in snapshot.for_target("trl") if record.get("tools")]
    call = asked["messages"][1]["tool_calls"][0]
    assert call["function"] == {"name": "weather", "arguments": {"city": "Oslo"}}
    assert "content" not in asked["messages"][1] or asked["messages"][1]["content"] is not None


def test_a_targets_records_are_an_arrow_stream(log: regraft.Log, snapshot: regraft.Snapshot) -> None:
    rows = snapshot.for_target("trl", "train")
    records = rows.to_arrow()
    assert pa.table(rows).equals(records)
    read = [[json.loads(each) for each in row] for row in records.column("messages").to_pylist()]
    assert read == [record["messages"] for record in rows.to_list()]
    assert duckdb.sql("SELECT count(*) FROM records").fetchall() == [(snapshot.row_counts["train"],)]
    roles = duckdb.sql("SELECT DISTINCT messages[1].role::VARCHAR AS role FROM records ORDER BY role").fetchall()
    assert roles == [('"system"',), ('"user"',)]
    pairs = log.freeze(DPO).for_target("trl")
    assert set(pairs.to_arrow().column_names) >= {"prompt", "chosen", "rejected"}
    assert len(pairs.to_list()) == sum(log.freeze(DPO).row_counts.values())


def test_numbers_stay_as_they_were_written(truth: str, tmp_path: Path) -> None:
    said = '{"price": 1.10, "count": 9007199254740993}'
    with transaction(truth) as connection:
        graph = SmallGraph(connection)
        ask = [say("user", "Sell it.")]
        tool = {"type": "function", "function": {"name": "sell", "parameters": {"type": "object"}}}
        graph.turn(graph.session("shop"), ask, call("c1", "sell", said), tools=[tool], finish="tool_calls")
    with regraft.open(dsn=truth, data_dir=tmp_path, warehouse=str(tmp_path / "warehouse")) as log:
        rows = log.freeze(SFT).for_target("trl")
        (messages,) = rows.to_arrow().column("messages").to_pylist()
        assert said in messages[1]
        (record,) = rows
        assert record["messages"][1]["tool_calls"][0]["function"]["arguments"] == json.loads(said)


def test_an_unknown_target_or_one_without_a_form_is_refused(log: regraft.Log, snapshot: regraft.Snapshot) -> None:
    with pytest.raises(UsageError, match="It is one of: trl, openai"):
        snapshot.for_target("paper")
    with pytest.raises(UsageError, match=r"alpaca has no form for kind dpo\. It takes: sft"):
        log.freeze(DPO).for_target("alpaca")
    with pytest.raises(UsageError, match="has no split"):
        snapshot.for_target("trl", "test")


def test_changed_files_stop_a_pass_over_records(snapshot: regraft.Snapshot, tmp_path: Path) -> None:
    rows = snapshot.for_target("trl", "validation")
    rows.to_list()
    (file,) = (tmp_path / "warehouse").rglob("train-*.parquet")
    table = pa.parquet.read_table(file)
    other = table.set_column(table.schema.get_field_index("tools"), "tools", pa.array(["[]"] * table.num_rows))
    pa.parquet.write_table(other.cast(table.schema), file)
    with pytest.raises(regraft.RegraftError, match=r"differs from what was frozen|cannot be read"):
        rows.to_list()
    assert not snapshot.verify().ok


def test_a_snapshot_that_is_withdrawn_while_it_is_open_gives_no_more_rows(
    snapshot: regraft.Snapshot, truth: str, tmp_path: Path
) -> None:
    rows = snapshot.for_target("trl")
    assert rows.to_list()
    withdraw(snapshot.id, "the licence changed", dsn=truth, warehouse=str(tmp_path / "warehouse"))
    for read in (rows.to_list, snapshot.rows, snapshot.verify):
        with pytest.raises(WithdrawnError, match="the licence changed"):
            read()


def test_datasets_is_asked_for_when_it_is_not_installed(
    snapshot: regraft.Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any, **rest: Any) -> Any:
        if name == "datasets":
            raise ImportError(name)
        return real(name, *more, **rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r"pip install 'datasets>=5\.2'"):
        snapshot.to_datasets("trl", "train")
