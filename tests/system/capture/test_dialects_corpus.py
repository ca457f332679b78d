"""Recorded traffic of the Responses and Messages APIs: read as independent readers read it, and all of it stored."""

from __future__ import annotations

import contextlib
import json
import re
from collections import Counter

import pytest

from regraft.domain.capture.answer import events
from regraft.domain.capture.dialects import CHAT, COMPLETIONS, EMBEDDINGS, MESSAGES, RESPONSES, dialect_of
from regraft.domain.capture.message import text_of
from regraft.domain.capture.request import Request
from regraft.domain.errors import CorruptEventError
from regraft.domain.ids import canonical_json, parse_json, plain
from regraft.domain.lineage.projection import project
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.lineage import build as lineage
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect
from support.recorded_traffic import JSON, SSE, blocks_of, calls_of, kind, last_response, lines, text_parts

# Recorded beside the calls that are read here: other endpoints, which the gateway passes through uncaptured.
ELSEWHERE = {
    "golden": {"/v1/responses/input_tokens": 1},
    "recorded": {"/v1/responses/input_tokens": 3, "/v1/responses/compact": 3, "/v1/threads/THREAD/messages": 2},
}
# What each source holds, so that no call is passed over.
CALLS = {"golden": {RESPONSES: 6, MESSAGES: 6}, "recorded": {RESPONSES: 134, MESSAGES: 138}}
TEXTS, PAIRS = {"golden": 10, "recorded": 301}, {"golden": 2, "recorded": 71}  # at the least
JOINED = {"golden": 2, "recorded": 36}
RESPONSES_ENDED = {
    "golden": {"read": 4, "unfinished": 1, "error": 1},
    "recorded": {"read": 128, "unfinished": 3, "error": 3},
}
MESSAGES_ENDED = {
    "golden": {"stop": 2, "length": 1, "tool_calls": 2, "error": 1},
    "recorded": {"stop": 62, "length": 39, "tool_calls": 35, "error": 2},
}
STREAMS = {"golden": 2, "recorded": 23}


def answer(row, text=None):
    body = row["response_text"] if text is None else text
    return dialect_of(row["endpoint"]).read_answer(body.encode("utf-8", "surrogatepass"), kind(row))


def request_bytes(row) -> bytes:
    return json.dumps(row["request"]).encode()


def without(row, *kinds) -> str:
    """A stream without its events of these types, as if they had never come."""
    told = [data for data in events(row["response_text"]) if not str(json.loads(data).get("type")).endswith(kinds)]
    return "".join(f"data: {data}\n\n" for data in told)


@pytest.fixture(scope="module")
def recorded(corpus, source):
    found, elsewhere = {RESPONSES: [], MESSAGES: []}, Counter()
    for folder, endpoint in (("wire-openai-responses", RESPONSES), ("wire-anthropic-messages", MESSAGES)):
        for row in lines(corpus / folder / "exchanges.jsonl.zst"):
            path = re.sub(r"thread_\w+", "THREAD", row["path"])
            if path.endswith(endpoint.removeprefix("/v1")) and "THREAD" not in path:
                found[endpoint].append({**row, "endpoint": endpoint})
            else:
                elsewhere[path] += 1
    assert dict(elsewhere) == ELSEWHERE[source]
    assert {endpoint: len(rows) for endpoint, rows in found.items()} == CALLS[source]
    return found


@pytest.fixture(scope="module")
def everything(recorded):
    return [row for rows in recorded.values() for row in rows]


# Requests


def test_every_recorded_request_is_read_and_comes_back(everything):
    for row in everything:
        dialect = dialect_of(row["endpoint"])
        request = dialect.read_request(request_bytes(row))
        assert request.messages, row["id"]
        assert request.model == row["request"]["model"]
        assert parse_json(dialect.body(request)) == parse_json(request_bytes(row)), row["id"]


def test_the_chat_form_says_nearly_everything_by_itself(everything):
    kept = Counter()
    for row in everything:
        request = dialect_of(row["endpoint"]).read_request(request_bytes(row))
        kept["requests"] += "native" in request.other
        kept["messages"] += sum("native" in message for message in request.messages)
    assert kept["requests"] == 0
    assert kept["messages"] <= 5


def texts_sent(value) -> list[str]:
    """Every text that the client sent as the words of someone, found without knowing the dialect."""
    if isinstance(value, list):
        return [text for each in value for text in texts_sent(each)]
    if not isinstance(value, dict):
        return []
    found = [value["content"]] if isinstance(value.get("content"), str) and "role" in value else []
    if value.get("type") in ("text", "input_text", "output_text") and isinstance(value.get("text"), str):
        found.append(value["text"])
    return found + [text for key in ("content", "input", "messages", "system") for text in texts_sent(value.get(key))]


