"""Rates of keys: one bucket for each key, in one process and in several."""

from __future__ import annotations

import multiprocessing

import pytest

from regraft.presentation.gateway import rates
from regraft.presentation.gateway.rates import LocalRates, SharedRates


@pytest.fixture
def clock(monkeypatch):
    """The machine's clock, to be moved by hand."""
    now = [1000.0]
    monkeypatch.setattr(rates.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize("shared", [False, True])
def test_a_bucket_is_emptied_and_fills_again(tmp_path, clock, shared):
    taker = SharedRates(tmp_path / "rates") if shared else LocalRates()
    assert [taker.take("a", 3) for _ in range(4)] == [0, 0, 0, 20]
    assert taker.take("b", 3) == 0
    clock[0] += 5
    assert taker.take("a", 3) == 15
    clock[0] += 15
    assert [taker.take("a", 3) for _ in range(2)] == [0, 20]
    clock[0] += 3600
    assert [taker.take("a", 3) for _ in range(4)] == [0, 0, 0, 20]
    clock[0] -= 500  # the machine has started again, and its clock with it
    assert taker.take("a", 3) == 20


def test_two_holders_of_one_file_take_from_the_same_bucket(tmp_path, clock):
    one, two = SharedRates(tmp_path / "rates"), SharedRates(tmp_path / "rates")
    assert [taker.take("abcdef012345", 4) == 0 for taker in (one, two, one, two, one, two)] == [True] * 4 + [False] * 2
    assert two.take("fedcba543210", 4) == 0
    one.close()
    two.close()


def test_keys_beyond_the_places_have_buckets_of_their_own(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(rates, "SLOTS", 2)
    one, two = SharedRates(tmp_path / "rates"), SharedRates(tmp_path / "rates")
    for key in ("a", "b"):
        assert (one.take(key, 1), two.take(key, 1)) == (0, 60)
    assert (one.take("c", 1), two.take("c", 1), one.take("c", 1)) == (0, 0, 60)


def take_many(path, taken):
    taker = SharedRates(path)
    taken.put(sum(taker.take("a", 500) == 0 for _ in range(2_000)))


def test_processes_at_once_take_no_more_than_there_is(tmp_path):
    context = multiprocessing.get_context("spawn")
    taken = context.Queue()
    processes = [context.Process(target=take_many, args=(tmp_path / "rates", taken)) for _ in range(2)]
    for process in processes:
        process.start()
    found = [taken.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert 500 <= sum(found) <= 500 + 500 / 60 * 20  # what fills again meanwhile
