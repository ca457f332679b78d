"""Dagster in process over a real truth: batches of sessions, sensors, checks, datasets, and its own home."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

pytest.importorskip("dagster")

from dagster import (
    AssetCheckKey,
    AssetKey,
    DagsterInstance,
    Definitions,
    SensorDefinition,
    SensorResult,
    SkipReason,
    build_sensor_context,
)
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG
from dagster._serdes import serialize_value

from regraft.domain.capture.exchange import Exchange, Identity
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.lineage import build as lineage_flow
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect
from regraft.presentation.dagster import capture as runtime
from regraft.presentation.dagster import checks, sensors
from regraft.presentation.dagster import home as dagster_home
from regraft.presentation.dagster.definitions import defs
from regraft.presentation.dagster.lineage import TABLES
from regraft.presentation.dagster.resources import Servers
from support.otlp_receiver import OtlpReceiver

ROOT = Path(__file__).parents[3]
ASSETS = {
    "replay_batch",
    *("pipeline_event_inbox", "session", "session_turn", "session_lineage", "feedback"),
    *("llm_chat_turns", "llm_tool_calls", "token_usage", "flow_nodes", "flow_edges", "session_timeline"),
    *("seed_themes", "conversation_sessions", "conversation_branch_nodes", "execution_run_records"),
    *(
        "response_branch_records",
        "lineage_watermark",
        "trajectory_units",
        "trajectory_embeddings",
        "trajectory_clusters",
        "pivot_nodes",
        "cluster_category_labels",
        "judge_calibration",
        "human_sample_queue",
        "candidate_preference_pairs",
    ),
    *("human_eval_labels", "preference_labels", "sft_messages_dataset", "dpo_preference_dataset"),
    *("dataset_snapshot_registry", "taskification_results", "suppression_dataset", "unlearning_dataset"),
    *("positive_topk_trajectories", "negative_bottomk_trajectories"),
}
SFT = 'name = "good"\nkind = "sft"\n'
Capture = Callable[..., None]


@pytest.fixture(autouse=True)
def settings(truth: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGRAFT_POSTGRES__DSN", truth)
    monkeypatch.setenv("REGRAFT_DATA_DIR", str(tmp_path / "data"))
    for name, value in dagster_home.BATCHING.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "data").mkdir()


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def capture(truth: str) -> Capture:
    """Ingest calls: each a list of texts, said in turn by user and assistant, the last by the assistant."""
    number = itertools.count(1)
    stored = SeenIds()

    def call(texts: list[str], theme: str = "") -> bytes:
        at = next(number)
        said = [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(texts)]
        answer = {
            "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": said[-1]}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 3},
        }
        return encode_exchange(
            Exchange(
                event_id=UUID(int=at + (7 << 76)),
                scope="default",
                endpoint="/v1/chat/completions",
                upstream="local",
                upstream_pin="",
                started_ns=1_700_000_000_000_000_000 + at * 10**9,
                first_byte_ns=10**6,
                duration_ns=5 * 10**6,
                request_body=json.dumps({"model": "m", "messages": said[:-1]}).encode(),
                status=200,
                response_type="application/json",
                response_encoding="",
                response_body=json.dumps(answer).encode(),
                identity=Identity(theme=theme),
            )
        )

    def add(*calls: list[str], theme: str = "") -> None:
        with connect(truth, autocommit=True) as connection:
            ingest(connection, [call(texts, theme) for texts in calls], stored)

    return add


def tick(which: SensorDefinition, instance: DagsterInstance) -> SensorResult | SkipReason:
    with build_sensor_context(instance=instance, resources={"servers": Servers()}) as context:
        result = which(context)
    assert isinstance(result, SensorResult | SkipReason)
    if isinstance(result, SensorResult):
        for event in result.asset_events:
            instance.report_runless_asset_event(event)
    return result


def job_of(definitions: Definitions = defs) -> Any:
    return definitions.resolve_implicit_global_asset_job_def()


def carry_out(result: SensorResult | SkipReason, instance: DagsterInstance) -> None:
    """Run what a sensor asked for."""
    assert isinstance(result, SensorResult), result
    assert result.run_requests
    for request in result.run_requests:
        assert request.asset_selection is not None
        job = job_of().get_subset(
            asset_selection=set(request.asset_selection),
            asset_check_selection=set(request.asset_check_keys or ()),
        )
        assert job.execute_in_process(instance=instance, tags=request.tags).success


def rows(dsn: str, query: str) -> list[dict[str, Any]]:
    with connect(dsn) as connection:
        return connection.execute(query.encode()).fetchall()


def test_the_names_of_the_assets_are_the_published_ones() -> None:
    keys = defs.resolve_asset_graph().get_all_asset_keys()
    assert {key.to_user_string() for key in keys} == ASSETS


def test_dg_check_defs_passes() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "dg", "check", "defs"], cwd=ROOT, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_waiting_sessions_become_one_range_run_that_builds_the_graph(
    truth: str, instance: DagsterInstance, capture: Capture
) -> None:
    assert isinstance(tick(sensors.conversation_lineage, instance), SkipReason)
    capture(["hi", "hello"], ["hi", "hello", "more", "ok"], ["hi", "hey"], ["bye", "farewell"], theme="greetings")
    asked = tick(sensors.conversation_lineage, instance)
    assert isinstance(asked, SensorResult)
    assert asked.run_requests
    (request,) = asked.run_requests
    keys = instance.get_dynamic_partitions("sessions")
    assert len(keys) == 2
    assert request.tags[ASSET_PARTITION_RANGE_START_TAG] == keys[0]
    assert request.tags[ASSET_PARTITION_RANGE_END_TAG] == keys[1]
    (batch,) = rows(truth, "SELECT * FROM pipeline_batch")
    assert (batch["batch_id"], batch["pipeline"]) == (request.run_key, "conversation_lineage")
    assert sorted(batch["partitions"]) == sorted(keys)
    carry_out(asked, instance)
    assert rows(truth, "SELECT count(*) AS n FROM conversation_branch_nodes") == [{"n": 6}]
    for table in TABLES:
        assert instance.get_materialized_partitions(AssetKey(table)) == set(keys)
    for asset, figure, value in (("seed_themes", "rows", 1), ("lineage_watermark", "turns_built", 4)):
        event = instance.get_latest_materialization_event(AssetKey(asset))
        assert event is not None
        assert event.asset_materialization is not None
        assert event.asset_materialization.metadata[figure].value == value
    assert isinstance(tick(sensors.conversation_lineage, instance), SkipReason)


def test_a_run_exports_the_places_of_the_turns_that_it_placed(
    truth: str, instance: DagsterInstance, capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OtlpReceiver() as receiver:
        monkeypatch.setenv("REGRAFT_OTEL__ENDPOINT", receiver.url)
        capture(["hi", "hello"], ["hi", "hello", "more", "ok"])
        with connect(truth, autocommit=True) as connection:
            connection.execute("UPDATE pipeline_event_inbox SET started_at = now()")
        carry_out(tick(sensors.conversation_lineage, instance), instance)
        assert {each.service for each in receiver.spans} == {"regraft-dagster"}
        nodes = {str(row["node_id"]) for row in rows(truth, "SELECT node_id FROM session_turn")}
        assert {each["regraft.node.id"] for each in receiver.spans} == nodes
        assert {each.name.partition(" ")[0] for each in receiver.spans} == {"place"}


def test_an_old_session_that_goes_on_is_a_range_of_its_own(
    truth: str, instance: DagsterInstance, capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture(*[[f"question {number}", "answer"] for number in range(9)])
    carry_out(tick(sensors.conversation_lineage, instance), instance)
    keys = instance.get_dynamic_partitions("sessions")
    first = next(
        number
        for number in range(9)
        if rows(
            truth,
            "SELECT 1 FROM conversation_sessions s JOIN session_turn t USING (session_id) JOIN context c"
            " USING (context_id) JOIN message m USING (message_id)"
            f" WHERE s.session_id = '{keys[0]}' AND m.body ->> 'content' = 'question {number}'",
        )
    )
    capture([f"question {first}", "answer", "and?", "so"], ["a new one", "answer"])
    monkeypatch.setattr(sensors, "ranges", lambda known, touched: sensors_ranges(known, touched, max_gap=2))
    asked = tick(sensors.conversation_lineage, instance)
    assert isinstance(asked, SensorResult)
    tags = [request.tags for request in asked.run_requests or ()]
    new = instance.get_dynamic_partitions("sessions")[-1]
    assert [(one[ASSET_PARTITION_RANGE_START_TAG], one[ASSET_PARTITION_RANGE_END_TAG]) for one in tags] == [
        (keys[0], keys[0]),
        (new, new),
    ]
    carry_out(asked, instance)
    assert rows(truth, "SELECT count(*) AS n FROM lineage_queue") == [{"n": 0}]


sensors_ranges = sensors.ranges


def test_a_session_that_a_command_has_placed_becomes_known(
    truth: str, instance: DagsterInstance, capture: Capture
) -> None:
    capture(["hi", "hello"])
    lineage_flow.build(truth)
    carry_out(tick(sensors.conversation_lineage, instance), instance)
    assert len(instance.get_materialized_partitions(AssetKey("conversation_sessions"))) == 1


def test_no_batch_starts_while_one_is_under_way_or_right_after_a_failure(
    truth: str, instance: DagsterInstance, capture: Capture
) -> None:
    capture(["hi", "hello"])
    asked = tick(sensors.conversation_lineage, instance)
    assert isinstance(asked, SensorResult)
    assert asked.run_requests
    request = asked.run_requests[0]
    job = job_of().get_subset(asset_selection={AssetKey(table) for table in TABLES}, asset_check_selection=set())
    run = instance.create_run_for_job(job, tags=dict(request.tags))
    assert "under way" in str(tick(sensors.conversation_lineage, instance))
    instance.report_run_failed(run)
    assert "next try" in str(tick(sensors.conversation_lineage, instance))


def test_the_log_is_reported_with_its_row_counts_once(instance: DagsterInstance, capture: Capture) -> None:
    assert isinstance(tick(sensors.pipeline_runtime, instance), SkipReason)
    capture(["hi", "hello"], ["hi", "hello", "more", "ok"])
    tick(sensors.pipeline_runtime, instance)
    found = {}
    for asset in ("pipeline_event_inbox", "session", "session_turn", "session_lineage"):
        event = instance.get_latest_materialization_event(AssetKey(asset))
        assert event is not None
        assert event.asset_materialization is not None
        found[asset] = event.asset_materialization.metadata["rows"].value
    assert found == {"pipeline_event_inbox": 2, "session": 1, "session_turn": 2, "session_lineage": 2}
    assert isinstance(tick(sensors.pipeline_runtime, instance), SkipReason)


def test_the_runtime_tables_follow_the_log(instance: DagsterInstance, capture: Capture) -> None:
    assert isinstance(tick(sensors.runtime_tables, instance), SkipReason)
    capture(["hi", "hello"], ["hi", "hello", "more", "ok"])
    carry_out(tick(sensors.runtime_tables, instance), instance)
    made = {}
    for table in runtime.MADE:
        event = instance.get_latest_materialization_event(AssetKey(table))
        assert event is not None
        assert event.asset_materialization is not None
        made[table] = event.asset_materialization.metadata["rows"].value
    assert made == {
        "llm_chat_turns": 2,
        "llm_tool_calls": 0,
        "token_usage": 2,
        "flow_edges": 1,
        "flow_nodes": 2,
        "session_timeline": 2,
    }
    assert isinstance(tick(sensors.runtime_tables, instance), SkipReason)
    capture(["bye", "farewell"])
    assert isinstance(tick(sensors.runtime_tables, instance), SensorResult)


def test_evaluation_follows_a_build_and_every_check_passes(
    truth: str, instance: DagsterInstance, capture: Capture
) -> None:
    assert isinstance(tick(sensors.evaluate, instance), SkipReason)
    capture(["hi", "hello"], ["hi", "hey there"], ["hi", "hello", "more", "ok"])
    lineage_flow.build(truth)
    carry_out(tick(sensors.evaluate, instance), instance)
    assert isinstance(tick(sensors.evaluate, instance), SkipReason)
    assert failed(instance) == {}
    capture(["hi", "good day"])
    lineage_flow.build(truth)
    carry_out(tick(sensors.evaluate, instance), instance)
    assert isinstance(tick(sensors.evaluate, instance), SkipReason)
    with psycopg.connect(truth, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO feedback (feedback_id, scope, turn_id, name, value, source, given_at)"
            " SELECT gen_random_uuid(), 'default', turn_id, 'reward', 1, 'client', now() FROM session_turn LIMIT 1"
        )
    assert isinstance(tick(sensors.evaluate, instance), SensorResult)


def failed(instance: DagsterInstance) -> dict[str, int]:
    """Check -> how many are bad, of the last run's failed checks."""
    summaries = instance.event_log_storage.get_latest_asset_check_execution_by_key(checks.KEYS)
    assert set(summaries) == set(checks.KEYS)
    found = {}
    for key, record in summaries.items():
        assert record.event is not None
        evaluation: Any = record.event.asset_check_evaluation
        if not evaluation.passed:
            found[key.name] = evaluation.metadata["bad"].value
    return found


