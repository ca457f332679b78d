"""A replaced history continues at the node that its surviving part proves, or nowhere without proof."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations
from uuid import UUID

import pytest

from regraft.domain.ids import NodeId, SessionId, TurnId, digest
from regraft.domain.lineage.compaction import ShortenedTurn, SurvivingAnswer, compaction
from regraft.domain.lineage.fingerprints import CALL, TEXT

START = datetime(2026, 1, 1, tzinfo=UTC)
SYSTEM, OTHER = digest(b"system"), digest(b"another")
MINE, THEIRS, THIRD = (SessionId(UUID(int=number)) for number in (1, 2, 3))


def shortened(*, named=False, system=SYSTEM, second=100):
    return ShortenedTurn(
        turn_id=TurnId(UUID(int=999)),
        session_id=MINE,
        named=named,
        started_at=START + timedelta(seconds=second),
        system=system,
    )


def survivor(number, position, *, kind=TEXT, of=20, session=THEIRS, same=True, named=False, system=SYSTEM, second=None):
    return SurvivingAnswer(
        anchor=number * 4 + kind,
        position=position,
        same_before=same,
        owner_turn=TurnId(UUID(int=number)),
        owner_node=NodeId(UUID(int=1000 + number)),
        owner_session=session,
        owner_named=named,
        owner_started_at=START + timedelta(seconds=number if second is None else second),
        owner_position=of,
        owner_system=system,
    )


def placed(turn, *survivors):
    """The number of the turn that it continues from, whatever the order of what survived."""
    found = {repr(compaction(turn, order)) for order in permutations(survivors)}
    assert len(found) == 1
    result = compaction(turn, survivors)
    return None if result is None else result.node_id.int - 1000


def test_nothing_that_survived_proves_nothing():
    assert placed(shortened()) is None


def test_one_call_that_survived_is_proof_whatever_the_instructions_say():
    assert placed(shortened(), survivor(1, 3, kind=CALL, system=OTHER, same=False)) == 1


def test_one_answer_is_proof_after_the_same_message_and_under_the_same_instructions_alone():
    assert placed(shortened(), survivor(1, 3)) == 1
    assert placed(shortened(), survivor(1, 3, same=False)) is None
    assert placed(shortened(), survivor(1, 3, system=OTHER)) is None


def test_two_answers_of_one_session_are_proof_under_other_instructions():
    both = survivor(1, 3, of=9, system=OTHER), survivor(2, 7, of=11, system=OTHER)
    assert placed(shortened(), *both) == 2
    assert placed(shortened(), both[0], survivor(2, 3, system=OTHER)) is None  # the same answer, given twice


def test_two_answers_in_a_row_are_proof_though_each_was_filed_elsewhere():
    earlier = survivor(1, 3, system=OTHER)
    assert placed(shortened(), earlier, survivor(2, 5, session=THIRD, system=OTHER)) == 2
    assert placed(shortened(), earlier, survivor(2, 7, session=THIRD, system=OTHER)) is None  # not in a row
    late = survivor(2, 5, session=THIRD, system=OTHER, second=0)
    assert placed(shortened(), earlier, late) is None  # given in another order
    unlike = survivor(2, 5, session=THIRD, system=OTHER, same=False)
    assert placed(shortened(), earlier, unlike) is None


def test_it_goes_on_at_the_last_answer_that_survived_and_the_first_that_gave_it():
    assert placed(shortened(), survivor(1, 3, kind=CALL), survivor(2, 5, kind=CALL)) == 2
    assert placed(shortened(), survivor(5, 3, kind=CALL), survivor(4, 3, kind=CALL)) == 4
    assert placed(shortened(), survivor(1, 5), survivor(2, 5, kind=CALL)) == 2  # a call says more than a text


def test_an_answer_must_be_shorter_and_a_call_may_stay_where_it_is_under_the_same_instructions():
    assert placed(shortened(), survivor(1, 5, of=5)) is None
    assert placed(shortened(), survivor(1, 5, of=5, kind=CALL)) == 1
    assert placed(shortened(), survivor(1, 5, of=5, kind=CALL, system=OTHER)) is None
    assert placed(shortened(), survivor(1, 6, of=5, kind=CALL)) is None


@pytest.mark.parametrize("second", [100, 101])
def test_only_what_was_said_before_counts(second):
    assert placed(shortened(), survivor(1000, 3, kind=CALL, second=second)) is None


def test_named_sessions_join_no_other_and_are_joined_by_none_but_find_their_own():
    assert placed(shortened(named=True), survivor(1, 3, kind=CALL)) is None
    assert placed(shortened(), survivor(1, 3, kind=CALL, named=True)) is None
    assert placed(shortened(named=True), survivor(1, 3, kind=CALL, session=MINE, named=True)) == 1


def test_the_reason_says_what_survived_and_the_config_counts_it():
    found = compaction(shortened(), [survivor(1, 3, kind=CALL, of=9), survivor(2, 5, kind=CALL, of=12), survivor(3, 5)])
    assert found.reason == "a history of 12 messages was replaced by 5; 2 tool calls and 1 answer survived"
    assert found.config == {
        "compaction": {"messages": {"from": 12, "to": 5}, "survived": {"tool_calls": 2, "answers": 1}}
    }
