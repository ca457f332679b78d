"""One plain sensor per arrow between the groups.

A sensor keeps no cursor: it compares PostgreSQL with the last materialisation that Dagster recorded. A lost tick, a
second daemon or a deleted instance therefore does no harm. A pipeline has one tick's batches in flight at a time, and
waits longer after each failure.
"""

import time
from uuid import UUID

from dagster import (
    AssetKey,
    AssetMaterialization,
    AssetSelection,
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from regraft.infra.backoff import Backoff
from regraft.presentation.dagster import capture as runtime
from regraft.presentation.dagster import checks, evaluation, lineage
from regraft.presentation.dagster.datasets import add_snapshot_partitions, snapshot_event
from regraft.presentation.dagster.partitions import KEYS_A_CALL, SESSIONS, SNAPSHOTS, ranges
from regraft.presentation.dagster.resources import Servers

PIPELINE_TAG = "regraft/pipeline"
BATCH_TAG = "regraft/batch"

SESSIONS_A_TICK = 5_000
RANGES_A_TICK = 10
_REMEMBERED_FAILURES = 7
_BACKOFF = Backoff(60.0, 60.0 * 2 ** (_REMEMBERED_FAILURES - 1))

_RUNTIME_KEYS = [AssetKey(table) for table in runtime.MADE]
_RUNTIME = AssetSelection.assets(*_RUNTIME_KEYS)
_EVALUATED = (
    "trajectory_units",
    "trajectory_embeddings",
    "trajectory_clusters",
    "pivot_nodes",
    "cluster_category_labels",
    "judge_calibration",
    "candidate_preference_pairs",
    "human_sample_queue",
)
_EVALUATION = AssetSelection.assets(*_EVALUATED)


def _hindrance(instance: DagsterInstance, pipeline: str) -> str | None:
    """Why no new batch should start now."""
    mine = {PIPELINE_TAG: pipeline}
    if instance.get_run_records(RunsFilter(tags=mine, statuses=NOT_FINISHED_STATUSES), limit=1):
        return "A batch is under way."
    failures = 0
    ended = 0.0
    for record in instance.get_run_records(RunsFilter(tags=mine), limit=_REMEMBERED_FAILURES):
        if record.dagster_run.status is not DagsterRunStatus.FAILURE:
            break
        failures += 1
        ended = max(ended, record.end_time or record.update_timestamp.timestamp())
    wait = ended + _BACKOFF.after(failures) - time.time() if failures else 0.0
    return f"The last batch failed; the next try is in {wait:.0f} s." if wait > 0 else None


def _last_figure(instance: DagsterInstance, asset: str, name: str) -> int | None:
    """A figure of an asset's last materialisation."""
    event = instance.get_latest_materialization_event(AssetKey(asset))
    materialization = event.asset_materialization if event else None
    value = materialization.metadata.get(name) if materialization else None
    return value.value if value is not None and isinstance(value.value, int) else None


def _reporter(name: str, query: str, group: str, seconds: int) -> SensorDefinition:
    """A sensor that reports tables which others write."""

    @sensor(
        name=name,
        minimum_interval_seconds=seconds,
        default_status=DefaultSensorStatus.RUNNING,
        description=f"Reports new rows of the tables of {group} that are written outside Dagster.",
    )
    def report(context: SensorEvaluationContext, servers: Servers) -> SensorResult | SkipReason:
        from regraft.flows import pipeline

        rows = pipeline.counts(servers.dsn, query)
        changed = [
            AssetMaterialization(table, metadata={"rows": count})
            for table, count in rows.items()
            if count != (_last_figure(context.instance, table, "rows") or 0)
        ]
        return SensorResult(asset_events=changed) if changed else SkipReason("Nothing new.")

    return report


pipeline_runtime = _reporter("pipeline_runtime", "runtime_rows", runtime.GROUP, 30)
judgements = _reporter("judgements", "judgement_rows", evaluation.GROUP, 30)


@sensor(
    name="runtime_tables",
    target=_RUNTIME,
    minimum_interval_seconds=60,
    default_status=DefaultSensorStatus.RUNNING,
    description="Updates the runtime tables when the log has new calls.",
)
def runtime_tables(context: SensorEvaluationContext, servers: Servers) -> SensorResult | SkipReason:
    from regraft.flows import pipeline

    hindrance = _hindrance(context.instance, "runtime_tables")
    if hindrance:
        return SkipReason(hindrance)
    seq = pipeline.counts(servers.dsn, "last_call")["seq"]
    if seq == (_last_figure(context.instance, runtime.LAST, "seq") or 0):
        return SkipReason(f"The log is read up to its call {seq}.")
    batch = pipeline.add_batch(servers.dsn, "runtime_tables", [])
    tags = {PIPELINE_TAG: "runtime_tables", BATCH_TAG: batch}
    return SensorResult(run_requests=[RunRequest(run_key=batch, asset_selection=_RUNTIME_KEYS, tags=tags)])


@sensor(
    name=lineage.GROUP,
    target=AssetSelection.assets(*lineage.TABLES),
    minimum_interval_seconds=60,
    default_status=DefaultSensorStatus.RUNNING,
    description="Hands sessions with turns that wait to batches, a run each.",
)
def conversation_lineage(context: SensorEvaluationContext, servers: Servers) -> SensorResult | SkipReason:
    from regraft.flows import pipeline

    hindrance = _hindrance(context.instance, lineage.GROUP)
    if hindrance:
        return SkipReason(hindrance)
    assert SESSIONS.name
    known = context.instance.get_dynamic_partitions(SESSIONS.name)
    touched = [str(session) for session in pipeline.sessions_waiting(servers.dsn, SESSIONS_A_TICK)]
    # Commands build the graph, too: their sessions become known here.
    if len(touched) < SESSIONS_A_TICK and pipeline.counts(servers.dsn, "graph")["sessions"] > len(known):
        rest = SESSIONS_A_TICK - len(touched)
        missing = pipeline.sessions_missing(servers.dsn, [UUID(key) for key in known], rest)
        touched += [str(session) for session in missing if str(session) not in set(touched)]
    if not touched:
        return SkipReason("No session has turns that wait.")
    present = set(known)
    new = [key for key in touched if key not in present]
    # Not through SensorResult.dynamic_partitions_requests: 5,000 keys take minutes there and a second here.
    for start in range(0, len(new), KEYS_A_CALL):
        context.instance.add_dynamic_partitions(SESSIONS.name, new[start : start + KEYS_A_CALL])
    if new:
        known = context.instance.get_dynamic_partitions(SESSIONS.name)
    requests = []
    for found in ranges(known, touched)[:RANGES_A_TICK]:
        batch = pipeline.add_batch(servers.dsn, lineage.GROUP, found.touched)
        requests.append(
            RunRequest(
                run_key=batch,
                asset_selection=[AssetKey(table) for table in lineage.TABLES],
                asset_check_keys=[],  # they look at whole tables: once after all batches is enough
                tags={
                    ASSET_PARTITION_RANGE_START_TAG: found.first,
                    ASSET_PARTITION_RANGE_END_TAG: found.last,
                    PIPELINE_TAG: lineage.GROUP,
                    BATCH_TAG: batch,
                },
            )
        )
    return SensorResult(run_requests=requests)


@sensor(
    name=evaluation.GROUP,
    target=_EVALUATION | AssetSelection.checks(*checks.KEYS),
    minimum_interval_seconds=60,
    default_status=DefaultSensorStatus.RUNNING,
    description="Measures paths and pairs again when the graph or the judgements changed, and checks the truth.",
)
def evaluate(context: SensorEvaluationContext, servers: Servers) -> SensorResult | SkipReason:
    from regraft.flows import pipeline

    hindrance = _hindrance(context.instance, evaluation.GROUP)
    if hindrance:
        return SkipReason(hindrance)
    last = "candidate_preference_pairs"  # the last of the group: a run that died before it is made again
    build = pipeline.counts(servers.dsn, "graph")["build"]
    judged = pipeline.counts(servers.dsn, "judged")["judgements"]
    if (build, judged) == (
        _last_figure(context.instance, last, "build") or 0,
        _last_figure(context.instance, last, "judgements") or 0,
    ):
        return SkipReason(f"The graph's build {build} and {judged} judgements are evaluated.")
    batch = pipeline.add_batch(servers.dsn, evaluation.GROUP, [])
    return SensorResult(
        run_requests=[
            RunRequest(
                run_key=batch,
                asset_selection=[AssetKey(name) for name in _EVALUATED],
                asset_check_keys=checks.KEYS,
                tags={PIPELINE_TAG: evaluation.GROUP, BATCH_TAG: batch},
            )
        ]
    )


@sensor(
    minimum_interval_seconds=60,
    default_status=DefaultSensorStatus.RUNNING,
    description="Registers snapshots that commands have frozen. This sensor never freezes anything.",
)
def frozen_snapshots(context: SensorEvaluationContext, servers: Servers) -> SensorResult | SkipReason:
    from regraft.flows.datasets.freeze import list_snapshots

    assert SNAPSHOTS.name
    known = set(context.instance.get_dynamic_partitions(SNAPSHOTS.name))
    new = [frozen for frozen in list_snapshots(servers.dsn) if frozen.snapshot_id not in known]
    if not new:
        return SkipReason("Nothing new.")
    add_snapshot_partitions(context.instance, [frozen.snapshot_id for frozen in new])
    return SensorResult(asset_events=[snapshot_event(frozen) for frozen in new])


SENSORS = [pipeline_runtime, runtime_tables, conversation_lineage, evaluate, judgements, frozen_snapshots]
