"""A context is a parent context and one more message; scope and version are part of its id."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.ids import digest
from regraft.domain.lineage.history import (
    extend,
    extend_projection,
    node_of,
    root_of,
    session_by_name,
    session_by_opening,
)
from regraft.domain.lineage.message import store_message
from support.chains import chain

MESSAGES = st.lists(st.integers(0, 3).map(lambda number: (digest(b"%d" % number), digest(b"p%d" % number))), max_size=8)


def of(scope, *texts):
    messages = [store_message({"role": "user", "content": text}) for text in texts]
    return chain(scope, ((message.message_id, message.projection) for message in messages))


@given(MESSAGES)
def test_a_chain_holds_every_prefix_of_the_history(messages):
    found = chain("a", messages)
    assert [context.depth for context in found] == list(range(1, len(messages) + 1))
    assert [context.parent_id for context in found] == [b"", *(context.context_id for context in found)][: len(found)]
    assert [context.message_id for context in found] == [message for message, _ in messages]


@given(MESSAGES, MESSAGES)
def test_histories_share_contexts_exactly_as_far_as_they_share_messages(left, right):
    shared = 0
    while shared < min(len(left), len(right)) and left[shared] == right[shared]:
        shared += 1
    one, other = chain("a", left), chain("a", right)
    assert {c.context_id for c in one} & {c.context_id for c in other} == {c.context_id for c in one[:shared]}
    assert {c.projection_id for c in one} & {c.projection_id for c in other} == {c.projection_id for c in one[:shared]}


@given(MESSAGES.filter(bool))
def test_no_two_scopes_share_a_context(messages):
    one, other = chain("a", messages), chain("b", messages)
    assert not {c.context_id for c in one} & {c.context_id for c in other}
    assert not {c.projection_id for c in one} & {c.projection_id for c in other}


def test_a_chain_is_extended_one_message_at_a_time():
    message = store_message({"role": "user", "content": "x"})
    first, second = of("a", "y", "x")
    assert extend("a", first.context_id, message.message_id) == second.context_id
    assert extend_projection("a", first.projection_id, message.projection) == second.projection_id


def test_the_same_messages_in_another_order_are_another_context():
    assert of("a", "x", "y")[-1].context_id != of("a", "y", "x")[-1].context_id
    assert of("a", "x", "y")[-1].projection_id != of("a", "y", "x")[-1].projection_id


def test_projected_ids_join_what_exact_ids_tell_apart():
    one, other = of("a", "x "), of("a", "x")
    assert one[-1].context_id != other[-1].context_id
    assert one[-1].projection_id == other[-1].projection_id


def test_exact_and_projected_ids_of_one_digest_differ():
    same = digest(b"same")
    assert extend("a", b"", same) != extend_projection("a", b"", same)


def test_sessions_by_opening_and_by_name_do_not_meet():
    opening = of("a", "hello")[-1].projection_id
    found = {
        session_by_opening("a", opening),
        session_by_opening("b", opening),
        session_by_name("a", "hello"),
        session_by_name("b", "hello"),
        session_by_name("a", opening.hex()),
    }
    assert len(found) == 5
    assert session_by_name("a", "hello") == session_by_name("a", "hello")


def test_a_session_may_have_any_name():
    names = ["", "\0", "\ud800", "\ufffd", "日本", "x" * 10_000]
    assert len({session_by_name("a", name) for name in names}) == len(names)


def test_a_node_belongs_to_one_session():
    after = of("a", "x", "y")[-1].projection_id
    one, other = session_by_name("a", "one"), session_by_name("a", "other")
    assert len({node_of(one, after), node_of(other, after), root_of(one), root_of(other)}) == 4
