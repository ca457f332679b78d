"""Recorded conversations merge into the forest that an independent counter finds, and every difference has a reason."""

from __future__ import annotations

import json
from collections import defaultdict

import pytest

from regraft.domain.lineage.message import store_message
from support.chains import chain
from support.recorded_conversations import FOLDERS, conversations, each_folder


def forest(histories) -> dict[str, int]:
    """Nodes, branch points (the empty history is none) and leaves of all histories merged under the projection."""
    below: dict[bytes, set[bytes]] = defaultdict(set)
    nodes: set[bytes] = set()
    for history in histories:
        parent = b""
        for context in chain("s", ((m.message_id, m.projection) for m in map(store_message, history))):
            below[parent].add(context.projection_id)
            nodes.add(context.projection_id)
            parent = context.projection_id
    return {
        "nodes": len(nodes),
        "branch_points": sum(len(children) > 1 for parent, children in below.items() if parent),
        "leaves": sum(node not in below for node in nodes),
    }


@each_folder()
def test_a_folder_merges_into_the_forest_that_was_counted(corpus, name):
    counted = json.loads((corpus / "totals.json").read_text())["sources"][name]["semantic"]
    expected = {key: counted[key] for key in ("nodes", "branch_points", "leaves")}
    assert forest(conversations(corpus / name)) == expected


@pytest.mark.corpus
def test_no_folder_of_conversations_is_left_out(recorded_corpus):
    assert sorted({path.parent.name for path in recorded_corpus.glob("*/conversations*.jsonl.zst")}) == FOLDERS


def test_the_counter_counts_a_small_forest_right():
    a, b, c = ({"role": "user", "content": text} for text in "abc")
    assert forest([[a, b], [a, c], [a], [b]]) == {"nodes": 4, "branch_points": 1, "leaves": 3}
