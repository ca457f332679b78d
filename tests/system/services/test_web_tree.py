"""The routes that a picture of a tree is drawn from: the same tree as the others show, in columns."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from starlette.testclient import TestClient

from regraft.domain.ids import canonical_json
from regraft.flows.replay.staleness import outdate
from regraft.infra.postgres.pool import connect
from regraft.presentation.web import app as web
from support.small_graph import SmallGraph, Turn, call, every_kind, say

HOSTILE = "</script><script>alert(1)</script>\u2028 \x00 \ud800 \U0001f600"


@pytest.fixture
def turns(truth: str) -> dict[str, Turn]:
    """A tree with a branch of every kind, one with tools."""
    with connect(truth) as connection:
        return every_kind(SmallGraph(connection))


@pytest.fixture
def client(truth: str, tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(web.make_app(truth, workbench=tmp_path / "w.duckdb"), raise_server_exceptions=False) as made:
        yield made


def ok(client: TestClient, path: str) -> Any:
    reply = client.get(path)
    assert reply.status_code == 200, reply.text
    return reply.json()


def rows(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """The entries of columns; all are equally long."""
    assert len({len(column) for column in columns.values()}) == 1
    return [dict(zip(columns, entry, strict=True)) for entry in zip(*columns.values(), strict=True)]


def test_the_shape_of_a_tree_is_the_tree_in_columns(client: TestClient, turns: dict[str, Turn]) -> None:
    shape, tree = ok(client, "/api/sessions/fruit/shape"), ok(client, "/api/sessions/fruit/tree")
    names, nodes = shape["names"], rows(shape["nodes"])
    assert shape["session"] == tree["session"]
    assert {node["id"] for node in nodes} == {node["node_id"] for node in tree["nodes"]}
    by_id = {node["id"]: node for node in nodes}
    for known in tree["nodes"]:
        node = by_id[known["node_id"]]
        assert (None if node["parent"] is None else nodes[node["parent"]]["id"]) == known["parent_node_id"]
        assert names["kinds"][node["kind"]] == known["branch_kind"]
        assert names["statuses"][node["status"]] == known["node_status"]
        assert names["evidence"][node["evidence"]] == known["parent_evidence"]
        assert (None if node["model"] is None else names["models"][node["model"]]) == known["model"]
        assert bool(node["replay"]) == bool(known["is_replay"])
        assert (node["tokens_in"], node["tokens_out"]) == (known["prompt_tokens"], known["completion_tokens"])
        assert (node["runs"], node["fidelity"], node["outcome"]) == (known["runs"], known["fidelity"], known["reward"])
        assert (node["calls"], node["ms"]) == (known["tool_calls"] or 0, known["duration_ms"])
        at = known["started_at"] and datetime.fromisoformat(known["started_at"])
        assert node["at"] == (at and at.timestamp() * 1000)


def test_in_a_shape_parents_come_before_their_children(client: TestClient, turns: dict[str, Turn]) -> None:
    nodes = rows(ok(client, "/api/sessions/fruit/shape")["nodes"])
    assert nodes[0]["parent"] is None
    assert all(node["parent"] < place for place, node in enumerate(nodes) if place)


def test_the_words_of_a_tree_are_in_the_order_of_its_shape(client: TestClient, turns: dict[str, Turn]) -> None:
    for session in ("fruit", "tools"):
        shape, words = ok(client, f"/api/sessions/{session}/shape"), ok(client, f"/api/sessions/{session}/words")
        assert words.pop("build") == shape["session"]["build"]
        known = {node["node_id"]: node for node in ok(client, f"/api/sessions/{session}/tree")["nodes"]}
        for node, said in zip(shape["nodes"]["id"], rows(words), strict=True):
            assert said["asked"] == (known[node]["asked"] or "")[:80] or known[node]["asked"] is None
            assert said["answer"] == (known[node]["answer_text"] and known[node]["answer_text"][:80])
            assert bool(said["called"]) == bool(known[node]["called"])
            assert bool(said["result"]) == (known[node]["asked_role"] == "tool")
    assert words["called"][1] == "weather"


def test_an_outcome_of_a_node_is_the_one_that_the_tree_shows(
    client: TestClient, truth: str, turns: dict[str, Turn]
) -> None:
    with connect(truth, autocommit=True) as connection:
        for name, value, target in (
            ("rating", 0.2, turns["second"].turn_id),
            ("reward", 0.75, turns["second"].node_id),
            ("mood", 1.0, turns["retry"].turn_id),
        ):
            connection.execute(
                "INSERT INTO feedback (feedback_id, scope, turn_id, name, value, source, given_at)"
                " VALUES (%s, 'test', %s, %s, %s, 'tests', now())",
                (uuid4(), target, name, value),
            )
    nodes = rows(ok(client, "/api/sessions/fruit/shape")["nodes"])
    assert {node["id"]: node["outcome"] for node in nodes if node["outcome"] is not None} == {
        str(turns["second"].node_id): 0.75
    }
    said = ok(client, f"/api/nodes/{turns['second'].node_id}/judgements")
    assert {(each["name"], each["value"]) for each in said["feedback"]} == {("rating", 0.2), ("reward", 0.75)}


def test_words_that_postgresql_cannot_hold_harm_nothing(client: TestClient, truth: str) -> None:
    with connect(truth) as connection:
        graph = SmallGraph(connection)
        session = graph.session("hostile")
        ask = [say("user", HOSTILE)]
        turn = graph.turn(session, ask, say("assistant", HOSTILE))
        graph.turn(session, [*ask, turn.answer or {}, say("user", "on")], call("c", HOSTILE, "{"), parent=turn)
    words = ok(client, "/api/sessions/hostile/words")
    assert words["asked"] == [None, None, "on"]
    assert client.get("/api/sessions/hostile/shape").status_code == 200
    captured = client.get(f"/api/runs/{turn.turn_id}/call").text
    assert canonical_json(HOSTILE) in captured


def test_nodes_of_a_tree_are_found_by_their_words(client: TestClient, turns: dict[str, Turn]) -> None:
    def found(words: str, session: str = "fruit") -> set[UUID]:
        return {UUID(node) for node in ok(client, f"/api/sessions/{session}/find?q={words}")["nodes"]}

    assert found("strawberry") == {turns["prompt"].node_id}
    assert found("green") == {turns["second"].node_id}  # in its question
    assert found("lime or plum") == {turns["second"].node_id, turns["tool_1"].node_id}
    assert found("snows") == set()
    assert found("snows", "tools") == {turns["answered"].node_id}
    assert found("") == set()
    assert client.get("/api/sessions/fruit/find?q=%00").status_code == 400


def test_what_no_longer_holds_is_marked_in_its_tree_alone(
    client: TestClient, truth: str, turns: dict[str, Turn]
) -> None:
    assert ok(client, "/api/sessions/fruit/stale") == {"nodes": []}
    outdate(truth, turns["first"].node_id, "the price list changed", "ann")
    stale = {each["node_id"]: each for each in ok(client, "/api/sessions/fruit/stale")["nodes"]}
    assert set(stale) == {str(turns["first"].node_id), str(turns["second"].node_id)}
    assert "the price list changed" in stale[str(turns["first"].node_id)]["reason"]
    assert ok(client, "/api/sessions/tools/stale") == {"nodes": []}


def test_a_captured_call_is_shown_whole(client: TestClient, turns: dict[str, Turn]) -> None:
    shown = ok(client, f"/api/runs/{turns['answered'].turn_id}/call")
    assert shown["request"]["messages"] == turns["answered"].history
    assert [tool["function"]["name"] for tool in shown["request"]["tools"]] == ["weather", "read"]
    assert shown["answer"] == turns["answered"].answer
    assert client.get("/api/runs/12345678/call").status_code == 400
    assert client.get(f"/api/runs/{uuid4()}/call").status_code == 404


def test_what_people_say_of_a_node_is_seen_from_the_node(
    client: TestClient, truth: str, turns: dict[str, Turn]
) -> None:
    first, retry = turns["first"], turns["retry"]
    a, b = sorted((first.node_id, retry.node_id))
    with connect(truth, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO preference_labels (label_id, pair_id, anchor_turn_id, node_a, node_b, source, decided_by,"
            " preference, shown_first, shown_hash, created_at)"
            " VALUES (%s, %s, %s, %s, %s, 'human', 'ann', %s, 'a', '', %s)",
            (uuid4(), uuid4(), first.turn_id, a, b, "a" if a == first.node_id else "b", datetime.now(UTC)),
        )
    seen = {
        turn.node_id: ok(client, f"/api/nodes/{turn.node_id}/judgements")["preferences"][0] for turn in (first, retry)
    }
    assert [(seen[turn.node_id]["outcome"], seen[turn.node_id]["by"]) for turn in (first, retry)] == [
        ("better", "ann"),
        ("worse", "ann"),
    ]
    assert seen[retry.node_id]["other_node_id"] == str(first.node_id)
