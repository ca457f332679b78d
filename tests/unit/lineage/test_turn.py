"""A captured call is placed in a session, and each of its choices becomes a turn."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import UUID

import pytest

from regraft.domain.capture.answer import read_answer
from regraft.domain.capture.exchange import Exchange, Identity
from regraft.domain.capture.request import read_request
from regraft.domain.ids import SessionId
from regraft.domain.lineage.history import session_by_name
from regraft.domain.lineage.message import store_message
from regraft.domain.lineage.turn import INTERNAL_SESSION, capture, claim, turn_id

EVENT = UUID("01890000-0000-7000-8000-000000000001")
NODE = UUID("01890000-0000-8000-8000-00000000000a")
HI = {"role": "user", "content": "hi"}
HELLO = {"role": "assistant", "content": "hello"}
MORE = {"role": "user", "content": "more"}


def exchange(*messages, answer=None, choices=None, identity=None, stream=None, **more):
    if choices is None:
        choices = [{"index": 0, "finish_reason": "stop", "message": answer or HELLO}]
    return Exchange(
        **{
            "event_id": EVENT,
            "scope": "default",
            "endpoint": "/v1/chat/completions",
            "upstream": "u",
            "upstream_pin": "",
            "started_ns": 1,
            "first_byte_ns": None,
            "duration_ns": 1,
            "request_body": json.dumps({"model": "m", "messages": messages}).encode(),
            "status": 200,
            "response_type": "text/event-stream" if stream is not None else "application/json",
            "response_encoding": "",
            "response_body": json.dumps({"choices": choices}).encode() if stream is None else stream,
            "identity": identity or Identity(),
            **more,
        }
    )


def place(call, known=None):
    answer = read_answer(call.response_body, call.response_type)
    return capture(call, read_request(call.request_body), answer, (known or {}).get)


# Sessions


def test_a_conversation_without_a_name_is_known_by_its_opening():
    first = place(exchange(HI))
    later = place(exchange(HI, HELLO, MORE))
    other_answer = place(exchange(HI, {"role": "assistant", "content": "yo"}, MORE))
    assert first.session_id == later.session_id == other_answer.session_id
    assert (first.session_evidence, first.session_name) == ("opening", None)


def test_other_openings_and_other_scopes_are_other_sessions():
    calls = [exchange(HI), exchange(MORE), exchange(HI, MORE), exchange({"role": "system", "content": "x"}, HI)]
    calls.append(replace(calls[0], scope="other"))
    assert len({place(call).session_id for call in calls}) == len(calls)


def test_a_conversation_that_opens_with_the_assistant_has_a_session_too():
    first, later = place(exchange(HELLO, HI)), place(exchange(HELLO, HI, HELLO, MORE))
    assert first.session_id == later.session_id


def test_a_name_wins_over_the_opening():
    named = Identity(session="mine")
    first, other = place(exchange(HI, identity=named)), place(exchange(MORE, identity=named))
    assert first.session_id == other.session_id == session_by_name("default", "mine") != place(exchange(HI)).session_id
    assert (first.session_evidence, first.session_name) == ("explicit_header", "mine")


def test_a_session_named_by_our_own_id_is_that_session():
    mine = place(exchange(HI)).session_id
    call = exchange(MORE, identity=Identity(session=f"{INTERNAL_SESSION}{mine}"))
    found, unknown = place(call, {mine: mine}), place(call)
    assert (found.session_id, found.session_evidence, found.session_name) == (mine, "explicit_node", None)
    assert (unknown.session_id, unknown.session_evidence) == (place(exchange(MORE)).session_id, "opening")


def test_what_only_looks_like_our_own_id_is_a_name():
    name = f"{INTERNAL_SESSION}not-an-id"
    found = place(exchange(HI, identity=Identity(session=name)))
    assert (found.session_id, found.session_evidence) == (session_by_name("default", name), "explicit_header")


@pytest.mark.parametrize("field", ["parent_node", "replay_node"])
def test_a_claimed_node_names_the_session_when_it_is_known(field):
    mine = SessionId(UUID(int=5))
    identity = Identity(**{field: str(NODE)})
    found = place(exchange(HI, identity=identity), {NODE: mine})
    assert (found.session_id, found.session_evidence) == (mine, "explicit_node")
    assert place(exchange(HI, identity=identity)).session_id == place(exchange(HI)).session_id


def test_a_name_wins_over_a_claimed_node():
    identity = Identity(session="mine", parent_node=str(NODE))
    assert place(exchange(HI, identity=identity), {NODE: SessionId(UUID(int=5))}).session_evidence == "explicit_header"


# Turns


def test_the_first_choice_has_the_id_that_the_client_was_told():
    assert place(exchange(HI)).turns[0].turn_id == EVENT == turn_id(EVENT, 0)
    others = {turn_id(EVENT, number) for number in range(5)}
    assert len(others) == 5
    assert turn_id(UUID(int=9), 1) not in others


def test_every_choice_is_a_turn_of_its_own():
    choices = [{"index": n, "message": {"role": "assistant", "content": str(n)}} for n in range(3)]
    turns = place(exchange(HI, choices=choices)).turns
    assert [turn.choice_index for turn in turns] == [0, 1, 2]
    assert len({turn.turn_id for turn in turns}) == len({turn.node_id for turn in turns}) == 3
    assert len({turn.context_id for turn in turns}) == 1


def test_equal_answers_to_equal_histories_are_one_node_and_two_turns():
    choices = [{"index": n, "message": HELLO} for n in range(2)]
    turns = place(exchange(HI, choices=choices)).turns
    assert len({turn.turn_id for turn in turns}) == 2
    assert len({turn.node_id for turn in turns}) == 1


def test_a_later_history_starts_where_an_earlier_answer_ended():
    first = place(exchange(HI)).turns[0]
    later = place(exchange(HI, HELLO, MORE))
    assert later.turns[0].awaited_projection == first.answer_projection == later.contexts[1].projection_id
    assert first.awaited_projection is None


def test_the_last_answer_in_the_history_is_what_is_awaited():
    second = {"role": "assistant", "content": "second"}
    placed = place(exchange(HI, HELLO, MORE, second, MORE, MORE))
    assert placed.turns[0].awaited_projection == placed.contexts[3].projection_id


def test_a_turn_counts_the_messages_of_its_history():
    placed = place(exchange(HI, HELLO, MORE))
    assert placed.turns[0].context_depth == 3 == len(placed.contexts)
    assert [message.role for message in placed.messages] == ["user", "assistant", "user", "assistant"]


def test_a_call_without_an_answer_is_still_a_turn():
    (turn,) = place(exchange(HI, choices=[], status=500)).turns
    assert (turn.answer, turn.node_status, turn.finish_reason) == (None, "error", None)
    assert turn.node_id != place(exchange(HI)).turns[0].node_id


def test_calls_of_one_history_that_got_no_answer_are_one_node():
    one, other = (place(exchange(HI, choices=[], status=status)).turns[0] for status in (500, 429))
    assert one.node_id == other.node_id


# Statuses


CALLED = '{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}}]}'


def ending(reason, *chunks):
    last = json.dumps({"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": reason}]})
    return exchange(HI, stream="".join(f"data: {each}\n\n" for each in (*chunks, last, "[DONE]")).encode())


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (exchange(HI), "ok"),
        (exchange(HI, status=500), "error"),
        (exchange(HI, status=400), "error"),
        (exchange(HI, choices=[{"index": 0}]), "error"),
        (exchange(HI, cut="client"), "interrupted"),
        (exchange(HI, cut="upstream"), "interrupted"),
        (exchange(HI, choices=[{"index": 0, "message": HELLO, "finish_reason": "content_filter"}]), "filtered"),
        (exchange(HI, answer={"role": "assistant", "content": None, "refusal": "no"}), "refused"),
        (exchange(HI, answer={"role": "assistant", "content": "yes", "refusal": "no"}), "ok"),
        (exchange(HI, answer={"role": "assistant", "content": "yes", "refusal": None}), "ok"),
        (exchange(HI, choices=[{"index": 0, "message": HELLO, "finish_reason": "length"}]), "ok"),
        (ending("insufficient_system_resource"), "interrupted"),
        (ending("abort"), "interrupted"),
        (ending("tool-calls"), "ambiguous"),
        (ending("tool-calls", CALLED), "ok"),
        (ending("SAFETY"), "filtered"),
        (ending("pause_turn"), "paused"),
        (ending("ran out of steam"), "unknown"),
        (ending({"type": "length"}), "ok"),
        (ending({"why": "?"}), "unknown"),
        (ending(""), "ok"),
        (ending("stop", '{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{}"}}]}}]}'), "ambiguous"),
        (ending("stop", '{"choices":[{"delta":{"content":"lo'), "ambiguous"),
        (ending("abort", '{"choices":[{"delta":{"content":"lo'), "interrupted"),
        (exchange(HI, stream=b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'), "interrupted"),
        (exchange(HI, stream=b'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: [DONE]\n\n'), "ok"),
        (exchange(HI, stream=b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'), "ok"),
        (
            exchange(
                HI, stream=b'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: {"error":{"message":"x"}}\n\n'
            ),
            "interrupted",
        ),
        (exchange(HI, stream=b'data: {"error":{"message":"x"}}\n\n'), "error"),
        (
            exchange(HI, response_body=b'{"choices":[{"message":{"content":"a"}}],"error":{"message":"x"}}'),
            "interrupted",
        ),
    ],
)
def test_the_status_of_a_turn_says_how_it_ended(call, status):
    assert place(call).turns[0].node_status == status


# Claims


@pytest.mark.parametrize("value", [None, "", "x", "123", "\0", "\ud800", "{", str(NODE) + "0", "🙂"])
def test_what_is_no_id_claims_nothing(value):
    assert claim(value) is None


def test_claims_are_kept_with_the_turn():
    identity = Identity(parent_node=str(NODE), replay_node=str(EVENT))
    turn = place(exchange(HI, identity=identity)).turns[0]
    assert (turn.parent_claim, turn.replay_claim) == (NODE, EVENT)


# Messages


@pytest.mark.parametrize(
    ("message", "role"), [(HI, "user"), ({"role": 5}, ""), ({}, ""), ("x", ""), (None, ""), ([], "")]
)
def test_a_message_is_stored_with_its_role_when_it_has_one(message, role):
    stored = store_message(message)
    assert stored.role == role
    assert json.loads(stored.body) == message


def test_system_and_user_words_are_digested_for_the_kind_of_a_branch():
    base = place(exchange({"role": "system", "content": "x"}, HI)).turns[0]
    system = place(exchange({"role": "system", "content": "y"}, HI)).turns[0]
    user = place(exchange({"role": "system", "content": "x"}, MORE)).turns[0]
    assert (system.system_digest != base.system_digest, system.user_digest == base.user_digest) == (True, True)
    assert (user.system_digest == base.system_digest, user.user_digest != base.user_digest) == (True, True)
