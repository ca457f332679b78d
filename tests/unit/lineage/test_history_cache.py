"""The cache of histories changes what a digest costs, never what it is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.capture.request import LazyMessages, read_request
from regraft.domain.errors import CorruptEventError
from regraft.domain.lineage.message import store_message
from regraft.domain.lineage.prompt_digests import SYSTEM, USER, said_by
from regraft.flows.lineage.history_cache import HistoryCache
from support.chains import chain

messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant"]), "content": st.sampled_from("abcde")}
    ),
    min_size=1,
    max_size=12,
)


@given(
    st.lists(st.tuples(st.sampled_from(["one", "two", ""]), messages, st.sampled_from([None, 0, 2])), max_size=6),
    st.sampled_from([0, 3, 1000]),
)
def test_digests_are_those_without_a_cache_whatever_came_before_and_however_little_it_holds(histories, room) -> None:
    cache = HistoryCache(characters=room, steps=room)
    for scope, history, indent in histories:
        plain = [store_message(message) for message in history]
        expected = chain(scope, ((m.message_id, m.projection) for m in plain))
        texts = [json.dumps(message, indent=indent).encode() for message in history]
        end = cache.history(scope, history if indent is None else LazyMessages(texts))
        steps = [*end.back()][::-1]
        assert [step.message for step in steps] == plain
        assert [step.history.context for step in steps] == expected
        said = [(message.role, message.projection) for message in plain]
        assert (end.history.system.digest(), end.history.user.digest()) == (said_by(SYSTEM, said), said_by(USER, said))
        answered = [at for at, message in enumerate(plain) if message.role == "assistant"]
        asked = [at for at, message in enumerate(plain) if message.role == "user"]
        opened = [at for at in answered if asked and at > asked[0]]
        assert end.history.opening == (expected[opened[0] - 1].projection_id if opened else None)
        assert end.history.awaited == (expected[answered[-1]].projection_id if answered else None)


def test_a_history_knows_what_of_it_is_not_saved_yet() -> None:
    cache = HistoryCache()
    said = [{"role": "user", "content": text} for text in "abc"]
    assert len(cache.history("", said[:1]).mark_saved()) == 1
    end = cache.history("", said)
    assert [step.message for step in end.unsaved()] == [store_message(message) for message in said[1:]]
    marked = end.mark_saved()
    assert end.unsaved() == []
    for step in marked:
        step.saved = False
    assert end.unsaved() == marked


def test_a_request_in_slices_is_the_request_that_was_sent() -> None:
    asked = {"model": "m", "messages": [{"role": "user", "content": "a"}], "temperature": 1.0, "tools": [], "user": "u"}
    fields = {name: json.dumps(value).encode() for name, value in asked.items() if name != "messages"}
    cache = HistoryCache()
    for _ in range(2):
        read = cache.request(fields, [b'{"role": "user", "content": "a"}'])
        assert read == read_request(json.dumps(asked).encode())
        assert read.body() == read_request(json.dumps(asked).encode()).body()


@pytest.mark.parametrize("text", [b'{"role": nothing}', b'{"role": "user", "content": "\n"}', b"[\xff]"])
def test_a_message_that_is_no_json_is_named(text) -> None:
    with pytest.raises(CorruptEventError, match="a message of the request is not JSON"):
        HistoryCache().history("", LazyMessages([text]))
