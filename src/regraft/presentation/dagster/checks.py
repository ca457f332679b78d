"""Asset checks: each is one query that counts what is wrong."""

from collections.abc import Iterator
from datetime import timedelta

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckKey,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetKey,
    asset_check,
    multi_asset_check,
)

from regraft.presentation.dagster.resources import Servers, regraft_failures

QUEUE_DAYS = 30  # that an item of the review queue may wait
QUARANTINE_LIMIT = 0.01  # of all captured calls
ROLLOUT_LIMIT = 0.1  # of the last rollouts: model servers fail now and then
COVERAGE = 0.5  # of the paths: below it, categories say little of a log
_LIMITS = {"quarantine_rate": QUARANTINE_LIMIT, "rollouts_end_well": ROLLOUT_LIMIT}

_SPECS = [
    AssetCheckSpec(name, asset=asset, description=description)
    for name, asset, description in (
        (
            "quarantine_rate",
            "pipeline_event_inbox",
            f"At most {QUARANTINE_LIMIT:.0%} of the captured calls could not be read.",
        ),
        ("every_turn_is_placed", "conversation_sessions", "Each turn of the log is in the graph or in the queue."),
        (
            "nodes_have_their_parents",
            "conversation_branch_nodes",
            "No orphans: each parent exists, in the same session, one step above.",
        ),
        (
            "only_roots_lack_a_parent",
            "conversation_branch_nodes",
            "Each session has one root, and nothing else is without a parent.",
        ),
        (
            "runs_are_complete",
            "execution_run_records",
            "Each run has a model, a backend, a duration, a status, a node, and its answer when it went well.",
        ),
        (
            "branch_indexes_are_dense",
            "response_branch_records",
            "The answers under each anchor are numbered 0, 1, 2 and so on.",
        ),
        (
            "rollouts_are_true_to_the_record",
            "response_branch_records",
            "Strict rollouts have a fidelity of 1, and every call of a rollout is in the graph.",
        ),
        (
            "rollouts_end_well",
            "response_branch_records",
            f"At most {ROLLOUT_LIMIT:.0%} of the last rollouts were ended by a call that failed.",
        ),
        (
            "snapshots_do_not_leak",
            "dataset_snapshot_registry",
            "No snapshot has a session or a content in two of its splits.",
        ),
    )
]
KEYS = [AssetCheckKey(AssetKey([spec.asset_key.to_user_string()]), spec.name) for spec in _SPECS]


@multi_asset_check(name="truth_checks", specs=_SPECS, can_subset=True)
def truth_checks(context: AssetCheckExecutionContext, servers: Servers) -> Iterator[AssetCheckResult]:
    """Count the violations in the database."""
    from regraft.flows import pipeline

    asset_of = {key.name: key.asset_key for key in sorted(context.selected_asset_check_keys)}
    with regraft_failures():
        for name, found in pipeline.checks(servers.dsn, asset_of):
            yield AssetCheckResult(
                asset_key=asset_of[name],
                check_name=name,
                passed=found.bad <= _LIMITS.get(name, 0) * found.total,
                severity=AssetCheckSeverity.WARN if name in _LIMITS else AssetCheckSeverity.ERROR,
                metadata={"bad": found.bad, "total": found.total, "example": found.example or ""},
            )


@asset_check(
    asset="cluster_category_labels",
    name="labels_cover_paths",
    description=f"Once people, judges or learning label paths, they cover {COVERAGE:.0%} of them at least.",
)
def labels_cover_paths(servers: Servers) -> AssetCheckResult:
    """The share of paths with labels that are not from rules; passes while there are none."""
    from regraft.flows.evaluation.categories import coverage

    with regraft_failures():
        found = [each for each in coverage(servers.workbench) if each.layer not in ("", "rules")]
    widest = max(found, key=lambda each: each.labelled, default=None)
    labelled, units = (widest.labelled, widest.units) if widest else (0, 0)
    return AssetCheckResult(
        passed=labelled >= COVERAGE * units,
        severity=AssetCheckSeverity.WARN,
        metadata={"bad": units - labelled, "total": units, **{each.layer: each.labelled for each in found}},
    )


