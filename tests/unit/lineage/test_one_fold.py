"""Captured calls, imported conversations and the plain fold give one history the same ids, under each projection."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.capture.answer import Answer
from regraft.domain.capture.importers.conversation import Conversation, ImportedMessage
from regraft.domain.capture.request import Request
from regraft.domain.lineage import imported_calls
from regraft.domain.lineage.history import empty_history, read_history
from regraft.domain.lineage.message import store_message
from regraft.domain.lineage.projection import PROJECTIONS
from regraft.domain.lineage.turn import Capture, capture
from regraft.flows.lineage.history_cache import HistoryCache
from support.chains import chain

roles = st.sampled_from(["system", "developer", "user", "assistant", "tool", "", None])
contents = st.sampled_from(["a", "b ", "<think>x</think>c", "12:30:01", None])
messages = st.lists(st.fixed_dictionaries({"role": roles, "content": contents}), min_size=1, max_size=10)
versions = pytest.mark.parametrize("version", sorted(PROJECTIONS))


def facts(history):
    return (
        history.context,
        history.opening,
        history.awaited,
        history.asked,
        history.system.digest(),
        history.user.digest(),
    )


@versions
@given(said=messages, scope=st.sampled_from(["", "one"]))
def test_the_cache_and_the_plain_fold_give_equal_histories(version, said, scope):
    read = read_history(scope, said, version)
    stored = [store_message(message, version=version) for message in said]
    assert read.messages == stored
    assert read.contexts == chain(scope, ((each.message_id, each.projection) for each in stored), version)
    cache = HistoryCache(version=version)
    cache.history(scope, said[: len(said) // 2 + 1])
    again = cache.history(scope, said)
    assert facts(again.history) == facts(read.history)
    assert again.read().messages == stored


@versions
@given(said=messages)
def test_a_history_whose_exact_ids_are_known_has_the_ids_that_were_computed(version, said):
    read = read_history("s", said, version)
    history = empty_history("s", version)
    for stored, context in zip(read.messages, read.contexts, strict=True):
        history = history.extend(stored.role, stored.message_id, stored.projection, context.context_id)
    assert facts(history) == facts(read.history)


@versions
@given(said=messages)
def test_an_imported_conversation_and_the_same_captured_calls_give_equal_turns(version, said):
    said = [*said, {"role": "user", "content": "and?"}, {"role": "assistant", "content": "so."}]
    kept = [
        ImportedMessage(
            key=str(at), parent=at - 1 if at else None, message=message, answered=message["role"] == "assistant"
        )
        for at, message in enumerate(said)
    ]
    conversation = Conversation(key="c", said=kept)
    tree = imported_calls.steps(conversation, "form", "s")
    found = {}
    projections = imported_calls.Projections(version=version)
    for call in imported_calls.calls(conversation, tree, "form", "s", 0, projections):
        for turn in call.capture.turns:
            found[turn.context_depth] = (call, turn)
    assert len(said) - 1 in found
    for depth, (call, turn) in found.items():
        request = Request(model="", messages=said[:depth], tools={}, sampling={}, other={})
        read = read_history("s", request.messages, version)
        captured: Capture = capture(
            call.exchange, request, Answer(**fields(call.answer)), lambda claim: None, read=read
        )
        (again,) = captured.turns
        same = ("context_id", "context_projection", "context_depth", "answer", "answer_projection", "system_digest")
        for name in (*same, "user_digest", "awaited_projection"):
            assert getattr(turn, name) == getattr(again, name), name
        assert (call.capture.session_id, turn.node_id) == (captured.session_id, again.node_id)


def fields(answer):
    return {name: getattr(answer, name) for name in Answer.__slots__}