def test_every_text_that_was_sent_is_in_the_messages(everything, source):
    checked = 0
    for row in everything:
        request = dialect_of(row["endpoint"]).read_request(request_bytes(row))
        said = "\n".join(text_of(message) for message in request.messages)
        for text in texts_sent(row["request"]):
            assert text in said, row["id"]
            checked += 1
    assert checked >= TEXTS[source]


def test_every_output_of_a_tool_has_its_call_before_it(everything, source):
    pairs = 0
    for row in everything:
        if row["status"] != 200 or "previous_response_id" in row["request"]:
            continue
        called = set()
        for message in dialect_of(row["endpoint"]).read_request(request_bytes(row)).messages:
            called |= {call["id"] for call in message.get("tool_calls") or []}
            content = message["content"] if isinstance(message["content"], list) else []
            called |= {part.get("call_id") for part in content}  # calls of hosted tools
            if message["role"] == "tool" and isinstance(message["tool_call_id"], str):
                assert message["tool_call_id"] in called, row["id"]
                pairs += 1
    assert pairs >= PAIRS[source]


# Answers


def test_answers_of_the_responses_api_are_what_the_official_client_reads(recorded, source):
    outcomes = Counter()
    for row in recorded[RESPONSES]:
        found = answer(row)
        if row["status"] != 200:
            assert found.error
            assert not found.choices
            outcomes["error"] += 1
            continue
        expected = last_response(row)
        (choice,) = found.choices
        calls = [item for item in expected.output if item.type == "function_call"]
        got = [
            (call["id"], call["function"]["name"], call["function"]["arguments"]) for call in calls_of(choice.message)
        ]
        assert got == [(call.call_id, call.name, call.arguments) for call in calls], row["id"]
        assert "".join(text_parts(choice.message)) == expected.output_text, row["id"]
        assert choice.finish_reason == (None if expected.status == "queued" else "tool_calls" if calls else "stop"), (
            row["id"]
        )
        counted = None if expected.usage is None else (expected.usage.input_tokens, expected.usage.output_tokens)
        usage = found.usage
        assert counted == (None if usage is None else (usage["input_tokens"], usage["output_tokens"])), row["id"]
        assert (found.model, found.rest["id"]) == (expected.model, expected.id)
        outcomes["unfinished" if found.done is False else "read"] += 1
    assert outcomes == RESPONSES_ENDED[source]