def run_checks(instance: DagsterInstance) -> dict[str, int]:
    job = job_of().get_subset(asset_selection=set(), asset_check_selection=set(checks.KEYS))
    assert job.execute_in_process(instance=instance).success
    return failed(instance)


@pytest.mark.parametrize(
    ("damage", "check"),
    [
        ("UPDATE conversation_branch_nodes SET depth = 9, turn_index = 9 WHERE depth = 2", "nodes_have_their_parents"),
        (
            (
                "ALTER TABLE conversation_branch_nodes DROP CONSTRAINT conversation_branch_nodes_check;"
                "UPDATE conversation_branch_nodes SET parent_node_id = NULL WHERE depth = 2"
            ),
            "only_roots_lack_a_parent",
        ),
        ("DELETE FROM response_branch_records WHERE branch_index = 1", "every_turn_is_placed"),
        ("UPDATE execution_run_records SET backend = '' WHERE purpose = 'chat'", "runs_are_complete"),
        ("UPDATE response_branch_records SET branch_index = 7 WHERE branch_index = 1", "branch_indexes_are_dense"),
        ("INSERT INTO quarantine VALUES (gen_random_uuid(), 'not JSON', '')", "quarantine_rate"),
        (
            (
                "INSERT INTO dataset_snapshot_registry (snapshot_id, dataset, kind, recipe, recipe_hash, code_version,"
                " lineage_build, iceberg_table, iceberg_snapshot_id, iceberg_tag, row_counts, refused, leakage,"
                " content_hash, hash_version, created_at) VALUES ('x-1', 'x', 'sft', '', '', '0', 1, 't', 1,"
                " 'x-1', '{}', '{}', '{\"sessions_in_two_splits\": 1, \"contents_in_two_splits\": 0}', '', 1, now())"
            ),
            "snapshots_do_not_leak",
        ),
    ],
)
def test_a_check_fails_when_a_row_is_broken(
    truth: str, instance: DagsterInstance, capture: Capture, damage: str, check: str
) -> None:
    capture(["hi", "hello"], ["hi", "hey there"], ["hi", "hello", "more", "ok"])
    lineage_flow.build(truth)
    assert run_checks(instance) == {}
    with psycopg.connect(truth, autocommit=True) as connection:
        connection.execute(damage.encode())
    assert run_checks(instance)[check] > 0


