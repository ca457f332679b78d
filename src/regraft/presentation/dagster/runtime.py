"""Group ``pipeline_runtime``: the execution log, written by ingest at any moment and only reported here."""

from dagster import AssetSpec

GROUP = "pipeline_runtime"

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
    description="What is claimed of a turn's place, and what its history waits for.",
)

ASSETS = [pipeline_event_inbox, session, session_turn, session_lineage]
