"""Group ``conversation_lineage``: the graph, one run for a batch of sessions.

The truth of a batch is written in one transaction, so its tables are one multi-asset. Themes and the watermark are not
a matter of sessions: they are external assets that the same run reports.
"""

from collections.abc import Iterator
from uuid import UUID

from dagster import (
    AssetExecutionContext,
    AssetMaterialization,
    AssetsDefinition,
    AssetSpec,
    BackfillPolicy,
    MaterializeResult,
    RetryPolicy,
    asset,
    multi_asset,
)

from regraft.domain.lineage.projection import PROJECTION_VERSION
from regraft.domain.orchestration.rule import CODE_VERSION
from regraft.presentation.dagster.partitions import SESSIONS
from regraft.presentation.dagster.resources import Servers, regraft_failures

GROUP = "conversation_lineage"
TABLES = ("conversation_sessions", "conversation_branch_nodes", "execution_run_records", "response_branch_records")
_VERSION = str(PROJECTION_VERSION)

seed_themes = AssetSpec(
    "seed_themes",
    deps=["pipeline_event_inbox"],
    group_name=GROUP,
    kinds={"postgres"},
    description="Subjects of experiments; a theme is created by the first call that names it.",
)
lineage_watermark = AssetSpec(
    "lineage_watermark",
    deps=["response_branch_records"],
    group_name=GROUP,
    kinds={"postgres"},
    description="How far the graph is.",
)


@multi_asset(
    name="conversation_lineage",
    specs=[
        AssetSpec(
            "conversation_sessions",
            deps=["session", "session_turn", "session_lineage"],
            kinds={"postgres"},
            code_version=_VERSION,
            description="Each conversation tree, with its figures.",
        ),
        AssetSpec(
            "conversation_branch_nodes",
            deps=["session_turn", "session_lineage", "conversation_sessions"],
            kinds={"postgres"},
            code_version=_VERSION,
            description="The nodes of each session's tree.",
        ),
        AssetSpec(
            "execution_run_records",
            deps=["pipeline_event_inbox", "conversation_branch_nodes"],
            kinds={"postgres"},
            code_version=_VERSION,
            description="One run per turn: model, settings, duration, cost.",
        ),
        AssetSpec(
            "response_branch_records",
            deps=["conversation_branch_nodes", "execution_run_records"],
            kinds={"postgres"},
            code_version=_VERSION,
            description="Answers as alternatives under their anchors.",
        ),
    ],
    partitions_def=SESSIONS,
    backfill_policy=BackfillPolicy.single_run(),
    retry_policy=RetryPolicy(max_retries=2, delay=5),
    group_name=GROUP,
)
def conversation_lineage(context: AssetExecutionContext, servers: Servers) -> Iterator[MaterializeResult[None]]:
    """Add the waiting turns of the run's sessions to the graph."""
    from regraft.flows import pipeline
    from regraft.flows.lineage import build as lineage

    sessions = [UUID(key) for key in context.partition_keys]
    with regraft_failures():
        built = lineage.build(servers.dsn, sessions)
        rows = pipeline.counts(servers.dsn, "batch_rows", sessions=sessions)
        graph = pipeline.counts(servers.dsn, "graph")
    context.log.info("placed %d turns of %d sessions, build %d", built.turns, built.sessions, graph["build"])
    for table in TABLES:
        yield MaterializeResult(
            asset_key=table,
            metadata={
                "rows": rows[table],
                "sessions": len(sessions),
                "new_turns": built.turns,
                "build": graph["build"],
            },
        )
    context.log_event(AssetMaterialization("seed_themes", metadata={"rows": graph["themes"]}))
    context.log_event(
        AssetMaterialization(
            "lineage_watermark", metadata={"build": graph["build"], "turns_built": graph["turns_built"]}
        )
    )


@asset(
    deps=["pipeline_event_inbox", "session_turn"],
    group_name=GROUP,
    kinds={"postgres"},
    retry_policy=RetryPolicy(max_retries=2, delay=5),
    code_version=str(CODE_VERSION),
)
def taskification_results(context: AssetExecutionContext, servers: Servers) -> MaterializeResult[None]:
    """Plans of subtasks, read from the captured calls that requested them; materialised manually."""
    from regraft.flows.orchestration import reading, taskify

    with regraft_failures():
        collected = taskify.collect(servers.dsn)
        counts = reading.counts(servers.dsn)
    context.log.info("%d plans wait for their second try", collected.waiting)
    added = collected.planned + collected.repaired + collected.failed
    return MaterializeResult(metadata={**counts, "new": added, "waiting": collected.waiting})


ASSETS: list[AssetSpec | AssetsDefinition] = [
    seed_themes,
    conversation_lineage,
    taskification_results,
    lineage_watermark,
]
