"""Batches: answers are imported together with their requests from any file, and unmatched ones are named."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from regraft.domain.capture.importers.batch_files import NO_CONVERSATION, SEVERAL_REQUESTS, UNANSWERED, WITHOUT_REQUEST
from regraft.domain.errors import UsageError
from regraft.flows.capture.import_report import ImportCounts
from regraft.flows.capture.importing import import_files
from regraft.infra.postgres.pool import connect

Line = dict[str, Any]


def asked(key: str, words: str, url: str = "/v1/chat/completions") -> Line:
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": words}]
    return {"custom_id": key, "method": "POST", "url": url, "body": {"model": "m", "messages": messages, "top_p": 0.5}}


def answered(key: str, words: str, finish: str = "stop") -> Line:
    choice = {"index": 0, "message": {"role": "assistant", "content": words}, "finish_reason": finish}
    usage = {"prompt_tokens": 5, "completion_tokens": 3}
    body = {"id": f"chat-{key}", "object": "chat.completion", "created": 1_700_000_000, "model": "m-2026"}
    whole = {**body, "choices": [choice], "usage": usage}
    response = {"status_code": 200, "request_id": "r", "body": whole}
    return {"id": f"batch_req_{key}_{words}", "custom_id": key, "response": response, "error": None}


def failed(key: str) -> Line:
    error = {"code": "batch_expired", "message": "This request could not be executed in time."}
    return {"id": f"batch_req_{key}", "custom_id": key, "response": None, "error": error}


def turned_down(key: str) -> Line:
    body = {"error": {"message": "no such model", "type": "invalid_request_error", "code": None}}
    response = {"status_code": 400, "request_id": "r", "body": body}
    return {"id": f"batch_req_{key}", "custom_id": key, "response": response, "error": None}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "batch"
    made.mkdir()
    return made


def write(path: Path, *lines: Line) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def talks(dsn: str) -> list[tuple[list[str], str | None, str | None, str | None]]:
    """What was asked, and what came: words, the ending, the model."""
    with connect(dsn, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT context_messages(t.context_id)::text AS asked, m.body::text AS answer, t.finish_reason, r.model"
            " FROM session_turn t LEFT JOIN message m ON m.message_id = t.answer_id"
            " JOIN execution_run_records r ON r.run_id = t.turn_id ORDER BY 1, 2"
        ).fetchall()
    return [
        (
            [each["content"] for each in json.loads(row["asked"])],
            json.loads(row["answer"])["content"] if row["answer"] else None,
            row["finish_reason"],
            row["model"],
        )
        for row in rows
    ]


def counted(*paths: Path, **options: Any) -> ImportCounts:
    return import_files(None, paths, **options)


def test_answers_are_joined_with_requests_in_any_order_by_their_ids(truth: str, folder: Path) -> None:
    write(folder / "a_output.jsonl", answered("2", "b"), answered("1", "a", "length"))
    write(folder / "b_input.jsonl", asked("1", "q1"), asked("2", "q2"))
    counts = import_files(truth, [folder])
    assert (counts.conversations, counts.turns, counts.unanswered, counts.refused) == (2, 2, 0, {})
    assert talks(truth) == [
        (["be brief", "q1"], "a", "length", "m-2026"),
        (["be brief", "q2"], "b", "stop", "m-2026"),
    ]
    again = import_files(truth, [folder])
    assert (again.already, again.turns) == (2, 0)
    with connect(truth, autocommit=True) as connection:
        row = connection.execute(
            "SELECT p.body::text AS sampling, e.usage::text, extract(year FROM e.started_at)::int AS year"
            " FROM pipeline_event_inbox e JOIN request_part p ON p.part_id = e.sampling_id LIMIT 1"
        ).fetchone()
    assert row is not None
    assert json.loads(row["sampling"])["top_p"] == 0.5
    assert json.loads(row["usage"])["completion_tokens"] == 3
    assert row["year"] == 2023


def test_requests_are_found_beside_the_answers_or_where_they_are_named(folder: Path, tmp_path: Path) -> None:
    output = write(folder / "output.jsonl", answered("1", "a"))
    assert counted(output).refused == {WITHOUT_REQUEST: 1}
    elsewhere = write(tmp_path / "requests.jsonl", asked("1", "q1"))
    assert counted(output, requests=[elsewhere]).calls == 1
    beside = folder / "input.jsonl.gz"
    beside.write_bytes(gzip.compress(elsewhere.read_bytes()))
    assert counted(output).calls == 1
    for named in (output, write(tmp_path / "other.jsonl", {"messages": []})):
        with pytest.raises(UsageError, match="no requests of a batch"):
            counted(output, requests=[named])
    with pytest.raises(UsageError, match="no file contains answers"):
        counted(elsewhere, requests=[elsewhere])


def test_what_failed_and_what_is_missing_is_counted(truth: str, folder: Path, tmp_path: Path) -> None:
    write(folder / "input.jsonl", *(asked(key, f"q{key}") for key in "12345"))
    write(folder / "output.jsonl", answered("1", "a"), turned_down("2"))
    write(folder / "errors.jsonl", failed("3"))
    expected = {
        "a request of a batch that failed: invalid_request_error": 1,
        "a request of a batch that failed: batch_expired": 1,
        UNANSWERED: 2,
    }
    report = tmp_path / "report.jsonl"
    counts = import_files(truth, [folder], report=report)
    assert counts.refused == expected
    assert (counts.conversations, counts.calls, counts.unanswered) == (5, 1, 4)
    assert [talk[1] for talk in talks(truth) if talk[1]] == ["a"]
    told = [json.loads(line) for line in report.read_text().splitlines()]
    assert sum(bool(line["refused"]) for line in told) == 4
    moved = tmp_path / "requests.jsonl"
    (folder / "input.jsonl").rename(moved)
    assert counted(folder, requests=[moved]).refused == expected


def test_the_requests_of_another_batch_are_not_missed(folder: Path) -> None:
    write(folder / "input-1.jsonl", asked("1", "q1"))
    write(folder / "input-2.jsonl", asked("other", "q"))
    output = write(folder / "output.jsonl", answered("1", "a"))
    assert counted(output).refused == {}
    whole = counted(folder)
    assert (whole.calls, whole.unanswered, whole.refused) == (1, 1, {})


def test_an_id_of_several_requests_joins_nothing(folder: Path, tmp_path: Path) -> None:
    first = write(folder / "input-1.jsonl", asked("1", "q1"))
    write(folder / "input-2.jsonl", asked("1", "another"))
    output = write(folder / "output.jsonl", answered("1", "a"))
    assert counted(output).refused == {SEVERAL_REQUESTS: 1}
    assert counted(output, requests=[first]).calls == 1
    write(folder / "input-2.jsonl", asked("1", "q1"))
    assert counted(output).calls == 1


def test_a_batch_of_another_api_is_no_conversation(folder: Path) -> None:
    body = {"model": "e", "input": "some words"}
    write(folder / "input.jsonl", {"custom_id": "1", "method": "POST", "url": "/v1/embeddings", "body": body})
    vector = {"object": "list", "data": [{"object": "embedding", "embedding": [0.1], "index": 0}], "model": "e"}
    response = {"status_code": 200, "request_id": "r", "body": vector}
    write(folder / "output.jsonl", {"id": "x", "custom_id": "1", "response": response, "error": None})
    counts = counted(folder)
    assert (counts.conversations, counts.refused) == (0, {NO_CONVERSATION: 1})


def test_batches_of_other_makers_are_joined_too(truth: str, folder: Path) -> None:
    params = {"model": "c", "max_tokens": 9, "system": "s", "messages": [{"role": "user", "content": "q"}]}
    requests = [{"custom_id": key, "params": params} for key in ("1", "2")]
    (folder / "anthropic.json").write_text(json.dumps({"requests": requests}))
    said = {"type": "message", "role": "assistant", "model": "c-2026", "content": [{"type": "text", "text": "a"}]}
    message = {**said, "id": "msg_1", "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1}}
    write(
        folder / "results.jsonl",
        {"custom_id": "1", "result": {"type": "succeeded", "message": message}},
        {"custom_id": "2", "result": {"type": "expired"}},
    )
    contents = [{"role": "user", "parts": [{"text": "g"}]}]
    candidate = {"content": {"role": "model", "parts": [{"text": "h"}]}, "finishReason": "STOP"}
    write(folder / "gemini-output.jsonl", {"key": "g", "response": {"candidates": [candidate]}})
    write(folder / "gemini-input.jsonl", {"key": "g", "request": {"contents": contents}})
    counts = import_files(truth, [folder])
    assert counts.refused == {"a request of a batch that failed: expired": 1}
    answers = [(talk[0], talk[1]) for talk in talks(truth) if talk[1]]
    assert sorted(answers) == [(["g"], "h"), (["s", "q"], "a")]
