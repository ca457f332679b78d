"""A database of captured calls and the graph that is built from them."""

from __future__ import annotations

from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.lineage import build as lineage
from regraft.infra.nats.codec import encode_exchange

GRAPH = (
    "conversation_sessions",
    "conversation_branch_nodes",
    "execution_run_records",
    "response_branch_records",
    "seed_themes",
)


LOG = "message, context, request_part, pipeline_event_inbox, session, session_turn, session_lineage, lineage_queue"


class CapturedGraph:
    """A database of captured calls and the graph that is built of them."""

    def __init__(self, dsn, connection):
        self.dsn = dsn
        self.connection = connection
        self.stored = SeenIds()

    def take(self, *exchanges):
        """Store the calls and build what they touch."""
        counts = ingest(self.connection, [encode_exchange(each) for each in exchanges], self.stored)
        assert counts.quarantined == 0
        return lineage.build(self.dsn)

    def ask(self, query, **values):
        return self.connection.execute(query.encode(), values).fetchall()

    def node(self, exchange, choice=0):
        """The node of a call, with its branch."""
        (row,) = self.ask(
            """SELECT n.*, b.context_anchor_turn_id, b.branch_index, b.same_context, b.same_tools,
                b.branch_kind AS run_kind, t.turn_id AS run
            FROM session_turn t JOIN conversation_branch_nodes n USING (node_id)
            JOIN response_branch_records b ON b.turn_id = t.turn_id
            WHERE t.event_id = %(event)s AND t.choice_index = %(choice)s""",
            event=exchange.event_id,
            choice=choice,
        )
        return row

    def run(self, exchange):
        return self.ask("SELECT * FROM execution_run_records WHERE run_id = %(run)s", run=exchange.event_id)[0]

    def session(self, exchange):
        return self.ask("SELECT session_id FROM session_turn WHERE turn_id = %(id)s", id=exchange.event_id)[0][
            "session_id"
        ]

    def graph(self, *ignored):
        """All rows of the graph, without the numbers of builds and the columns that are ignored."""
        found = {}
        for table in GRAPH:
            rows = self.ask(f"SELECT * FROM {table}")
            found[table] = sorted(
                repr(sorted((k, v) for k, v in row.items() if k not in ("build", *ignored))) for row in rows
            )
        return found

    def forget(self):
        """Empty everything."""
        derived = f"{', '.join(GRAPH)}, lineage_watermark, unsettled_node, turn_link"
        self.connection.execute(f"TRUNCATE {LOG}, {derived}, quarantine CASCADE".encode())
        self.stored = SeenIds()

    def check(self):
        """Check the invariants of every graph."""
        (broken,) = self.ask(
            """SELECT count(*) AS n FROM conversation_branch_nodes n
            LEFT JOIN conversation_branch_nodes p ON p.node_id = n.parent_node_id
            WHERE n.turn_index <> n.depth OR n.depth <> coalesce(p.depth + 1, 0)
                OR p.session_id <> n.session_id OR (p.node_id IS NULL) <> (n.branch_kind = 'root')"""
        )
        assert broken["n"] == 0
        numbers = self.ask(
            """SELECT array_agg(branch_index ORDER BY branch_index) AS found FROM response_branch_records
            GROUP BY context_anchor_turn_id"""
        )
        assert all(row["found"] == list(range(len(row["found"]))) for row in numbers)
        (missing,) = self.ask(
            """SELECT (SELECT count(*) FROM session_turn) AS turns, (SELECT count(*) FROM lineage_queue) AS waiting,
                (SELECT count(*) FROM execution_run_records) AS runs,
                (SELECT count(*) FROM response_branch_records) AS branches,
                (SELECT coalesce(sum(runs), 0) FROM conversation_branch_nodes) AS counted,
                (SELECT coalesce(sum(turns), 0) FROM conversation_sessions) AS in_sessions"""
        )
        turns = missing.pop("turns")
        assert missing == {"waiting": 0, "runs": turns, "branches": turns, "counted": turns, "in_sessions": turns}

    def dump(self):
        """All that is derived, and what is kept for later arrivals."""
        found = self.graph()
        for table in ("turn_link", "unsettled_node"):
            found[table] = sorted(repr(sorted(row.items())) for row in self.ask(f"SELECT * FROM {table}"))
        return found
