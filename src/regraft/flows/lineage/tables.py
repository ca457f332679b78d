"""Sessions and trees as Arrow tables."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from regraft.flows.columns import TEXT, TEXTS, TIME, batches_of, column
from regraft.flows.lineage import reading

_PAGE = 1_000  # sessions that one query reads
_INT, _FLOAT, _BOOL = pa.int64(), pa.float64(), pa.bool_()

SESSIONS = pa.schema(
    [
        column("session_id", TEXT, "its id"),
        column("scope", TEXT, "the tenant"),
        column("external_id", TEXT, "the client's own name for it; null: it gave none"),
        column("theme", TEXT, "the theme; null: none"),
        column("root_node_id", TEXT, "the root of its tree: the empty history"),
        column("turns", _INT, "captured answers"),
        column("nodes", _INT, "nodes of the tree, with the root"),
        column("replays", _INT, "answers that replays asked for"),
        column("errors", _INT, "calls that failed"),
        column("models", TEXTS, "models that answered"),
        column("purposes", TEXTS, "what the calls were made for"),
        column("reward", _FLOAT, "the last reported outcome, 0 to 1; null: none"),
        column("reward_source", TEXT, "who reported it"),
        column("lowest_fidelity", _FLOAT, "least share of recorded tool results in its rollouts, 0 to 1"),
        column("opening_role", TEXT, "role of the first message"),
        column("opening", TEXT, "its first 200 characters"),
        column("started_at", TIME, "time of the first call"),
        column("last_turn_at", TIME, "time of the last call"),
        column("build", _INT, "build of the graph that last changed it"),
    ]
)

NODES = pa.schema(
    [
        column("node_id", TEXT, "its id"),
        column("parent_node_id", TEXT, "the node that it continues; null: the root"),
        column("turn_id", TEXT, "its first run; null: the root"),
        column("depth", _INT, "steps from the root"),
        column("branch_kind", TEXT, "root, continuation, retry, sampling_variant, model_variant, prompt_variant, ..."),
        column("branch_reason", TEXT, "why it is of that kind"),
        column("variant_config", TEXT, "what a variant changed, as JSON"),
        column("node_status", TEXT, "ok, error, cut, ambiguous or unknown"),
        column("parent_evidence", TEXT, "how its parent was found"),
        column("runs", _INT, "calls that gave this very answer"),
        column("context_anchor_turn_id", TEXT, "the turn under which answers to one context are compared"),
        column("branch_index", _INT, "its place among those answers"),
        column("is_replay", _BOOL, "whether a replay asked for it"),
        column("fidelity", _FLOAT, "share of recorded tool results on the way to it, 0 to 1; null: no rollout"),
        column("model", TEXT, "the model that answered"),
        column("finish_reason", TEXT, "how the answer ended, in the words of the model server"),
        column("tool_calls", _INT, "calls of tools in the answer"),
        column("prompt_tokens", _INT, "tokens that the model read"),
        column("completion_tokens", _INT, "tokens that it wrote"),
        column("duration_ms", _FLOAT, "milliseconds from the request to the end of the answer"),
        column("started_at", TIME, "time of the request"),
        column("reward", _FLOAT, "the reported outcome, 0 to 1; null: none"),
        column("reward_source", TEXT, "who reported it"),
        column("asked_role", TEXT, "role of the last message before the answer"),
        column("asked", TEXT, "its first 120 characters"),
        column("answer_text", TEXT, "first 120 characters of the answer"),
        column("called", TEXT, "its tool calls, `name(arguments)`, cut; null: none"),
    ]
)


def sessions(
    dsn: str, *, theme: str | None = None, side: bool | None = None, scope: str | None = None
) -> Iterator[pa.RecordBatch]:
    """Sessions in the columns of ``SESSIONS``, the most recent first, a page of a thousand at a time."""
    before, before_id = None, None
    while True:
        page = reading.sessions(dsn, _PAGE, before=before, before_id=before_id, theme=theme, side=side, scope=scope)
        yield from batches_of(page, SESSIONS)
        if len(page) < _PAGE:
            return
        before, before_id = page[-1]["last_turn_at"], page[-1]["session_id"]


def tree(dsn: str, session: str) -> Iterator[pa.RecordBatch]:
    """The nodes of a session in the columns of ``NODES``: a node, then all below it. Raises NotFoundError."""
    return batches_of(reading.tree(dsn, session).nodes, NODES)
