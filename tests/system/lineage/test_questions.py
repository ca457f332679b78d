"""SQL queries: every documented query runs and finds its rows, and views agree with each other."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from regraft.domain.capture.exchange import Exchange
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.datasets.freeze import freeze
from regraft.flows.lineage import build as lineage
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect

GUIDE = Path(__file__).parents[3] / "docs" / "how-to" / "sql.md"
QUERIES = re.findall(r"```sql\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
USER = {"role": "user", "content": "Weather in Oslo?"}
FUNCTION = {"name": "weather", "arguments": '{"city":"Oslo"}'}
CALLING = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c1", "type": "function", "function": FUNCTION}],
}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "snow"}
SFT = 'name = "good"\nkind = "sft"\n[select]\nper_context = 0\n[content]\nunlisted_tools = "keep"\n'


def keep(dsn: str, *exchanges: Exchange) -> None:
    """Store calls and place them."""
    with connect(dsn, autocommit=True) as connection:
        ingest(connection, [encode_exchange(each) for each in exchanges], SeenIds())
    lineage.build(dsn)


def rows(dsn: str, query: str, *parameters: Any) -> list[dict[str, Any]]:
    with connect(dsn) as connection:
        return connection.execute(query.encode(), parameters or None).fetchall()


def judge(calls: Any, document: dict[str, Any], **circumstances: Any) -> Exchange:
    circumstances = {"endpoint": "/v1/feedback", **circumstances}
    return calls(request=json.dumps(document).encode(), response=b"{}", circumstances=circumstances)


@dataclass(frozen=True, slots=True)
class Trip:
    """A conversation with a tool call, a replay, rewards, an error beside it, and a snapshot that holds it."""

    dsn: str
    session: UUID
    node: UUID
    asked: UUID
    answered: UUID
    snapshot: str


@pytest.fixture
def trip(truth: str, calls: Any, tmp_path: Path) -> Trip:
    who = {"session": "trip", "theme": "weather", "task": "oslo"}
    asked = calls([USER], CALLING, who=who)
    answered = calls([USER, CALLING, RESULT], "It snows.", who=who)
    keep(truth, asked, answered)
    (turn,) = rows(truth, "SELECT node_id, session_id FROM session_turn WHERE turn_id = %s", answered.event_id)
    again = {**who, "replay_node": str(turn["node_id"]), "purpose": "replay", "variant": '{"model":"large"}'}
    keep(
        truth,
        calls([USER, CALLING, RESULT], "It is cold.", model="large", who=again),
        calls.failed([{"role": "user", "content": "Bergen?"}], status=503),
        judge(calls, {"turn_id": str(answered.event_id), "reward": 1, "comment": "well put"}),
        judge(calls, {"session": "trip", "reward": 0.5, "source": "grader"}),
    )
    frozen = freeze(SFT, dsn=truth, workbench=tmp_path / "bench.duckdb", warehouse=str(tmp_path / "warehouse"))
    return Trip(truth, turn["session_id"], turn["node_id"], asked.event_id, answered.event_id, frozen.snapshot_id)


def test_every_documented_query_runs_and_finds_its_rows(trip: Trip) -> None:
    given = {"session": trip.session, "node": trip.node, "anchor": trip.answered, "snapshot": trip.snapshot}
    assert len(QUERIES) >= 14
    for query in QUERIES:
        filled = re.sub(r":'(\w+)'", lambda name: f"'{given[name[1]]}'", query)
        assert rows(trip.dsn, filled.replace("%", "%%")), query


def test_a_tree_stands_in_order_with_what_came_of_each_answer(trip: Trip) -> None:
    found = rows(trip.dsn, "SELECT * FROM session_tree(%s)", trip.session)
    assert [(row["depth"], row["branch_kind"], row["reward"], row["answer"]) for row in found] == [
        (0, "root", None, None),
        (1, "continuation", None, None),
        (2, "continuation", 1.0, "It snows."),
        (2, "model_variant", None, "It is cold."),
    ]
    assert rows(trip.dsn, "SELECT * FROM session_tree(%s)", UUID(int=0)) == []


def test_branches_stand_below_their_parents_and_siblings_by_time(truth: str, calls: Any) -> None:
    def said(*texts: str) -> list[dict[str, str]]:
        return [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(texts)]

    who = {"session": "wood"}
    keep(
        truth,
        calls(said("a"), "b", who=who),
        calls(said("a"), "c", who=who),
        calls(said("a", "c", "d"), "e", who=who),
        calls(said("a", "b", "f"), "g", who=who),
        calls(said("a", "b", "f"), "h", who=who),
        calls(said("a", "b", "f", "g", "i"), "j", who=who),
    )
    (session,) = rows(truth, "SELECT session_id FROM session")
    found = rows(truth, "SELECT answer FROM session_tree(%s)", session["session_id"])
    assert [row["answer"] for row in found] == [None, "b", "g", "j", "h", "c", "e"]


def test_the_alternatives_under_an_anchor_are_numbered_and_rewarded(trip: Trip) -> None:
    query = "SELECT * FROM anchor_alternatives WHERE context_anchor_turn_id = %s ORDER BY branch_index"
    found = rows(trip.dsn, query, trip.answered)
    assert [(row["branch_index"], row["model"], row["reward"], row["answer"]) for row in found] == [
        (0, "m", 1.0, "It snows."),
        (1, "large", None, "It is cold."),
    ]


def test_tokens_are_summed_per_model_and_day(trip: Trip) -> None:
    found = rows(trip.dsn, "SELECT * FROM usage_per_day ORDER BY model")
    assert [
        (str(row["day"]), row["model"], row["runs"], row["runs_without_usage"], row["prompt_tokens"]) for row in found
    ] == [
        ("2023-11-14", "large", 1, 0, 5),
        ("2023-11-14", "m", 3, 1, 10),
    ]


def test_what_failed_is_counted_per_upstream_and_says_why(trip: Trip) -> None:
    (found,) = rows(trip.dsn, "SELECT * FROM errors_per_upstream")
    assert (found["upstream"], found["http_status"], found["calls"], found["seen_by_the_client"]) == ("main", 503, 1, 1)
    (failed,) = rows(trip.dsn, "SELECT * FROM failed_calls")
    assert failed["error"] == "no"


def results(dsn: str, turn: UUID) -> list[tuple[Any, ...]]:
    query = 'SELECT "position", name, arguments, result FROM turn_tool_calls(%s)'
    return [tuple(row.values()) for row in rows(dsn, query, turn)]


def test_a_tool_call_stands_with_the_result_that_the_next_call_brought(trip: Trip) -> None:
    (found,) = rows(trip.dsn, "SELECT * FROM tool_calls WHERE session_id = %s", trip.session)
    assert (found["turn_id"], found["result_turn_id"]) == (trip.asked, trip.answered)
    assert (found["call_id"], found["name"], found["result"], float(found["seconds"])) == (
        "c1",
        "weather",
        "snow",
        0.995,
    )


def test_results_are_found_by_id_in_any_order_and_by_order_where_ids_were_rewritten(truth: str, calls: Any) -> None:
    def calling(*ids: str) -> dict[str, Any]:
        made = [
            {"id": one, "type": "function", "function": {"name": f"f{at}", "arguments": "{}"}}
            for at, one in enumerate(ids)
        ]
        return {"role": "assistant", "content": None, "tool_calls": made}

    def told(identity: str, text: str) -> dict[str, Any]:
        return {"role": "tool", "tool_call_id": identity, "content": text}

    ask = [{"role": "user", "content": "two"}]
    swapped = calls(ask, calling("a", "b"))
    other = [{"role": "user", "content": "rewritten"}]
    rewritten = calls(other, calling("a", "b"))
    silent = calls([{"role": "user", "content": "none"}], calling("a"))
    keep(
        truth,
        swapped,
        calls([*ask, calling("a", "b"), told("b", "second"), told("a", "first")], "done"),
        rewritten,
        calls([*other, calling("x", "y"), told("x2", "first"), told("y2", "second")], "done"),
        silent,
    )
    both = [(1, "f0", "{}", "first"), (2, "f1", "{}", "second")]
    assert results(truth, swapped.event_id) == both
    assert results(truth, rewritten.event_id) == both
    assert results(truth, silent.event_id) == [(1, "f0", "{}", None)]


def test_a_call_that_postgresql_cannot_hold_as_text_is_still_listed(truth: str, calls: Any) -> None:
    function = {"name": "f\0", "arguments": "{}"}
    odd = calls(answer={"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": function}]})
    keep(truth, odd)
    assert results(truth, odd.event_id) == [(1, None, None, None)]


def test_sessions_and_tasks_stand_with_their_outcome(trip: Trip) -> None:
    (found,) = rows(trip.dsn, "SELECT * FROM session_overview WHERE theme = 'weather'")
    assert (found["tasks"], found["replays"], found["reward"], found["reward_source"]) == (["oslo"], 1, 0.5, "grader")
    (attempt,) = rows(trip.dsn, "SELECT * FROM task_attempts WHERE task_key = 'oslo'")
    assert (attempt["session_id"], attempt["runs"], attempt["reward"]) == (trip.session, 3, 0.5)


def test_attempts_without_a_task_are_grouped_by_theme_and_first_words_across_sessions(truth: str, calls: Any) -> None:
    def attempt(session: str, words: str, theme: str = "weather") -> Any:
        return calls([{"role": "user", "content": words}], session, who={"session": session, "theme": theme})

    keep(truth, attempt("one", "Oslo?"), attempt("two", "Oslo? "), attempt("three", "Bergen?"))
    keep(truth, attempt("four", "Oslo?", "news"), calls([{"role": "user", "content": "Oslo?"}], "x"))
    found = rows(truth, "SELECT a.*, s.external_id FROM task_attempts a JOIN session s USING (session_id)")
    assert {row["grouped_by"] for row in found} == {"theme_and_prompt"}
    groups: dict[str, set[str]] = {}
    for row in found:
        groups.setdefault(row["task_key"], set()).add(row["external_id"])
    assert sorted(map(sorted, groups.values())) == [["four"], ["one", "two"], ["three"]]
    assert {key.partition(":")[0] for key in groups} == {"weather", "news"}


def test_a_replay_stands_beside_the_answer_that_it_grows_again(trip: Trip) -> None:
    (found,) = rows(trip.dsn, "SELECT * FROM replayed_answers")
    assert (found["variant"], found["answer"], found["anchor_answer"]) == (
        '{"model":"large"}',
        "It is cold.",
        "It snows.",
    )


def test_callers_are_purposes_and_models_call_tools(trip: Trip) -> None:
    found = rows(trip.dsn, "SELECT * FROM who_called_whom WHERE session_id = %s ORDER BY caller", trip.session)
    assert [(row["caller"], row["callee_kind"], row["callee"], row["calls"], row["errors"]) for row in found] == [
        ("chat", "model", "m", 2, 0),
        ("m", "tool", "weather", 1, 0),
        ("replay", "model", "large", 1, 0),
    ]


def test_a_snapshot_shows_what_it_holds_and_a_node_where_it_went(trip: Trip) -> None:
    query = "SELECT * FROM snapshot_contents WHERE snapshot_id = %s AND part = 'answer'"
    assert "It snows." in {row["answer"] for row in rows(trip.dsn, query, trip.snapshot)}
    found = rows(trip.dsn, "SELECT * FROM node_snapshots WHERE node_id = %s", trip.node)
    assert {(row["snapshot_id"], row["kind"]) for row in found} == {(trip.snapshot, "sft")}


def test_the_outcome_of_one_target_is_the_one_of_the_views(trip: Trip, calls: Any) -> None:
    node, session = str(trip.node), str(trip.session)
    twice = calls([USER, CALLING, RESULT], "It snows.", who={"session": "trip"})
    keep(
        trip.dsn,
        twice,
        judge(calls, {"turn_id": node, "reward": 0.25}),
        judge(calls, {"turn_id": node, "rating": 5}),
        judge(calls, {"turn_id": node, "reward": 9}, scope="other"),
        judge(calls, {"turn_id": str(twice.event_id), "rating": 2}),
        judge(calls, {"session": session, "reward": 0.75}),
        judge(calls, {"session": session, "reward": 0.1}, scope="other"),
    )
    assert {row["target_session_id"] for row in rows(trip.dsn, "SELECT * FROM feedback_target")} > {trip.session}
    for noun, key in (("turn", "turn_id"), ("session", "session_id")):
        whole = rows(trip.dsn, f"SELECT {key}, name, reward, source, given_at FROM {noun}_outcome ORDER BY 1")
        single = rows(
            trip.dsn,
            f"SELECT t.{key}, o.name, o.reward, o.source, o.given_at FROM session_turn t"
            f" CROSS JOIN LATERAL outcome_of_{noun}(t.{key}) o GROUP BY 1, 2, 3, 4, 5 ORDER BY 1",
        )
        assert whole == single
        assert whole


def test_what_was_said_of_a_session_is_listed_the_latest_first(trip: Trip) -> None:
    found = rows(trip.dsn, "SELECT * FROM session_feedback(%s)", trip.session)
    assert [(row["turn_id"], row["value"]) for row in found] == [(None, 0.5), (trip.answered, 1.0)]


def test_texts_are_read_in_queries_that_postgresql_would_run_in_parallel(trip: Trip) -> None:
    with connect(trip.dsn) as connection:
        name = "debug_parallel_query" if connection.info.server_version >= 160000 else "force_parallel_mode"
        connection.execute(f"SET {name} = on".encode())
        found = connection.execute("SELECT message_text(body) AS text FROM message WHERE role = 'user'").fetchall()
    assert {row["text"] for row in found} == {"Weather in Oslo?", "Bergen?"}