@asset_check(
    asset="judge_calibration",
    name="judges_are_calibrated",
    description="Each judge in use agrees with people as far as it was compared with them, and is what was compared.",
)
def judges_are_calibrated(servers: Servers) -> AssetCheckResult:
    """Count the judges whose model changed since, and those that agree too little on items enough to know it."""
    from regraft.domain.evaluation.calibration import Requirement, standing
    from regraft.flows.evaluation.calibration import failing_judges, judges_in_use

    with regraft_failures():
        used = judges_in_use(servers.workbench)
        bad = failing_judges(servers.workbench, Requirement())
    example = f"{bad[0].judge} {bad[0].category}: {standing(bad[0])}" if bad else ""
    return AssetCheckResult(
        passed=not bad,
        severity=AssetCheckSeverity.WARN,
        metadata={"bad": len(bad), "total": len(used), "example": example},
    )


@asset_check(
    asset="trajectory_clusters",
    name="clusters_describe_paths",
    description="Paths added after the last fit have a cluster about as often as those of the fit.",
)
def clusters_describe_paths(servers: Servers) -> AssetCheckResult:
    """Whether a new fit is due: it is made when the asset is materialised."""
    from regraft.flows.evaluation.cluster_reading import drift_of

    with regraft_failures():
        drift = drift_of(servers.workbench)
    return AssetCheckResult(
        passed=not drift.calls_for_a_fit(servers.settings.clusters.rule),
        severity=AssetCheckSeverity.WARN,
        metadata={"bad": drift.unassigned, "total": drift.later, "noise_of_the_fit": drift.noise, "fit": drift.units},
    )


@asset_check(
    asset="human_sample_queue",
    name="people_agree",
    description="No theme is contested: people agree well enough, or their disputes were adjudicated.",
)
def people_agree(servers: Servers) -> AssetCheckResult:
    """Count the themes whose labels decide nothing because people agree too little."""
    from regraft.flows.evaluation.reviewer_agreement import themes_agreement

    with regraft_failures():
        found = themes_agreement(servers.dsn)
    contested = [each for each in found if each.contested]
    lowest = min((each.alpha for each in found if each.alpha is not None), default=None)
    return AssetCheckResult(
        passed=not contested,
        severity=AssetCheckSeverity.WARN,
        metadata={
            "bad": len(contested),
            "total": len(found),
            "example": contested[0].theme if contested else "",
            "lowest_alpha": "" if lowest is None else f"{lowest:.3f}",
        },
    )


@asset_check(
    asset="human_sample_queue",
    name="queue_is_worked_off",
    description=f"No item waits for a judgement for more than {QUEUE_DAYS} days.",
)
def queue_is_worked_off(servers: Servers) -> AssetCheckResult:
    """Count the open items that wait for too long."""
    from regraft.flows.evaluation.queue import queue_age

    with regraft_failures():
        found = queue_age(servers.dsn, timedelta(days=QUEUE_DAYS))
    return AssetCheckResult(
        passed=not found.old,
        severity=AssetCheckSeverity.WARN,
        metadata={"bad": found.old, "total": found.open, "example": found.oldest if found.old else ""},
    )


KEYS += [
    AssetCheckKey(AssetKey(["cluster_category_labels"]), "labels_cover_paths"),
    AssetCheckKey(AssetKey(["trajectory_clusters"]), "clusters_describe_paths"),
    AssetCheckKey(AssetKey(["judge_calibration"]), "judges_are_calibrated"),
]
KEYS += [AssetCheckKey(AssetKey(["human_sample_queue"]), name) for name in ("people_agree", "queue_is_worked_off")]
CHECKS = [
    truth_checks,
    clusters_describe_paths,
    labels_cover_paths,
    judges_are_calibrated,
    people_agree,
    queue_is_worked_off,
]
