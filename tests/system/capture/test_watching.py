"""Transcripts that grow are followed: each answer is stored once, however often watching stops and starts."""

from __future__ import annotations

import json

from regraft.flows.capture.importing import import_files
from regraft.flows.capture.watching import watch
from regraft.infra.postgres.pool import connect


def count(dsn: str, table: str) -> int:
    with connect(dsn) as connection:
        return connection.execute(f"SELECT count(*) AS n FROM {table}".encode()).fetchone()["n"]


def lines(turns: int) -> list[str]:
    """A Claude Code transcript: questions, and answers in two lines each."""
    found = []
    parent = None
    for turn in range(turns):
        message = {"id": f"m{turn}", "role": "assistant", "model": "x"}
        text, call = (
            {"type": "text", "text": f"a{turn}"},
            {"type": "tool_use", "id": f"t{turn}", "name": "f", "input": {}},
        )
        told = [{"type": "tool_result", "tool_use_id": f"t{turn - 1}", "content": "r"}] if turn else "q"
        for key, kind, said in (
            (f"u{turn}", "user", {"role": "user", "content": told}),
            (f"a{turn}", "assistant", {**message, "content": [text], "stop_reason": None}),
            (f"b{turn}", "assistant", {**message, "content": [call], "stop_reason": "tool_use"}),
        ):
            record = {"type": kind, "uuid": key, "parentUuid": parent, "sessionId": "s", "message": said}
            found.append(json.dumps({**record, "timestamp": "2026-01-01T00:00:00Z"}) + "\n")
            parent = key
    return found


def steps(path, pieces, rounds=1):
    """A ``wait`` that writes the next piece to the file each time, and ends some rounds after the last."""
    waiting = [*pieces, *[""] * rounds]

    def wait(_seconds: float) -> bool:
        if not waiting:
            return False
        if piece := waiting.pop(0):
            with path.open("a") as file:
                file.write(piece)
        return True

    return wait


def test_what_is_added_is_stored_once_line_by_line_and_in_halves_of_lines(truth, tmp_path):
    path = tmp_path / "s.jsonl"
    whole = "".join(lines(4))
    pieces = [whole[at : at + 90] for at in range(0, len(whole), 90)]
    told = []
    watch(truth, [tmp_path], wait=steps(path, pieces), report=told.append, fresh=0.0)
    assert sum(each.turns for each in told) == count(truth, "session_turn") == 4
    assert len([each for each in told if each.turns]) == 4
    assert count(truth, "lineage_queue") == 0
    stored = count(truth, "pipeline_event_inbox")
    again = import_files(truth, [path])
    assert (again.turns, count(truth, "pipeline_event_inbox")) == (0, stored)


def test_watching_that_stopped_goes_on_and_doubles_nothing(truth, tmp_path):
    path = tmp_path / "s.jsonl"
    written = lines(3)
    for at in range(len(written)):
        watch(truth, [tmp_path], wait=steps(path, [written[at]]), report=lambda _: None, fresh=0.0)
    assert count(truth, "session_turn") == 3
    assert count(truth, "pipeline_event_inbox") == 3


def test_a_fresh_answer_waits_and_a_settled_one_does_not(truth, tmp_path):
    path = tmp_path / "s.jsonl"
    path.write_text("".join(lines(1)))
    watch(truth, [tmp_path], wait=steps(path, []), report=lambda _: None, fresh=1000.0)
    assert count(truth, "session_turn") == 0
    watch(truth, [tmp_path], wait=steps(path, []), report=lambda _: None, fresh=0.0, settle=0.0)
    assert count(truth, "session_turn") == 1


def test_folders_that_are_empty_and_files_of_no_known_format_are_watched_on(truth, tmp_path):
    path = tmp_path / "later.jsonl"
    (tmp_path / "notes.json").write_text('{"x": 1}')
    told = []
    watch(truth, [tmp_path, tmp_path / "none"], wait=steps(path, ["".join(lines(2))]), report=told.append, fresh=0.0)
    assert count(truth, "session_turn") == 2
    assert told[0].refused == {"a file of no known format": 1}
