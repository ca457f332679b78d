"""Captured calls on a real PostgreSQL: stored once, unharmed, in linear space, and never lost."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from uuid import UUID

import psycopg
import pytest

from regraft.domain.ids import canonical_json, parse_json
from regraft.flows.capture.ingest import IngestCounts, SeenIds, ingest
from regraft.infra.nats.codec import decode_exchange, encode_exchange
from regraft.infra.postgres.pool import connect

TABLES = (
    "pipeline_event_inbox",
    "session",
    "session_turn",
    "session_lineage",
    "lineage_queue",
    "message",
    "context",
    "request_part",
    "quarantine",
)
HOSTILE = [
    pytest.param("a\0b", id="NUL"),
    pytest.param("a\ud800b", id="a lone high surrogate"),
    pytest.param("\udfff", id="a lone low surrogate"),
    pytest.param("😀 日本 e\u0301 \u202e\ufeff\uffff", id="unicode"),
    pytest.param("'; DROP TABLE message; -- \\ \\u0000 \\x00 %s {}", id="SQL and escapes"),
    pytest.param("x" * 300_000, id="long"),
]


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


@pytest.fixture
def connection(truth):
    with connect(truth, autocommit=True) as opened:
        yield opened


def store(connection, *exchanges, stored=None) -> IngestCounts:
    return ingest(connection, [encode_exchange(each) for each in exchanges], SeenIds() if stored is None else stored)


def rows(connection) -> dict[str, list[str]]:
    """Every table of the log, without the clocks of the database."""
    found = {}
    for table in TABLES:
        result = connection.execute(f"SELECT * FROM {table}".encode()).fetchall()
        kept = [{key: value for key, value in row.items() if key not in CLOCKS} for row in result]
        found[table] = sorted(repr(sorted(row.items())) for row in kept)
    return found


CLOCKS = ("seq", "received_at", "first_seen")


def counts(connection) -> dict[str, int]:
    return {
        table: connection.execute(f"SELECT count(*) AS n FROM {table}".encode()).fetchone()["n"] for table in TABLES
    }


def request_again(connection, event_id) -> dict:
    """The request of a call, assembled from the tables."""
    row = connection.execute(
        """SELECT e.model_requested AS model, context_messages(e.context_id)::text AS messages,
            tools.body::text AS tools, sampling.body::text AS sampling, other.body::text AS other
        FROM pipeline_event_inbox e JOIN request_part tools ON tools.part_id = e.tools_id
            JOIN request_part sampling ON sampling.part_id = e.sampling_id
            JOIN request_part other ON other.part_id = e.other_id
        WHERE e.event_id = %s""",
        (event_id,),
    ).fetchone()
    parts = [parse_json(row[key]) for key in ("tools", "sampling", "other")]
    return {"model": row["model"], "messages": parse_json(row["messages"]), **parts[0], **parts[1], **parts[2]}


# Delivered again


def test_a_call_delivered_again_changes_nothing(connection, calls):
    exchanges = [calls([user("hi")]), calls([user("hi"), assistant("ok"), user("more")], choices=["a", "b"], n=2)]
    exchanges.append(calls(request=b"not JSON"))
    assert store(connection, *exchanges) == IngestCounts(3, 3, 1)
    before = rows(connection)
    assert before["session_turn"] != []
    assert store(connection, *exchanges) == IngestCounts(3, 0, 1)
    assert store(connection, *reversed(exchanges), *exchanges) == IngestCounts(6, 0, 2)
    assert rows(connection) == before


def test_a_call_that_was_built_already_does_not_wait_again(connection, calls):
    call = calls([user("hi")])
    store(connection, call)
    connection.execute("DELETE FROM lineage_queue")
    store(connection, call)
    assert counts(connection)["lineage_queue"] == 0


def test_equal_calls_are_still_two_calls(connection, calls):
    store(connection, calls([user("hi")]), calls([user("hi")]))
    found = counts(connection)
    assert (found["pipeline_event_inbox"], found["session_turn"], found["message"], found["context"]) == (2, 2, 2, 1)


def test_nothing_of_a_batch_is_stored_when_its_transaction_fails(connection, calls):
    stored = SeenIds()
    connection.execute("ALTER TABLE session_turn ADD CONSTRAINT never CHECK (choice_index < 0)")
    with pytest.raises(psycopg.errors.CheckViolation):
        store(connection, calls([user("hi")]), stored=stored)
    assert counts(connection) == dict.fromkeys(TABLES, 0)
    connection.execute("ALTER TABLE session_turn DROP CONSTRAINT never")
    assert store(connection, calls([user("hi")]), stored=stored).new_turns == 1


def test_forgetting_what_is_stored_costs_no_rows(connection, calls):
    forgetful = SeenIds(limit=1)
    history = [user("hi")]
    for number in range(6):
        store(connection, calls(history, str(number)), stored=forgetful)
        history = [*history, assistant(str(number)), user(f"{number}?")]
    assert counts(connection)["message"] == 12
    assert counts(connection)["context"] == 11


# Hostile content


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_comes_back_from_the_tables_unharmed(connection, calls, text):
    said = {"role": "user", "content": text, "name": text, text[:50]: [text]}
    call = calls([said], assistant(text), temperature=0.5, user=text, tools=[{"type": "function", "x": text}])
    assert store(connection, call).quarantined == 0
    assert request_again(connection, call.event_id) == parse_json(call.request_body)
    answer = connection.execute("SELECT body::text AS body FROM message WHERE role = 'assistant'").fetchone()
    assert parse_json(answer["body"]) == assistant(text)


@pytest.mark.parametrize("literal", ["1e-999", "1e999", "-0.0", "1.0", "0.70", "9" * 4000, "1" * 30 + ".5"])
def test_a_hostile_number_comes_back_from_the_tables_unharmed(connection, calls, literal):
    message = f'{{"role":"user","content":"x","x":[{literal}]}}'
    request = f'{{"model":"m","seed":{literal},"tools":[{literal}],"messages":[{message}]}}'.encode()
    call = calls(request=request)
    assert store(connection, call).quarantined == 0
    again = request_again(connection, call.event_id)
    assert canonical_json(again) == canonical_json(parse_json(request))
    assert canonical_json(again["seed"]) == literal


def test_nesting_that_python_can_read_comes_back_unharmed(connection, calls):
    deep = [1]
    for _ in range(100):
        deep = [{"x": deep}]
    call = calls([{"role": "user", "content": "x", "x": deep}])
    store(connection, call)
    assert request_again(connection, call.event_id) == parse_json(call.request_body)


def test_nesting_that_python_cannot_read_is_set_aside_whole(connection, calls):
    call = calls(request=b'{"model":"m","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    assert store(connection, call).quarantined == 1
    (row,) = connection.execute("SELECT * FROM quarantine").fetchall()
    assert "nested too deeply" in row["reason"]
    assert decode_exchange(row["event"]) == call


def test_hostile_names_of_sessions_models_and_tasks_are_stored(connection, calls):
    who = {"session": "a\0b", "theme": "t\0", "task": "\0", "purpose": "p\0", "variant": "\0", "plan": "\0"}
    first, other = (
        calls([user("hi")], model="a\0\ud800", who=who),
        calls([user("hi")], who={**who, "session": "a\ufffdb"}),
    )
    assert store(connection, first, other) == IngestCounts(2, 2, 0)
    found = connection.execute("SELECT session_id, external_id FROM session").fetchall()
    assert len({row["session_id"] for row in found}) == 2
    assert {row["external_id"] for row in found} == {"a\ufffdb"}


def test_an_answer_in_bytes_that_are_no_text_is_a_failed_turn(connection, calls):
    call = calls([user("hi")], response=b"\xff\xfe\0", circumstances={"status": 502})
    assert store(connection, call) == IngestCounts(1, 1, 0)
    row = connection.execute("SELECT node_status, answer_id FROM session_turn").fetchone()
    assert (row["node_status"], row["answer_id"]) == ("error", None)


# Quarantine


@pytest.mark.parametrize(
    ("request_body", "reason"),
    [
        (b"not JSON", "not JSON"),
        (b"\xff\0", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"model":"m"}', "no list of messages"),
        (b'{"messages":[]}', "no list of messages"),
    ],
)
def test_a_request_that_cannot_be_read_is_set_aside_whole(connection, calls, request_body, reason):
    bad, good = calls(request=request_body, who={"session": "s"}), calls([user("hi")])
    assert store(connection, bad, good) == IngestCounts(2, 1, 1)
    (row,) = connection.execute("SELECT * FROM quarantine").fetchall()
    assert row["event_id"] == bad.event_id
    assert reason in row["reason"]
    assert decode_exchange(row["event"]) == bad


def test_an_answer_in_an_unknown_coding_is_set_aside_whole(connection, calls):
    bad = calls([user("hi")], circumstances={"response_encoding": "compress"})
    assert store(connection, bad, calls([user("hi")])) == IngestCounts(2, 1, 1)
    (row,) = connection.execute("SELECT * FROM quarantine").fetchall()
    assert "'compress'" in row["reason"]
    assert decode_exchange(row["event"]) == bad


@pytest.mark.parametrize("record", [b"", b"\0", b"junk", b"\x93\x01\x02\x03", encode_exchange.__name__.encode() * 99])
def test_a_record_that_is_no_event_is_set_aside_byte_for_byte(connection, calls, record):
    good = encode_exchange(calls([user("hi")]))
    assert ingest(connection, [record, good, record], SeenIds()) == IngestCounts(3, 1, 2)
    (row,) = connection.execute("SELECT * FROM quarantine").fetchall()
    assert bytes(row["event"]) == record


def test_what_is_set_aside_leaves_nothing_in_the_log(connection, calls):
    store(connection, calls([user("hi")], circumstances={"response_encoding": "compress"}))
    found = counts(connection)
    assert found.pop("quarantine") == 1
    assert set(found.values()) == {0}


# Space


def test_a_growing_history_costs_only_its_new_messages(connection, calls):
    stored, history, turns = SeenIds(), [user("0?")], 40
    for number in range(turns):
        before = counts(connection)
        store(connection, calls(history, str(number), temperature=0.5), stored=stored)
        after = counts(connection)
        new = 1 if number == 0 else 2
        assert after["context"] - before["context"] == new
        assert after["message"] - before["message"] == 2
        assert after["pipeline_event_inbox"] - before["pipeline_event_inbox"] == 1
        assert after["request_part"] == before["request_part"] or number == 0
        history = [*history, assistant(str(number)), user(f"{number + 1}?")]


def test_the_row_of_a_call_does_not_grow_with_its_history(connection, calls):
    short, long = calls([user("x")]), calls([user("y" * 100), *(assistant("z" * 1000), user("q" * 1000)) * 50])
    store(connection, short, long)
    size = "SELECT max(pg_column_size(e.*)) - min(pg_column_size(e.*)) AS more FROM pipeline_event_inbox e"
    assert connection.execute(size).fetchone()["more"] < 100


def test_branches_share_what_they_have_in_common(connection, calls):
    trunk = [user("hi"), assistant("ok"), user("more")]
    store(connection, *(calls([*trunk, assistant("a"), user(f"branch {number}")]) for number in range(10)))
    assert counts(connection)["context"] == 4 + 10


# The request again


def test_every_request_is_rebuilt_from_the_tables_equal_in_json_meaning(connection, calls):
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "x": 1.5}}}
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{ "a" : 1.0 }'}}
    history = [
        {"role": "system", "content": "x\r\n"},
        {"role": "user", "content": [{"type": "text", "text": "y"}, {"type": "image_url", "image_url": {"url": "u"}}]},
        {"role": "assistant", "content": None, "tool_calls": [call], "refusal": None},
        {"role": "tool", "tool_call_id": "c", "content": "42"},
        user("same"),
        user("same"),
    ]
    options = {
        "tools": [tool],
        "tool_choice": "auto",
        "temperature": 0.7,
        "stream": True,
        "user": "u",
        "x": {"y": None},
    }
    exchanges = [calls(history[: size + 1], **options) for size in range(len(history))]
    exchanges += [calls([user("hi")]), calls([user("hi")], response_format={"type": "json_object"}, n=1)]
    store(connection, *exchanges)
    for exchange in exchanges:
        assert request_again(connection, exchange.event_id) == parse_json(exchange.request_body)


# Several at once


def test_several_writers_of_overlapping_histories_lose_nothing(truth, calls):
    trunk = [user("hi"), *(each for n in range(10) for each in (assistant(str(n)), user(f"{n}?")))]
    exchanges = [calls(trunk[: 1 + 2 * (number % 11)], f"answer {number % 5}") for number in range(120)]
    exchanges += [calls([user(f"own {number}")], who={"session": f"s{number % 7}"}) for number in range(40)]
    errors: list[BaseException] = []
    start = threading.Barrier(4)

    def write(offset: int) -> None:
        # Each writer stores three quarters of all calls, in its own order.
        mine = [each for number, each in enumerate(exchanges) if number % 4 != offset]
        mine = mine[offset * 30 :] + mine[: offset * 30]
        stored = SeenIds()
        with connect(truth, autocommit=True) as connection:
            start.wait(30)
            for place in range(0, len(mine), 8):
                records = [encode_exchange(each) for each in mine[place : place + 8]]
                for _ in range(20):
                    try:
                        ingest(connection, records, stored)
                        break
                    except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
                        continue  # as the ingest process does: the batch is whole or not at all
                    except BaseException as error:  # noqa: BLE001 - shown by the test's own thread
                        errors.append(error)
                        return
                else:
                    errors.append(RuntimeError("a batch was never stored"))

    threads = [threading.Thread(target=write, args=(offset,)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert errors == []
    with connect(truth, autocommit=True) as connection:
        together = rows(connection)
        assert counts(connection)["pipeline_event_inbox"] == 160
        for exchange in exchanges[::9]:
            assert request_again(connection, exchange.event_id) == parse_json(exchange.request_body)
        connection.execute(f"TRUNCATE {', '.join(TABLES)} CASCADE".encode())
        store(connection, *exchanges)
        assert rows(connection) == together


def test_a_claim_on_a_turn_of_the_same_batch_finds_its_session(connection, calls):
    first = calls([user("hi")], who={"session": "mine"})
    second = calls([user("unrelated")], who={"parent_node": str(first.event_id)})
    store(connection, first, second)
    found = connection.execute("SELECT DISTINCT session_id FROM session_turn").fetchall()
    assert len(found) == 1


def test_a_claim_on_a_turn_of_an_earlier_batch_finds_its_session(connection, calls):
    first = calls([user("hi")], who={"session": "mine"})
    store(connection, first)
    node = connection.execute("SELECT node_id FROM session_turn").fetchone()["node_id"]
    store(
        connection,
        calls([user("x")], who={"parent_node": str(node)}),
        calls([user("y")], who={"replay_node": str(node)}),
    )
    assert len(connection.execute("SELECT DISTINCT session_id FROM session_turn").fetchall()) == 1


def test_what_was_said_of_a_call_is_kept_with_it(connection, calls):
    who = {"session": "s", "theme": "t", "task": "k", "purpose": "replay", "variant": '{"a":1}', "plan": "p"}
    call = replace(calls([user("hi")], who=who), upstream_pin="sha", cut="client", error="gone", gateway_version="1")
    store(connection, call)
    row = connection.execute("SELECT * FROM pipeline_event_inbox").fetchone()
    assert row["event_id"] == call.event_id == UUID(str(call.event_id))
    assert row["identity"] == who
    assert (row["purpose"], row["upstream_pin"], row["cut"], row["error"]) == ("replay", "sha", "client", "gone")
    assert (row["duration_ms"], row["first_byte_ms"]) == (5.0, 1.0)
    assert row["usage"] == json.loads(call.response_body)["usage"]