def test_answers_of_the_messages_api_are_what_an_independent_reader_reads(recorded, source):
    outcomes = Counter()
    for row in recorded[MESSAGES]:
        found = answer(row)
        if row["status"] != 200:
            assert found.error
            assert not found.choices
            outcomes["error"] += 1
            continue
        blocks, usage, stop = blocks_of(row)
        (choice,) = found.choices
        by_kind = {name: [block for block in blocks if block["type"] == name] for name in {b["type"] for b in blocks}}
        assert "".join(text_parts(choice.message)) == "".join(block["text"] for block in by_kind.get("text", []))
        got = [
            (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
            for call in calls_of(choice.message)
        ]
        assert got == [(block["id"], block["name"], block["input"]) for block in by_kind.get("tool_use", [])]
        assert plain(choice.message.get("thinking_blocks", [])) == by_kind.get("thinking", [])
        assert plain(found.usage) == usage, row["id"]
        assert choice.rest.get("stop_reason") == stop
        assert found.done is (True if kind(row) == SSE else None)
        outcomes[choice.finish_reason] += 1
    assert outcomes == MESSAGES_ENDED[source]


def unencrypted(value):
    if isinstance(value, dict):
        return {key: unencrypted(each) for key, each in value.items() if key != "encrypted_content"}
    return [unencrypted(each) for each in value] if isinstance(value, list) else value


def test_a_stream_gives_the_same_message_with_and_without_its_final_object(recorded, source):
    streams = [row for row in recorded[RESPONSES] if kind(row) == SSE]
    assert len(streams) == STREAMS[source]
    for row in streams:
        whole = answer(row)
        alone = json.dumps([json.loads(data) for data in events(row["response_text"])][-1]["response"])
        assert dialect_of(RESPONSES).read_answer(alone.encode(), JSON).choices == whole.choices, row["id"]
        cut = answer(row, without(row, "response.completed"))
        # A server encrypts its reasoning again each time that it tells it.
        assert unencrypted(cut.choices[0].message) == unencrypted(whole.choices[0].message), row["id"]
        assert (cut.done, cut.choices[0].finish_reason) == (False, None)


def test_deltas_alone_give_the_words_and_calls_of_a_stream(recorded):
    for row in recorded[RESPONSES]:
        if kind(row) == SSE:
            whole = answer(row).choices[0].message
            (pieced,) = answer(row, without(row, "response.completed", ".done")).choices
            if any(
                each.get("type", "").endswith("search_call") for each in whole["content"] or [] if type(each) is dict
            ):
                continue  # a search is told whole, at its end
            assert "".join(text_parts(pieced.message)) == "".join(text_parts(whole)), row["id"]
            assert [call["function"] for call in calls_of(pieced.message)] == [
                call["function"] for call in calls_of(whole)
            ]
            assert pieced.message.get("reasoning_content") == whole.get("reasoning_content")


def test_a_stream_cut_anywhere_is_read_as_far_as_it_came(everything):
    for row in everything:
        if kind(row) == SSE:
            text = row["response_text"]
            whole = "".join(text_parts(answer(row).choices[0].message))
            for at in range(0, len(text), max(len(text) // 12, 1)):
                found = answer(row, text[:at])
                for choice in found.choices:
                    assert canonical_json(choice.message)
                    if not isinstance(choice.message["content"], list):
                        assert whole.startswith("".join(text_parts(choice.message))), row["id"]


def test_the_next_recorded_call_continues_the_answer_that_was_given(everything, source):
    """Answers that a client sent back are, projected, the answers that it had been given."""
    given = {}
    for row in everything:
        for choice in answer(row).choices:
            if (calls := calls_of(choice.message)) and row["status"] == 200:
                given[calls[0]["id"]] = (row, choice.message)
    joined, parted = 0, []
    for row in everything:
        for message in dialect_of(row["endpoint"]).read_request(request_bytes(row)).messages:
            calls = calls_of(message)
            if calls and calls[0]["id"] in given:
                asked, said = given[calls[0]["id"]]
                same = canonical_json(project(message)) == canonical_json(project(said))
                joined += same
                parted += [] if same else [(asked["endpoint"], row["endpoint"], message["content"])]
    # These were handed from one API to the other by a client that left the words out.
    assert parted == [(MESSAGES, RESPONSES, None)] * (4 if source == "recorded" else 0)
    assert joined == JOINED[source]


# The log


def exchange_of(row, calls, **circumstances):
    about = {"endpoint": row["endpoint"], "status": row["status"], "response_type": kind(row)}
    body = row["response_text"].encode("utf-8", "surrogatepass")
    return calls(request=request_bytes(row), response=body, circumstances={**about, **circumstances})


def rebuilt(connection, event_id) -> bytes:
    row = connection.execute(
        """SELECT e.endpoint, coalesce(e.model_requested, '') AS model,
            context_messages(e.context_id)::text AS messages, t.body::text AS tools, s.body::text AS sampling,
            o.body::text AS other
        FROM pipeline_event_inbox e JOIN request_part t ON t.part_id = e.tools_id
        JOIN request_part s ON s.part_id = e.sampling_id JOIN request_part o ON o.part_id = e.other_id
        WHERE event_id = %s""",
        (event_id,),
    ).fetchone()
    parts = {name: parse_json(row[name]) for name in ("messages", "tools", "sampling", "other")}
    return dialect_of(row["endpoint"]).body(Request(model=row["model"], **parts))


def test_every_recorded_exchange_is_stored_and_its_request_can_be_made_again(everything, truth, calls):
    exchanges = [exchange_of(row, calls) for row in everything]
    stored = SeenIds()
    with connect(truth, autocommit=True) as connection:
        for start in range(0, len(exchanges), 50):
            ingest(connection, [encode_exchange(each) for each in exchanges[start : start + 50]], stored)
        waits = connection.execute("SELECT event_id, split_part(reason, ' ', 1) AS reason FROM quarantine").fetchall()
        # The calls that these continue were not recorded.
        expected = [each for each in exchanges if b'"previous_response_id": "' in each.request_body]
        unknown = {each.event_id for each in expected} & {row["event_id"] for row in waits}
        assert {row["reason"] for row in waits} <= {"waiting:previous_response"}
        assert len(unknown) == len(waits) <= len(expected)
        turns = connection.execute("SELECT count(*) AS n FROM session_turn").fetchone()["n"]
        assert turns == len(everything) - len(waits)
        for each in exchanges:
            if each.event_id not in unknown:
                assert parse_json(rebuilt(connection, each.event_id)) == parse_json(each.request_body)
        assert lineage.build(truth).turns == turns


# Hostile input


def framings(text):
    """A hostile text in every place where a client or a server may put one."""
    chat = [{"role": "user", "content": text}, {"role": "assistant", "content": text}, {"role": "user", "content": "x"}]
    call = {"type": "tool_use", "id": text, "name": text, "input": {text: text}}
    result = {"type": "tool_result", "tool_use_id": text, "content": text}
    blocks = [{"role": "user", "content": text}, {"role": "assistant", "content": [call]}]
    items = [{"role": "user", "content": text}, {"type": "function_call", "call_id": text, "name": text}]
    items[1]["arguments"] = text
    yield CHAT, {"model": text, "messages": chat}
    yield MESSAGES, {"model": text, "messages": [*blocks, {"role": "user", "content": [result]}], "system": text}
    yield RESPONSES, {"model": text, "input": items, "instructions": text}
    yield COMPLETIONS, {"model": text, "prompt": text, "user": text}
    yield EMBEDDINGS, {"model": text, "input": text}


ANSWERS = {
    CHAT: lambda text: {"choices": [{"message": {"role": "assistant", "content": text}}], "model": text},
    MESSAGES: lambda text: {"content": [{"type": "text", "text": text}], "id": text, "stop_reason": text},
    RESPONSES: lambda text: {
        "id": text,
        "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}],
    },
    COMPLETIONS: lambda text: {"choices": [{"text": text, "index": 0, "finish_reason": text}]},
    EMBEDDINGS: lambda text: {"data": [], "model": text},
}


@pytest.mark.corpus
def test_hostile_strings_are_stored_in_every_dialect_and_come_back(recorded_corpus, truth, calls):
    strings = json.loads(
        (recorded_corpus / "hostile-input" / "blns.json").read_text(encoding="utf-8", errors="surrogatepass")
    )
    strings += ["a\0b", "\ud800", "\udfff\ud800", "\ufeff"]
    made = [
        calls(
            request=json.dumps(document).encode(),
            response=json.dumps(ANSWERS[endpoint](text)).encode(),
            circumstances={"endpoint": endpoint},
        )
        for text in strings
        for endpoint, document in framings(text)
    ]
    stored = SeenIds()
    with connect(truth, autocommit=True) as connection:
        for start in range(0, len(made), 200):
            ingest(connection, [encode_exchange(each) for each in made[start : start + 200]], stored)
        assert connection.execute("SELECT reason FROM quarantine").fetchall() == []
        assert connection.execute("SELECT count(*) AS n FROM pipeline_event_inbox").fetchone() == {"n": len(made)}
        for each in made:
            sent = parse_json(each.request_body)
            if not re.search("[\0\ud800-\udfff]", sent["model"]):  # a column of PostgreSQL's text
                assert parse_json(rebuilt(connection, each.event_id)) == sent
        lineage.build(truth)


@pytest.mark.corpus
def test_broken_json_is_stored_or_set_aside_with_a_reason_and_nothing_is_lost(recorded_corpus, truth, calls):
    cases = list(lines(recorded_corpus / "hostile-input" / "json_test_suite.jsonl.zst"))
    assert len(cases) > 50
    made = []
    for case in cases:
        raw = case["input"].encode("utf-8", "surrogatepass")
        for endpoint, document in framings("fine"):
            name = next(iter(document.keys() - {"model", "user", "system", "instructions", "fine"}))
            inside = json.dumps({**document, name: "HERE"}).encode().replace(b'"HERE"', raw)
            answered = json.dumps(ANSWERS[endpoint]("fine")).encode()
            for request, response in ((raw, answered), (inside, answered), (json.dumps(document).encode(), raw)):
                made.append(calls(request=request, response=response, circumstances={"endpoint": endpoint}))
    with connect(truth, autocommit=True) as connection:
        for start in range(0, len(made), 300):
            ingest(connection, [encode_exchange(each) for each in made[start : start + 300]], SeenIds())
        stored = connection.execute("SELECT event_id FROM pipeline_event_inbox").fetchall()
        aside = connection.execute("SELECT event_id, reason FROM quarantine").fetchall()
    assert {row["event_id"] for row in [*stored, *aside]} == {each.event_id for each in made}
    assert len(stored) + len(aside) == len(made)
    assert all(row["reason"].startswith("the request") for row in aside), {row["reason"] for row in aside}


# The documentation's own examples


@pytest.mark.corpus
def test_the_examples_of_the_documentation_are_read_and_come_back(recorded_corpus):
    asked, answered = Counter(), Counter()
    for row in lines(recorded_corpus / "openai-openapi" / "examples.jsonl.zst"):
        endpoint = "/v1" + row["path"].removesuffix("?beta=true")
        if row["method"] != "post" or endpoint not in (RESPONSES, COMPLETIONS, CHAT):
            continue
        dialect = dialect_of(endpoint)
        example = row["example"]
        if found := re.search(r"-d '(\{.*\})'", example["request"].get("curl", ""), re.DOTALL):
            with contextlib.suppress(CorruptEventError):  # some examples are not JSON
                assert parse_json(dialect.body(dialect.read_request(found[1].encode()))) == parse_json(found[1])
                asked[endpoint] += 1
        text = example["response"]
        read = dialect.read_answer(text.encode(), JSON)
        if read.choices:
            answered[endpoint] += 1
    assert asked[RESPONSES] >= 12
    assert asked[COMPLETIONS] == 2
    assert answered[RESPONSES] >= 12
