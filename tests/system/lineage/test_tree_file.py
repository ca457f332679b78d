"""A tree as one HTML file: the whole tree is in it, and nothing that it holds can leave the block of data."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from regraft.domain.errors import UnavailableError
from regraft.flows.lineage import reading
from regraft.flows.lineage.tree_file import tree_document
from regraft.infra.postgres.pool import connect
from regraft.presentation.web.tree_page import escaped, tree_page
from support.small_graph import SmallGraph, every_kind, say

HOSTILE = "</script><script>alert(1)</script><!-- <script> ]]> & \u2028 \x00 \ud800 \U0001f600"


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A folder with a script and styles."""
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "tree.js").write_text('console.log("</script>" + "<!--")')
    (tmp_path / "snapshot" / "tree.css").write_text("body{margin:0}")
    return tmp_path


def document(dsn: str, session: str, most_text: int = 10**9) -> tuple[dict, int]:
    made = tree_document(dsn, session, now=datetime(2026, 1, 1, tzinfo=UTC), version="0", most_text=most_text)
    return json.loads(made.json), made.left_out


def history(tree: dict, node: int) -> list:
    """As the page puts it together."""
    found, at = [], tree["asked"][node]
    while at >= 0:
        found.append(tree["messages"][tree["contexts"]["message"][at]])
        at = tree["contexts"]["parent"][at]
    return found[::-1]


def test_a_file_holds_every_history_and_answer_of_a_tree(truth: str) -> None:
    with connect(truth) as connection:
        turns = every_kind(SmallGraph(connection))
    for session in ("fruit", "tools"):
        tree, left_out = document(truth, session)
        assert left_out == 0
        for place, node in enumerate(tree["shape"]["nodes"]["id"]):
            known = reading.node(truth, node)
            assert history(tree, place) == json.loads(known.node["history"] or "[]")
            answer = tree["messages"][tree["answered"][place]] if tree["answered"][place] >= 0 else None
            assert answer == (json.loads(known.runs[0]["answer"] or "null") if known.runs else None)
    assert str(turns["answered"].node_id) in tree["shape"]["nodes"]["id"]


def test_a_message_is_held_once_and_what_is_too_much_is_left_out(truth: str) -> None:
    with connect(truth) as connection:
        every_kind(SmallGraph(connection))
    whole, _ = document(truth, "fruit")
    assert len({json.dumps(each) for each in whole["messages"]}) == len(whole["messages"])
    less, left_out = document(truth, "fruit", most_text=200)
    assert less["left_out"] == left_out == sum(each is None for each in less["messages"]) > 0
    assert len(less["messages"]) == len(whole["messages"])
    assert document(truth, "fruit", most_text=0)[1] == len(whole["messages"])


def test_nothing_in_a_file_can_end_the_block_that_it_is_in(truth: str, built: Path) -> None:
    with connect(truth) as connection:
        graph = SmallGraph(connection)
        graph.turn(graph.session("<b>&"), [say("user", HOSTILE)], say("assistant", HOSTILE))
    made = tree_document(truth, "<b>&", now=datetime.now(UTC), version="0", most_text=10**9)
    page = "".join(tree_page(made.json, "<b>&</title>", built))
    data = re.search(r'<script type="application/json" id="tree-data">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    assert not re.search("[<>&\u2028\u2029]", data[1])
    assert json.loads(data[1])["messages"] == json.loads(made.json)["messages"]
    assert page.count("<script") == page.count("</script>") == 2
    assert "<title>&lt;b&gt;&amp;&lt;/title&gt;</title>" in page
    page.encode()  # no lone surrogate is left


def test_a_file_runs_its_own_script_alone(built: Path) -> None:
    page = "".join(tree_page("{}", "t", built))
    script, styles = page.rpartition("<script>")[2].partition("</script>")[0], page.partition("<style>")[2]
    for content, name in ((script, "script-src"), (styles.partition("</style>")[0], "style-src")):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in page
    assert "default-src 'none'" in page
    assert "unsafe" not in page
    assert "http://" not in page.replace("http-equiv", "")
    assert "https://" not in page


def test_without_the_built_page_it_says_how_to_build_it(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="make page"):
        list(tree_page("{}", "t", tmp_path))


def test_escaped_json_means_the_same() -> None:
    text = json.dumps({"<&>": ["\u2028\u2029", "</script>", "\\u003c"]}, ensure_ascii=False)
    assert json.loads(escaped(text)) == json.loads(text)