def test_a_freeze_adds_its_snapshot_to_the_registry_which_can_prove_it(
    truth: str, instance: DagsterInstance, capture: Capture, tmp_path: Path
) -> None:
    capture(["hi", "hello"], ["hi", "hello", "more", "ok"], ["bye", "farewell"])
    lineage_flow.build(truth)
    recipe = tmp_path / "good.toml"
    recipe.write_text(SFT)
    config = {"ops": {"sft_messages_dataset": {"config": {"recipe": str(recipe)}}}}
    job = job_of().get_subset(asset_selection={AssetKey("sft_messages_dataset")})
    assert job.execute_in_process(instance=instance, run_config=config).success
    (snapshot,) = instance.get_dynamic_partitions("snapshots")
    assert rows(truth, "SELECT snapshot_id FROM dataset_snapshot_registry") == [{"snapshot_id": snapshot}]
    assert instance.get_materialized_partitions(AssetKey("dataset_snapshot_registry")) == {snapshot}
    proof = job_of().get_subset(asset_selection={AssetKey("dataset_snapshot_registry")}, asset_check_selection=set())
    assert proof.execute_in_process(instance=instance, partition_key=snapshot).success
    assert isinstance(tick(sensors.frozen_snapshots, instance), SkipReason)


def test_a_snapshot_that_a_command_has_frozen_becomes_known(
    truth: str, instance: DagsterInstance, capture: Capture, tmp_path: Path
) -> None:
    from regraft.flows.datasets.freeze import freeze

    capture(["hi", "hello"])
    lineage_flow.build(truth)
    frozen = freeze(SFT, dsn=truth, workbench=tmp_path / "bench.duckdb", warehouse=str(tmp_path / "warehouse"))
    tick(sensors.frozen_snapshots, instance)
    assert instance.get_dynamic_partitions("snapshots") == [frozen.snapshot_id]
    assert instance.get_materialized_partitions(AssetKey("dataset_snapshot_registry")) == {frozen.snapshot_id}


