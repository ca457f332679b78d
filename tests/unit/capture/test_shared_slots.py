"""Slots of keys: how many calls at once, in several processes together."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import time

import pytest

from regraft.presentation.gateway import shared_slots
from regraft.presentation.gateway.shared_limits import SharedConcurrencyLimit
from regraft.presentation.gateway.shared_slots import SharedSlots


@pytest.fixture
def both(tmp_path):
    """Two of one gateway's processes, as they see the file."""
    pair = [SharedSlots(tmp_path / "slots", number, 2) for number in range(2)]
    yield pair
    for each in pair:
        each.close()


class Call:
    """Notes that its turn came."""

    def __init__(self, log, name):
        self.log, self.name = log, name

    def admitted(self):
        self.log.append(self.name)

    def turned_away(self):
        self.log.append(f"{self.name} refused")


def test_processes_count_the_calls_of_a_key_together(both):
    one, two = both
    place, now = one.find("a"), time.monotonic()
    assert place == two.find("a")
    assert [each.take(place, 3, now) for each in (one, two, one, two, one)] == [True, True, True, False, False]
    assert one.take(one.find("b"), 3, now), "another key has slots of its own"
    two.give(place)
    two.withdraw(place)
    one.withdraw(place)
    assert [each.take(place, 3, now) for each in (one, two)] == [True, False]


def test_a_call_that_waits_much_longer_in_another_process_goes_first(both):
    one, two = both
    place, now = one.find("a"), time.monotonic()
    assert one.take(place, 1, now)
    assert not two.take(place, 1, now - 5)
    assert not one.pass_on(place, 1, now)
    assert not one.take(place, 1, now)
    assert two.take(place, 1, now - 5)
    two.give(place)
    one.withdraw(place)
    assert one.take(place, 1, now)


def test_a_process_that_looks_no_more_is_not_waited_for(both, monkeypatch):
    one, two = both
    place, now = one.find("a"), time.monotonic()
    assert one.take(place, 1, now)
    assert not two.take(place, 1, now - 5)
    monkeypatch.setattr(shared_slots, "FRESH", 0.0)
    assert one.pass_on(place, 1, now)


def take_and_die(path):
    slots = SharedSlots(path, 1, 2)
    place = slots.find("a")
    assert all(slots.take(place, 3, time.monotonic()) for _ in range(2))
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_process_held_is_given_back(tmp_path, monkeypatch):
    monkeypatch.setattr(shared_slots, "PROBE", 0.0)
    path = tmp_path / "slots"
    one = SharedSlots(path, 0, 2)
    place = one.find("a")
    assert one.take(place, 3, time.monotonic())
    process = multiprocessing.get_context("spawn").Process(target=take_and_die, args=(path,))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert [one.take(place, 3, time.monotonic()) for _ in range(3)] == [True, True, False]
    again = SharedSlots(path, 1, 2)  # started again, in the place of the dead one
    assert not again.take(place, 3, time.monotonic())
    one.close()
    assert again.take(place, 3, time.monotonic())
    again.close()


def test_a_process_started_again_holds_nothing_of_the_one_before(tmp_path):
    path = tmp_path / "slots"
    before = SharedSlots(path, 0, 2)
    place = before.find("a")
    assert before.take(place, 1, time.monotonic())
    before.close()
    after = SharedSlots(path, 0, 2)
    assert after.take(after.find("a"), 1, time.monotonic())
    after.close()


def test_a_slot_that_one_process_gives_back_lets_a_call_of_the_other_in(both):
    async def main():
        log = []
        one, two = (SharedConcurrencyLimit(1, 1, 5.0, slots, slots.find("a")) for slots in both)
        assert one.enter(Call(log, "first"))
        assert not two.enter(Call(log, "second"))
        await asyncio.sleep(0.1)
        assert log == []
        one.leave()
        for _ in range(100):
            if log:
                break
            await asyncio.sleep(0.02)
        assert log == ["second"]
        assert not one.enter(Call(log, "third"))
        two.leave()
        await asyncio.sleep(0.3)
        assert log == ["second", "third"]
        one.leave()

    asyncio.run(main())
