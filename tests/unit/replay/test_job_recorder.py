"""The record that a replay keeps of its jobs while a worker thread stores it."""

from __future__ import annotations

import threading
from uuid import UUID

from regraft.flows.replay.job_recorder import JobRecorder
from regraft.infra.postgres.replay import plans as store

PLAN = UUID(int=1)


def test_a_change_added_while_others_are_stored_is_stored_by_the_next_flush(monkeypatch):
    stored: list[list[int]] = []
    storing, added = threading.Event(), threading.Event()

    def update_jobs(connection, plan_id, changes):
        storing.set()
        assert added.wait(10)
        stored.append([change.number for change in changes])

    monkeypatch.setattr(store, "update_jobs", update_jobs)
    recorder = JobRecorder(None, PLAN, {}, None)
    recorder._add(store.JobChange(number=1, state="running"))
    flushing = threading.Thread(target=recorder.flush)
    flushing.start()
    assert storing.wait(10)
    recorder._add(store.JobChange(number=2, state="running"))
    added.set()
    flushing.join(10)
    recorder.flush()
    assert stored == [[1], [2]]


def test_a_change_waits_until_a_flush_has_taken_the_earlier_ones(monkeypatch):
    """A change cannot come between the reading of the pending changes and their replacement."""
    stored: list[list[int]] = []
    monkeypatch.setattr(store, "update_jobs", lambda c, p, changes: stored.append([each.number for each in changes]))
    recorder = JobRecorder(None, PLAN, {}, None)
    recorder._add(store.JobChange(number=1, state="running"))
    adding = threading.Thread(target=lambda: recorder._add(store.JobChange(number=2, state="running")))
    with recorder._lock:
        adding.start()
        adding.join(0.05)
        assert list(recorder._changes) == [1]
    adding.join(10)
    recorder.flush()
    assert stored == [[1, 2]]