def test_a_recipe_of_the_wrong_kind_fails_with_one_plain_message(
    instance: DagsterInstance, capture: Capture, tmp_path: Path
) -> None:
    recipe = tmp_path / "good.toml"
    recipe.write_text(SFT)
    config = {"ops": {"dpo_preference_dataset": {"config": {"recipe": str(recipe)}}}}
    job = job_of().get_subset(asset_selection={AssetKey("dpo_preference_dataset")})
    result = job.execute_in_process(instance=instance, run_config=config, raise_on_error=False)
    (failure,) = result.get_step_failure_events()
    assert failure.step_failure_data.user_failure_data is not None
    assert failure.step_failure_data.user_failure_data.description == (
        f"The recipe {recipe} is of kind sft, this asset makes dpo and reward."
    )


def test_a_range_picked_by_hand_runs_its_checks_with_it(
    truth: str, instance: DagsterInstance, capture: Capture
) -> None:
    capture(*[[f"question {number}", "answer"] for number in range(3)])
    tick(sensors.conversation_lineage, instance)
    keys = instance.get_dynamic_partitions("sessions")
    job = job_of().get_subset(asset_selection={AssetKey(table) for table in TABLES})
    tags = {ASSET_PARTITION_RANGE_START_TAG: keys[0], ASSET_PARTITION_RANGE_END_TAG: keys[2]}
    result = job.execute_in_process(instance=instance, tags=tags)
    assert result.success
    ran = {evaluation.asset_check_key for evaluation in result.get_asset_check_evaluations()}
    assert AssetCheckKey(AssetKey("conversation_branch_nodes"), "nodes_have_their_parents") in ran


