"""Group ``pipeline_runtime``: the execution log, written by ingest at any moment and only reported here, and the tables
of the workbench that are made from it."""

from collections.abc import Iterator

from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    AssetSpec,
    MaterializeResult,
    RetryPolicy,
    multi_asset,
)

from regraft.presentation.dagster.resources import Servers, regraft_failures

GROUP = "pipeline_runtime"
MADE = ("llm_chat_turns", "llm_tool_calls", "token_usage", "flow_edges", "flow_nodes", "session_timeline")
LAST = MADE[-1]

pipeline_event_inbox = AssetSpec(
    "pipeline_event_inbox", group_name=GROUP, kinds={"postgres"}, description="Captured calls, one row each."
)
session = AssetSpec(
    "session", deps=["pipeline_event_inbox"], group_name=GROUP, kinds={"postgres"}, description="Conversations."
)
session_turn = AssetSpec(
    "session_turn",
    deps=["pipeline_event_inbox", "session"],
    group_name=GROUP,
    kinds={"postgres"},
    description="Answers: a context in, one assistant message out.",
)
session_lineage = AssetSpec(
    "session_lineage",
    deps=["session_turn"],
    group_name=GROUP,
    kinds={"postgres"},
    description="The parent and session that a turn names, and what its history waits for.",
)
feedback = AssetSpec(
    "feedback",
    group_name=GROUP,
    kinds={"postgres"},
    description="Feedback of clients on turns and sessions: rewards, ratings, figures of their own.",
)


@multi_asset(
    name="runtime_tables",
    specs=[
        AssetSpec(
            "llm_chat_turns",
            deps=["pipeline_event_inbox", "session_turn"],
            kinds={"duckdb"},
            description="Each answer with the last question, the caller, and its duration.",
        ),
        AssetSpec(
            "llm_tool_calls",
            deps=["session_turn", "session_lineage"],
            kinds={"duckdb"},
            description="Each tool call with its result from the next call.",
        ),
        AssetSpec(
            "token_usage",
            deps=["pipeline_event_inbox"],
            kinds={"duckdb"},
            description="What each captured call cost, attempts among them.",
        ),
        AssetSpec(
            "flow_edges",
            deps=["token_usage", "llm_tool_calls"],
            kinds={"duckdb"},
            description="Who called whom in each session, how often, and at what cost.",
        ),
        AssetSpec("flow_nodes", deps=["flow_edges"], kinds={"duckdb"}, description="All callers and callees."),
        AssetSpec(
            LAST,
            deps=["llm_chat_turns", "llm_tool_calls", "token_usage"],
            kinds={"duckdb"},
            description="The events of each session, in order.",
        ),
    ],
    group_name=GROUP,
    retry_policy=RetryPolicy(max_retries=3, delay=10),  # another process may hold the workbench
)
def runtime_tables(context: AssetExecutionContext, servers: Servers) -> Iterator[MaterializeResult[None]]:
    """Update the runtime tables from the log."""
    from regraft.flows.capture.runtime import build_runtime

    with regraft_failures():
        done = build_runtime(servers.dsn, servers.workbench)
    for table in MADE:
        yield MaterializeResult(
            asset_key=table, metadata={"rows": done.rows[table], "new_calls": done.calls, "seq": done.seq}
        )


ASSETS: list[AssetSpec | AssetsDefinition] = [
    pipeline_event_inbox,
    session,
    session_turn,
    session_lineage,
    feedback,
    runtime_tables,
]
