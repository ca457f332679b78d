"""Work in the background of a serving process: its states, its order, and how it is stopped."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event
from uuid import uuid4

import pytest

from regraft.domain.errors import NotFoundError, UnavailableError, UsageError
from regraft.flows.background import Background, BackgroundJob, Work
from support.waiting import until


@pytest.fixture
def background() -> Iterator[Background]:
    made = Background(workers=1, waiting=2, kept=3)
    yield made
    made.close()


def over(background: Background, job: BackgroundJob) -> BackgroundJob:
    until(lambda: background.find(job.job_id).is_over)
    return background.find(job.job_id)


def held(release: Event, started: Event) -> object:
    def work(at: Work) -> str:
        started.set()
        while not release.wait(0.01):
            at.progress("holding", 1, 2)
        return "released"

    return work


def test_a_result_and_an_error_are_kept(background: Background) -> None:
    assert over(background, background.start("sum", lambda work: 1 + 1)).result == 2

    def wrong(work: Work) -> None:
        raise UsageError("That makes no sense.")

    failed = over(background, background.start("wrong", wrong))
    assert (failed.state, failed.error) == ("failed", "That makes no sense.")
    assert isinstance(failed.failure, UsageError)


def test_a_bug_is_not_told_to_clients(background: Background) -> None:
    failed = over(background, background.start("bug", lambda work: 1 / 0))
    assert "bug in Regraft" in failed.error
    assert "division" not in failed.error


def test_progress_can_be_read_and_work_be_cancelled(background: Background) -> None:
    release, started = Event(), Event()
    job = background.start("hold", held(release, started))
    assert started.wait(10)
    until(lambda: background.find(job.job_id).step == "holding")
    assert (background.find(job.job_id).done, background.find(job.job_id).total) == (1, 2)
    background.cancel(job.job_id)
    assert over(background, job).state == "cancelled"


def test_work_of_one_key_is_done_once_or_replaced(background: Background) -> None:
    release, started = Event(), Event()
    first = background.start("hold", held(release, started), key="a")
    assert background.start("hold", held(release, started), key="a").job_id == first.job_id
    assert started.wait(10)
    newer = background.start("hold", lambda work: "newer", key="a", replaces=True)
    assert over(background, first).state == "cancelled"
    assert over(background, newer).result == "newer"


def test_what_waits_is_bounded_and_cancelled_at_once(background: Background) -> None:
    release, started = Event(), Event()
    background.start("hold", held(release, started))
    assert started.wait(10)
    waiting = [background.start("next", lambda work: None) for _ in range(2)]
    with pytest.raises(UnavailableError):
        background.start("next", lambda work: None)
    assert background.cancel(waiting[0].job_id).state == "cancelled"
    release.set()
    assert over(background, waiting[1]).state == "done"


def test_old_jobs_are_forgotten(background: Background) -> None:
    jobs = [over(background, background.start("one", lambda work: None)) for _ in range(6)]
    over(background, background.start("last", lambda work: None))
    with pytest.raises(NotFoundError):
        background.find(jobs[0].job_id)
    with pytest.raises(NotFoundError):
        background.find(uuid4())


def test_a_tenant_sees_its_own_jobs(background: Background) -> None:
    job = over(background, background.start("one", lambda work: None, scope="alpha"))
    assert background.find(job.job_id, "alpha").job_id == job.job_id
    assert [one.job_id for one in background.jobs(scope="alpha")] == [job.job_id]
    assert background.jobs(scope="beta") == []
    with pytest.raises(NotFoundError):
        background.cancel(job.job_id, "beta")


def test_closing_stops_what_runs_and_takes_no_more(background: Background) -> None:
    release, started = Event(), Event()
    job = background.start("hold", held(release, started))
    assert started.wait(10)
    background.close()
    assert background.find(job.job_id).state == "cancelled"
    with pytest.raises(UnavailableError):
        background.start("more", lambda work: None)
