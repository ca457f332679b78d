"""From a graph to frozen datasets: units, pairs, review, freeze, verify, export, on a real PostgreSQL and DuckDB."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from regraft.domain.datasets.formats import FORMATS
from regraft.domain.errors import ConfigError, IllegalRowError, NotFoundError, UsageError
from regraft.domain.evaluation.pairs import pair_id
from regraft.domain.lineage.projection import PROJECTION_VERSION
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.datasets.export import export
from regraft.flows.datasets.freeze import Frozen, freeze, list_snapshots, stored_rows
from regraft.flows.datasets.verify import verify
from regraft.flows.evaluation.pairs import propose_pairs
from regraft.flows.evaluation.review import rate_unit, record_preference
from regraft.flows.evaluation.trajectories import materialise_units
from regraft.flows.lineage.build import build
from regraft.flows.lineage.reprojection import rebuild
from regraft.infra.duckdb.evaluation.workbench import Workbench
from regraft.infra.iceberg import snapshots
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.datasets import registry
from regraft.infra.postgres.pool import connect, transaction
from support.small_graph import READ, WEATHER, SmallGraph, Turn, call, every_kind, many_choices, say

SOURCE = '[source]\nlabels = ["human", "signals"]\n'
SFT = f'name = "good"\nkind = "sft"\n{SOURCE}'
DPO = f'name = "better"\nkind = "dpo"\n[select]\nper_context = 0\n{SOURCE}'

SUM = {"type": "function", "function": {"name": "sum", "parameters": {"type": "array"}}}


@pytest.fixture
def turns(truth: str) -> dict[str, Turn]:
    with transaction(truth) as connection:
        return every_kind(SmallGraph(connection))


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    return tmp_path / "workbench.duckdb"


@pytest.fixture
def frozen(truth: str, tmp_path: Path, bench: Path) -> Callable[[str], Frozen]:
    return lambda recipe: freeze(recipe, dsn=truth, workbench=bench, warehouse=str(tmp_path / "warehouse"))


def grow(dsn: str, build: int, work: Callable[[SmallGraph], Any]) -> Any:
    with transaction(dsn) as connection:
        clock = connection.execute("SELECT count(*) AS n FROM session_turn").fetchone()
        assert clock is not None
        return work(SmallGraph(connection, build=build, clock=clock["n"]))


def test_units_are_the_leaves_and_carry_what_was_measured(truth: str, turns: dict[str, Turn], bench: Path) -> None:
    counts = materialise_units(truth, bench)
    units = {unit["unit_id"]: unit for unit in Workbench(bench).units()}
    inner = {turns[name].node_id for name in ("first", "asked", "again")}
    assert set(units) == {turn.node_id for turn in turns.values()} - inner
    assert (counts.sessions, counts.units, counts.build) == (2, len(units), 1)
    answered = units[turns["answered"].node_id]
    assert answered["path_nodes"] == [turns[name].node_id for name in ("asked", "again", "answered")]
    assert (answered["turns"], answered["tool_calls"], answered["tool_errors"]) == (3, 2, 1)
    assert (answered["prompt_tokens"], answered["completion_tokens"], answered["seconds"]) == (30, 15, 3.0)
    assert units[turns["error"].node_id]["answer_empty"]
    assert units[turns["model"].node_id]["repetition"] > 0.9
    assert "-> read(" in Workbench(bench).unit_text(turns["answered"].node_id)


def test_a_leaf_that_grows_a_child_stops_being_a_unit_and_only_its_session_is_measured_again(
    truth: str, turns: dict[str, Turn], bench: Path
) -> None:
    materialise_units(truth, bench)
    assert materialise_units(truth, bench).sessions == 0
    retry = turns["retry"]
    history = [*retry.history, say("assistant", "A cherry."), say("user", "Why?")]
    with transaction(truth) as connection:
        session = connection.execute(
            "SELECT session_id FROM session_turn WHERE turn_id = %s", (retry.turn_id,)
        ).fetchone()
    assert session is not None
    child = grow(
        truth, 2, lambda graph: graph.turn(session["session_id"], history, say("assistant", "It is."), parent=retry)
    )
    counts = materialise_units(truth, bench)
    units = {unit["unit_id"] for unit in Workbench(bench).units()}
    assert (counts.sessions, counts.build) == (1, 2)
    assert retry.node_id not in units
    assert child.node_id in units


def test_a_deleted_workbench_is_made_again_equal(truth: str, turns: dict[str, Turn], bench: Path) -> None:
    materialise_units(truth, bench)
    propose_pairs(truth, bench)
    retry = turns["retry"].node_id
    pair = pair_id(turns["first"].turn_id, turns["first"].node_id, retry)
    record_preference(truth, bench, pair, "a", "ann")
    rate_unit(truth, retry, 5, "ann")
    grow(truth, 2, lambda graph: many_choices(graph, 3))
    materialise_units(truth, bench)
    propose_pairs(truth, bench)
    before = Workbench(bench).units(), Workbench(bench).pairs(), Workbench(bench).label_states()
    bench.unlink()
    materialise_units(truth, bench)
    propose_pairs(truth, bench)
    assert (Workbench(bench).units(), Workbench(bench).pairs(), Workbench(bench).label_states()) == before
    assert before[0]
    assert before[1]


def test_a_session_that_the_graph_no_longer_has_is_forgotten(truth: str, turns: dict[str, Turn], bench: Path) -> None:
    materialise_units(truth, bench)
    propose_pairs(truth, bench)
    gone = Workbench(bench).pair(pair_id(turns["answered"].turn_id, turns["answered"].node_id, turns["worse"].node_id))
    with transaction(truth) as connection:
        for table in ("response_branch_records", "execution_run_records", "conversation_branch_nodes"):
            connection.execute(f"DELETE FROM {table} WHERE session_id = %s".encode(), (gone["session_id"],))
        connection.execute("DELETE FROM conversation_sessions WHERE session_id = %s", (gone["session_id"],))
    materialise_units(truth, bench)
    left = Workbench(bench).units() + Workbench(bench).pairs()
    assert left
    assert all(row["session_id"] != gone["session_id"] for row in left)


def test_every_pair_of_siblings_has_a_verdict(truth: str, turns: dict[str, Turn], bench: Path) -> None:
    counts = propose_pairs(truth, bench)
    found = {frozenset((pair["node_a"], pair["node_b"])): pair for pair in Workbench(bench).pairs()}

    def verdict(one: str, other: str) -> str:
        pair = found[frozenset((turns[one].node_id, turns[other].node_id))]
        return pair["reason"] or "legal"

    assert verdict("first", "model") == "legal"
    assert verdict("retry", "model") == "legal"
    assert verdict("first", "retry") == "no_preference"
    assert verdict("first", "prompt") == "prompt_differs"
    assert verdict("first", "tool_1") == "tools_differ"
    assert verdict("tool_1", "tool_2") == "no_preference"
    assert verdict("first", "error") == "no_answer"
    assert verdict("answered", "worse") == "legal"
    assert counts.pairs == len(found) == 7 * 6 // 2 + 1
    better = found[frozenset((turns["first"].node_id, turns["model"].node_id))]
    assert (better["chosen"], better["source"]) == (turns["first"].node_id, "signals")


def test_a_persons_word_decides_and_a_correction_supersedes(truth: str, turns: dict[str, Turn], bench: Path) -> None:
    propose_pairs(truth, bench)
    first, model = turns["first"], turns["model"]
    identity = pair_id(first.turn_id, first.node_id, model.node_id)
    side = {node: name for name, node in zip("ab", sorted((first.node_id, model.node_id)), strict=True)}
    record_preference(truth, bench, identity, side[model.node_id], "ann", shown_first="b")
    assert propose_pairs(truth, bench).sessions == 1
    pair = Workbench(bench).pair(identity)
    assert (pair["chosen"], pair["source"], pair["margin"]) == (model.node_id, "human", 1.0)
    record_preference(truth, bench, identity, "equal", "ann")
    propose_pairs(truth, bench)
    assert Workbench(bench).pair(identity)["reason"] == "judged_equal"
    with transaction(truth) as connection:
        kept = connection.execute("SELECT count(*) AS n FROM preference_labels").fetchone()
    assert kept == {"n": 2}
    with pytest.raises(NotFoundError, match="no pair"):
        record_preference(truth, bench, first.node_id, "a", "ann")
    with pytest.raises(UsageError, match="one of a, b"):
        record_preference(truth, bench, identity, "first", "ann")


def test_ratings_keep_a_copy_of_what_was_shown(truth: str, turns: dict[str, Turn], bench: Path) -> None:
    node = turns["answered"].node_id
    rate_unit(truth, node, 2, "ann", note="too short")
    latest = rate_unit(truth, node, 4, "ann")
    with transaction(truth) as connection:
        rows = connection.execute("SELECT * FROM current_human_eval_labels").fetchall()
    assert [(row["label_id"], row["rating"]) for row in rows] == [(latest, 4)]
    assert "It snows." in rows[0]["shown"]
    with pytest.raises(UsageError, match="1"):
        rate_unit(truth, node, 6, "ann")
    with pytest.raises(NotFoundError):
        rate_unit(truth, turns["first"].turn_id, 3, "ann")
    rate_unit(truth, turns["worse"].node_id, 5, "bob")
    propose_pairs(truth, bench)
    pair = Workbench(bench).pair(pair_id(turns["answered"].turn_id, node, turns["worse"].node_id))
    assert (pair["source"], pair["chosen"], pair["margin"]) == ("ratings", turns["worse"].node_id, 0.25)


def test_an_sft_dataset_holds_the_best_path_of_each_context_with_its_tools(
    truth: str, turns: dict[str, Turn], frozen: Callable[[str], Frozen], tmp_path: Path
) -> None:
    rate_unit(truth, turns["worse"].node_id, 1, "ann")
    snapshot = frozen(SFT)
    with snapshots.catalog(truth, str(tmp_path / "warehouse")) as opened:
        batches = list(snapshots.read(opened, snapshot.iceberg_table, snapshot.iceberg_snapshot_id))
        properties = snapshots.properties_of(opened, snapshot.iceberg_table, snapshot.iceberg_snapshot_id)
        assert snapshots.tagged(opened, snapshot.iceberg_table, snapshot.snapshot_id) == snapshot.iceberg_snapshot_id
    rows = {row["row_id"]: row for batch in batches for row in batch.to_pylist()}
    assert str(turns["worse"].node_id) not in rows
    assert str(turns["retry"].node_id) not in rows, "it lost to the path that went on"
    answered = rows[str(turns["answered"].node_id)]
    assert [message["role"] for message in answered["messages"]] == [
        *("user", "assistant", "tool", "assistant", "tool", "assistant")
    ]
    assert answered["messages"][3]["tool_calls"][0]["function"]["arguments"] == '{"path":"oslo.txt","lines":3}'
    assert [tool["function"]["name"] for tool in json.loads(answered["tools"])] == ["weather", "read"]
    assert properties["content-hash"] == snapshot.content_hash
    assert json.loads(properties["report"])["labels"] == {"signals": len(rows)}
    assert all(message["reasoning"] is None for message in answered["messages"])
    assert snapshot.leakage["sessions_in_two_splits"] == 0
    with transaction(truth) as connection:
        held = registry.snapshots_of_node(connection, turns["asked"].node_id)
        nodes = registry.nodes_of_row(connection, snapshot.snapshot_id, str(turns["answered"].node_id))
    assert [(one["row_id"], one["part"]) for one in held] == [(str(turns["answered"].node_id), "history")]
    assert {node["part"] for node in nodes} == {"answer", "history"}
    assert len(nodes) == 3


def test_a_dpo_dataset_holds_only_legal_pairs_and_counts_what_it_refused(
    truth: str, turns: dict[str, Turn], frozen: Callable[[str], Frozen], tmp_path: Path
) -> None:
    snapshot = frozen(DPO)
    rows = [row for batch in stored_rows(truth, str(tmp_path / "warehouse"), snapshot) for row in batch]
    assert len(rows) == 3
    assert all(row.prompt and row.chosen != row.rejected and row.margin > 0 for row, _ in rows)
    assert snapshot.refused == {"no_answer": 6, "no_preference": 2, "prompt_differs": 5, "tools_differ": 6}


def test_freezing_again_writes_nothing(
    truth: str, turns: dict[str, Turn], frozen: Callable[[str], Frozen], tmp_path: Path
) -> None:
    first = frozen(DPO)
    files = sorted((tmp_path / "warehouse").rglob("*"))
    again = frozen("# a comment changes nothing\n" + DPO)
    assert (first.created, again.created) == (True, False)
    assert again.snapshot_id == first.snapshot_id
    assert sorted((tmp_path / "warehouse").rglob("*")) == files
    assert [one.snapshot_id for one in list_snapshots(truth)] == [first.snapshot_id]


def test_an_older_snapshot_stays_as_it_was(
    truth: str, turns: dict[str, Turn], frozen: Callable[[str], Frozen], tmp_path: Path
) -> None:
    old = frozen(DPO)
    grow(truth, 2, lambda graph: many_choices(graph, 40))
    new = frozen(DPO)
    warehouse = str(tmp_path / "warehouse")
    assert new.iceberg_table == old.iceberg_table
    assert sum(new.row_counts.values()) == 43
    assert sum(old.row_counts.values()) == 3
    assert verify(old.snapshot_id, dsn=truth, warehouse=warehouse).ok
    assert verify(new.snapshot_id, dsn=truth, warehouse=warehouse).ok
    assert min(new.row_counts.values()) > 0


def test_a_freeze_that_died_before_its_last_step_is_taken_up_again(
    truth: str, turns: dict[str, Turn], frozen: Callable[[str], Frozen], tmp_path: Path
) -> None:
    lost = frozen(DPO)
    with transaction(truth) as connection:
        connection.execute("DELETE FROM dataset_snapshot_nodes")
        connection.execute("DELETE FROM dataset_snapshot_registry")
    again = frozen(DPO)
    assert again.created
    assert again.snapshot_id == lost.snapshot_id
    assert verify(again.snapshot_id, dsn=truth, warehouse=str(tmp_path / "warehouse")).ok


def test_verify_finds_changed_files_and_changed_truth(
    truth: str, turns: dict[str, Turn], frozen: Callable[[str], Frozen], tmp_path: Path
) -> None:
    snapshot = frozen(SFT)
    warehouse = str(tmp_path / "warehouse")
    with transaction(truth) as connection:
        connection.execute(
            """UPDATE message SET body = '{"content":"It rains.","role":"assistant"}'
               WHERE body ->> 'content' = 'It snows.'"""
        )
    found = verify(snapshot.snapshot_id, dsn=truth, warehouse=warehouse)
    assert not found.files
    assert found.changed == ((str(turns["answered"].node_id), "messages"),)
    file = next((tmp_path / "warehouse").rglob("*.parquet"))
    table = pq.read_table(file)
    pq.write_table(table.slice(0, table.num_rows - 1), file)
    assert verify(snapshot.snapshot_id, dsn=truth, warehouse=warehouse).files
    file.unlink()
    assert "cannot be read" in verify(snapshot.snapshot_id, dsn=truth, warehouse=warehouse).files
    with pytest.raises(NotFoundError):
        verify("nothing-0", dsn=truth, warehouse=warehouse)


def _nodes(truth: str) -> set[Any]:
    with connect(truth) as connection:
        return {row["node_id"] for row in connection.execute("SELECT node_id FROM session_turn")}


def test_verify_accepts_ids_of_another_projection_and_still_finds_changed_truth(
    truth: str, calls: Any, frozen: Callable[[str], Frozen], tmp_path: Path
) -> None:
    asked = [{"role": "user", "content": "Will it snow?"}]
    answered = [*asked, {"role": "assistant", "content": "It snows."}, {"role": "user", "content": "Where?"}]
    made = [calls(asked, "It snows."), calls(answered, "In Oslo."), calls(answered, "In Bergen.", temperature=1.0)]
    with connect(truth, autocommit=True) as connection:
        ingest(connection, [encode_exchange(each) for each in made], SeenIds())
    build(truth)
    warehouse = str(tmp_path / "warehouse")
    snapshot, before = frozen(SFT), _nodes(truth)
    rebuild(truth, 1)
    assert before.isdisjoint(_nodes(truth))
    assert verify(snapshot.snapshot_id, dsn=truth, warehouse=warehouse).ok
    under_version_1 = frozen(SFT.replace("good", "again"))
    rebuild(truth, PROJECTION_VERSION)
    assert _nodes(truth) == before
    for each in (snapshot, under_version_1):
        assert verify(each.snapshot_id, dsn=truth, warehouse=warehouse).ok
    rebuild(truth, 1)
    with transaction(truth) as connection:
        connection.execute(
            """UPDATE message SET body = '{"content":"It rains.","role":"assistant"}'
               WHERE body ->> 'content' = 'It snows.'"""
        )
    changed = verify(snapshot.snapshot_id, dsn=truth, warehouse=warehouse).changed
    assert len(changed) == sum(snapshot.row_counts.values())
    assert {how for _, how in changed} == {"messages"}
    with transaction(truth) as connection:
        connection.execute("DELETE FROM former_node")
        connection.execute("DELETE FROM former_session")
    unknown = verify(snapshot.snapshot_id, dsn=truth, warehouse=warehouse).changed
    assert {how for _, how in unknown} == {"messages, sources, certificate"}


def test_a_row_that_a_format_cannot_express_is_frozen_and_left_out_of_its_export(
    truth: str, calls: Any, frozen: Callable[[str], Frozen], tmp_path: Path
) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "sum", "arguments": "[1, 2]"}}
    summed = [
        {"role": "user", "content": "What is 1 and 2?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "3"},
    ]
    made = [calls([{"role": "user", "content": "Hello"}], "Hello!"), calls(summed, "It is 3.", tools=[SUM])]
    with connect(truth, autocommit=True) as connection:
        ingest(connection, [encode_exchange(each) for each in made], SeenIds())
    build(truth)
    snapshot, folder = frozen(SFT), tmp_path / "out"
    assert sum(snapshot.row_counts.values()) == 2
    done = export(snapshot.snapshot_id, folder, dsn=truth, warehouse=str(tmp_path / "warehouse"))
    assert done.left_out == {"arguments_not_object": 1}
    assert sum(done.row_counts.values()) == 1
    assert json.loads((folder / "manifest.json").read_text())["left_out"] == done.left_out
    assert "| arguments_not_object | 1 |" in (folder / "README.md").read_text()
    head, named = (folder / "left_out.csv").read_text("utf-8").splitlines()
    assert head == "row_id,split,reason,detail"
    assert named.split(",")[2:] == ["arguments_not_object", "list"]
    assert "left_out.csv" in done.files


def test_an_export_for_each_target_has_the_files_that_it_wants_and_counts_what_it_cannot_say(
    truth: str, turns: dict[str, Turn], frozen: Callable[[str], Frozen], tmp_path: Path
) -> None:
    snapshot = frozen(SFT)
    beside = {"llamafactory": "dataset_info.json", "axolotl": "axolotl.yaml"}
    for target in (name for name, one in FORMATS.items() if snapshot.kind in one.kinds):
        folder = tmp_path / target
        done = export(snapshot.snapshot_id, folder, dsn=truth, warehouse=str(tmp_path / "warehouse"), format=target)
        written = sum(len(path.read_text("utf-8").split("\n")) - 1 for path in folder.glob("*.jsonl"))
        assert written == sum(done.row_counts.values())
        assert written + sum(done.left_out.values()) == sum(snapshot.row_counts.values())
        assert target not in beside or beside[target] in done.files
        assert set(done.files) | {"manifest.json"} == {path.name for path in folder.iterdir()}
        assert "dataset_info:" in (folder / "README.md").read_text("utf-8")


def test_an_export_is_complete_and_never_overwrites_a_strangers_files(
    truth: str, turns: dict[str, Turn], frozen: Callable[[str], Frozen], tmp_path: Path
) -> None:
    grow(truth, 2, lambda graph: many_choices(graph, 40))
    snapshot = frozen(SFT)
    folder = tmp_path / "out"

    def again() -> Any:
        return export(snapshot.snapshot_id, folder, dsn=truth, warehouse=str(tmp_path / "warehouse"))

    done = again()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["sha256"] == dict(done.files)
    lines = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    lines += [json.loads(line) for line in (folder / "validation.jsonl").read_text().splitlines()]
    assert len(lines) == sum(snapshot.row_counts.values())
    arguments = [
        call["function"]["arguments"]
        for record in lines
        for message in record["messages"]
        for call in message.get("tool_calls", [])
    ]
    assert {"city": "Oslo"} in arguments
    assert again().files == done.files
    (folder / "mine.txt").write_text("keep")
    with pytest.raises(UsageError, match=r"mine\.txt"):
        again()
    assert (folder / "mine.txt").read_text() == "keep"


def test_a_recipe_that_gives_nothing_or_is_wrong_says_why(
    truth: str, turns: dict[str, Turn], frozen: Callable[[str], Frozen]
) -> None:
    with pytest.raises(IllegalRowError, match="other_theme"):
        frozen(DPO + 'themes = ["nowhere"]\n')
    with pytest.raises(ConfigError, match="k_per_them is unknown"):
        frozen(SFT + "[select]\nk_per_them = 3\n")
    with pytest.raises(IllegalRowError, match="label_source_not_allowed"):
        frozen(DPO.replace(', "signals"', ""))


def test_captured_calls_become_certified_rows(
    truth: str, calls: Any, frozen: Callable[[str], Frozen], bench: Path, tmp_path: Path
) -> None:
    ask = [say("user", "How is the weather in Oslo?")]
    answer = call("c1", "weather", '{"city":"Oslo"}')
    told = [*ask, answer, say("tool", "snow", tool_call_id="c1")]
    replay = {"purpose": "replay", "session": "one"}
    who = {"session": "one", "theme": "weather"}
    captured = [
        calls(ask, answer, tools=[WEATHER], who=who),
        calls(told, "It snows in Oslo.", tools=[WEATHER], who=who),
        calls(told, "so " * 40, tools=[WEATHER], who=replay, model="large"),
        calls(told, "It snows.", tools=[WEATHER, READ], who=replay),
        calls([say("system", "Be brief."), *told], "Snow.", tools=[WEATHER], who=replay),
        calls.failed(told, tools=[WEATHER], who=who),
        calls(["no object"], {"role": "assistant", "content": None, "tool_calls": 3}, who={"session": "odd"}),
    ]
    with connect(truth) as connection:
        ingest(connection, [encode_exchange(each) for each in captured], SeenIds())
    build(truth)
    pairs = frozen(DPO)
    (((row, split),),) = stored_rows(truth, str(tmp_path / "warehouse"), pairs)
    assert split == "train"
    assert [message["role"] for message in row.prompt] == ["user", "assistant", "tool"]
    assert (row.chosen[0]["content"], row.rejected[0]["content"]) == ("It snows in Oslo.", "so " * 40)
    assert json.loads(row.tools or "") == [WEATHER]
    assert pairs.refused["tools_differ"] >= 1
    paths = frozen(SFT)
    assert sum(paths.row_counts.values()) >= 1
    for one in (pairs, paths):
        assert verify(one.snapshot_id, dsn=truth, warehouse=str(tmp_path / "warehouse")).ok