def test_the_home_keeps_events_in_postgresql_and_leaves_a_users_own_configuration_alone(
    truth: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = dagster_home.home_of(tmp_path / "data")
    dagster_home.write_home(home)
    file = home / "dagster.yaml"
    for name, value in dagster_home.environment(home, truth, truth, tmp_path / "data").items():
        monkeypatch.setenv(name, value)
    with DagsterInstance.get() as instance:
        assert type(instance.event_log_storage).__name__ == "PostgresEventLogStorage"
        assert not instance.telemetry_enabled
        password = conninfo_to_dict(truth)["password"]
        assert str(password) not in serialize_value(instance.get_ref())  # which stands in command lines
        instance.add_dynamic_partitions("sessions", ["a", "b"])
        assert instance.get_dynamic_partitions("sessions") == ["a", "b"]
    assert rows(truth, "SELECT partition FROM dynamic_partitions ORDER BY id") == [
        {"partition": "a"},
        {"partition": "b"},
    ]
    assert not dagster_home.is_own(home)
    file.write_text("storage: {}\n")
    assert dagster_home.is_own(home)


@pytest.mark.parametrize(
    ("dsn", "url"),
    [
        ("postgresql://me:p%40ss@db:5433/d", "postgresql+psycopg2://me:p%40ss@/d?host=db&port=5433"),
        ("host=/run/pg dbname=d user=me", "postgresql+psycopg2://me@/d?host=%2Frun%2Fpg"),
    ],
)
def test_any_connection_string_becomes_a_url_for_dagster(dsn: str, url: str) -> None:
    assert dagster_home.storage_url(dsn) == url
