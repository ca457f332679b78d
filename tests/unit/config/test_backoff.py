"""Waits after failures double up to a bound."""

from __future__ import annotations

from regraft.infra.backoff import Backoff


def test_a_wait_doubles_with_each_failure_up_to_the_longest():
    assert [Backoff(0.5, 3.0).after(failures) for failures in range(6)] == [0.0, 0.5, 1.0, 2.0, 3.0, 3.0]


def test_a_server_that_is_away_for_days_does_not_end_the_waiting():
    assert Backoff(0.1, 5.0).after(1_000_000) == 5.0


def test_callers_that_failed_together_return_at_different_times_none_before_half_of_the_wait():
    waits = {Backoff(4.0, 8.0).spread(1) for _ in range(50)}
    assert len(waits) > 1
    assert all(2.0 <= wait <= 4.0 for wait in waits)
