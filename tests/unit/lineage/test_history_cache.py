"""A recollection changes what a digest costs, never what it is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.capture.request import Slices, read_request
from regraft.domain.errors import CorruptEventError
from regraft.domain.lineage.history import chain
from regraft.domain.lineage.history_cache import Recollection, store_message
from regraft.domain.lineage.prompt_digests import SYSTEM, USER, said_by

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
def test_digests_are_those_of_no_recollection_whatever_came_before_and_however_little_it_holds(histories, room) -> None:
    recollection = Recollection(characters=room, steps=room)
    for scope, history, indent in histories:
        plain = [store_message(message) for message in history]
        expected = chain(scope, ((m.message_id, m.projection) for m in plain))
        texts = [json.dumps(message, indent=indent).encode() for message in history]
        end = recollection.history(scope, history if indent is None else Slices(texts))
        steps = [*end.back()][::-1]
        assert [step.message for step in steps] == plain
        assert [step.context for step in steps] == expected
        said = [(message.role, message.projection) for message in plain]
        assert (end.system.digest(), end.user.digest()) == (said_by(SYSTEM, said), said_by(USER, said))
        answered = [at for at, message in enumerate(plain) if message.role == "assistant"]
        asked = [at for at, message in enumerate(plain) if message.role == "user"]
        opened = [at for at in answered if asked and at > asked[0]]
        assert end.opening == (expected[opened[0] - 1].projection_id if opened else None)
        assert end.awaited == (expected[answered[-1]].projection_id if answered else None)


def test_a_history_knows_what_of_it_was_not_handed_on_yet() -> None:
    recollection = Recollection()
    said = [{"role": "user", "content": text} for text in "abc"]
    assert len(recollection.history("", said[:1]).hand_on()) == 1
    end = recollection.history("", said)
    assert [step.message for step in end.new()] == [store_message(message) for message in said[1:]]
    handed_on = end.hand_on()
    assert end.new() == []
    for step in handed_on:
        step.kept = False
    assert end.new() == handed_on


def test_a_request_in_slices_is_the_request_that_was_sent() -> None:
    asked = {"model": "m", "messages": [{"role": "user", "content": "a"}], "temperature": 1.0, "tools": [], "user": "u"}
    fields = {name: json.dumps(value).encode() for name, value in asked.items() if name != "messages"}
    recollection = Recollection()
    for _ in range(2):
        read = recollection.request(fields, [b'{"role": "user", "content": "a"}'])
        assert read == read_request(json.dumps(asked).encode())
        assert read.body() == read_request(json.dumps(asked).encode()).body()


@pytest.mark.parametrize("text", [b'{"role": nothing}', b'{"role": "user", "content": "\n"}', b"[\xff]"])
def test_a_message_that_is_no_json_is_named(text) -> None:
    with pytest.raises(CorruptEventError, match="a message of the request is not JSON"):
        Recollection().history("", Slices([text]))
