"""Feedback on a turn or a session is read in every form."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest

from regraft.domain.capture.exchange import Exchange, Identity
from regraft.domain.errors import CorruptEventError
from regraft.domain.lineage.feedback import check_form, may_be_on_its_way, read_feedback
from regraft.domain.lineage.history import session_by_name

TURN = UUID(int=7)


def given(document, session=None):
    return read_feedback(sent(document, session))


def sent(document, session=None):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    circumstances = {"upstream": "", "upstream_pin": "", "started_ns": 0, "first_byte_ns": None, "duration_ns": 0}
    answer = {"status": 200, "response_type": "", "response_encoding": "", "response_body": b""}
    return Exchange(
        event_id=UUID(int=1),
        scope="s",
        endpoint="/v1/feedback",
        request_body=body,
        identity=Identity(session=session),
        **circumstances,
        **answer,
    )


@pytest.mark.parametrize(
    ("figure", "name", "value"),
    [
        ({"reward": 0.5}, "reward", 0.5),
        ({"rating": 4}, "rating", 4.0),
        ({"value": 1}, "reward", 1.0),
        ({"reward": True}, "reward", 1.0),
        ({"reward": 0, "name": "helpful"}, "helpful", 0.0),
    ],
)
def test_a_figure_has_a_name(figure, name, value):
    feedback = given({"turn_id": str(TURN), **figure})
    assert (feedback.turn_id, feedback.name, feedback.value) == (TURN, name, value)


def test_a_session_is_known_by_its_name_or_by_our_own_id():
    assert given({"session": "mine", "reward": 1}).session_id == session_by_name("s", "mine")
    own = UUID(int=5)
    assert given({"session": f"regraft:{own}", "reward": 1}).session_claim == own
    assert given({"session": str(own), "reward": 1}).session_claim == own
    assert given({"reward": 1}, session="mine").session_id == session_by_name("s", "mine")


@pytest.mark.parametrize(
    "document",
    [
        b"{",
        b"[]",
        {"reward": 1},
        {"turn_id": "no id", "reward": 1},
        {"turn_id": str(TURN)},
        {"turn_id": str(TURN), "reward": "good"},
        {"turn_id": str(TURN), "reward": None},
        b'{"turn_id": "00000000-0000-0000-0000-000000000007", "reward": 1e999}',
        {"turn_id": str(TURN), "reward": 10**400},
    ],
)
def test_what_says_nothing_of_anything_is_refused(document):
    with pytest.raises(CorruptEventError):
        given(document)


@pytest.mark.parametrize("turn", ["018f", 7, ""])
def test_a_turn_id_that_is_none_is_said_to_be_none(turn):
    with pytest.raises(CorruptEventError, match="turn_id is not the id of a turn"):
        given({"turn_id": turn, "reward": 1})


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"turnid": str(TURN), "reward": 1}, "unknown field 'turnid'. Did you mean turn_id?"),
        ({"session": "s", "reward": 1, "colour": "red"}, "unknown field 'colour'. Known fields: turn_id, session"),
        ({"session": "s", "rating": 7}, "rating is 7; a rating is from 1"),
        ({"session": "s", "rating": 0}, "rating is 0"),
        ({"session": "s", "reward": 1, "comment": {"a": 1}}, "comment is not text"),
        ({"session": "s", "reward": 1, "x" * 10_000: 1}, "unknown field 'xxxx"),
    ],
)
def test_a_client_learns_at_once_what_is_wrong_with_its_feedback(document, words):
    with pytest.raises(CorruptEventError) as caught:
        check_form(sent(document))
    assert words in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "figure",
    [{"rating": 1}, {"rating": 5.0}, {"reward": -3}, {"value": 70, "name": "score"}, {"rating": -1, "name": "taste"}],
)
def test_feedback_on_its_own_scale_is_taken(figure):
    check_form(sent({"session": "s", "comment": None, **figure}))


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        ("018f0000-0000-7000-8000-000000000000", True),  # now
        ("018effff-0000-7000-8000-000000000000", True),  # a minute earlier
        ("018ef600-0000-7000-8000-000000000000", False),  # eleven minutes earlier
        ("018f0003-0000-7000-8000-000000000000", False),  # three minutes ahead
        ("018f0000-0000-4000-8000-000000000000", False),  # not of a gateway
    ],
)
def test_only_a_new_id_of_a_gateway_may_be_on_its_way(turn, expected):
    now = datetime.fromtimestamp(0x018F00000000 / 1000, UTC)
    assert may_be_on_its_way(UUID(turn), now) is expected
