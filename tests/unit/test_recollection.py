"""A recollection changes what a digest costs, never what it is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.context import chain
from regraft.domain.recollection import Recollection, store_message

messages = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": st.sampled_from("abcde")}),
    min_size=1,
    max_size=12,
)


@given(st.lists(st.tuples(st.sampled_from(["one", "two", ""]), messages), max_size=6), st.sampled_from([0, 3, 1000]))
def test_digests_are_those_of_no_recollection_whatever_came_before_and_however_little_it_holds(histories, room) -> None:
    recollection = Recollection(characters=room, steps=room)
    for scope, history in histories:
        stored = [recollection.message(message) for message in history]
        plain = [store_message(message) for message in history]
        assert stored == plain
        assert recollection.chain(scope, stored) == chain(scope, ((m.message_id, m.projection) for m in plain))
