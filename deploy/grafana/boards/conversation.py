"""One conversation: its tree as a node graph, laid out as a tree, and the turns in it."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from boards.panels import RED, board, box, choice, drawing, figure, limits, linked, listing, shown_as, words
from boards.sources import Sql, named

NOTE = """The graph shows at most 200 nodes: those nearest to the root, or from the depth on that is set above. A node's
colour is its kind of branch, red where the call failed; in it stand its duration and tokens. What was said is in the
[page of this conversation](${web}/sessions/${session})."""
KINDS = (
    ("turns", "Turns", "Answers captured in this conversation, runs of one node counted each.", None),
    ("nodes", "Nodes", "Answers in the tree; equal ones under one history are one node.", None),
    ("branches", "Branches", "Nodes that are not continuations.", None),
    ("errors", "Failed", "Turns whose call failed or was cut.", limits((1, RED))),
    ("tokens", "Tokens", "Read and written by its calls.", None),
    ("seconds", "Model time", "Seconds that its calls took.", None),
)


def conversation() -> dashboard.Dashboard:
    """The dashboard."""
    made = board(
        "conversation",
        "Regraft: one conversation",
        "The tree of a conversation: which turn went on from which, and how each was made.",
        span="now-7d",
        refresh="30s",
    )
    made = (
        made.with_variable(choice("session", "Conversation", named("conversation")["choices"]))
        .with_variable(box("depth", "From depth", "0"))
        .with_variable(box("web", "Web UI", "http://127.0.0.1:4701"))
    )
    for column, title, about, steps in KINDS:
        unit = "s" if column == "seconds" else "short"
        made = made.with_panel(figure(title, about, Sql("conversation", column), unit=unit, steps=steps))
    page = "${web}/sessions/${session}?node=${__data.fields.id}"
    graph = drawing(
        "Tree",
        "Nodes from top to bottom by depth, siblings from left to right by time.",
        Sql("conversation", "graph_nodes", ref="nodes"),
        Sql("conversation", "graph_edges", ref="edges"),
    )
    turns = listing("Turns", "In order of time.", Sql("conversation", "runs"))
    links = listing(
        "Linked conversations",
        "Conversations that one of its turns started, or that started it: sub-agents, tools that ask models.",
        Sql("conversation", "links"),
        height=6,
    )
    other = "/d/regraft-conversation?var-session=${__value.raw}&${__url_time_range}"
    return (
        made.with_panel(words(NOTE))
        .with_panel(graph.override_by_name("id", linked("Open this node", page)))
        .with_panel(turns.override_by_name("seconds", shown_as("s")).override_by_name("first byte", shown_as("s")))
        .with_panel(links.override_by_name("conversation", linked("Graph of this conversation", other)))
    )
