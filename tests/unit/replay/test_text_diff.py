"""How two texts differ."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.replay.text_diff import likeness, word_diff

texts = st.text(max_size=80)


@given(texts, texts)
def test_both_texts_can_be_read_back_from_their_difference(old: str, new: str) -> None:
    pieces = word_diff(old, new)
    assert "".join(piece.text for piece in pieces if piece.where != "new") == old
    assert "".join(piece.text for piece in pieces if piece.where != "old") == new


def test_only_the_words_that_changed_are_marked() -> None:
    changed = [(piece.where, piece.text) for piece in word_diff("the red fox", "the blue fox") if piece.where != "same"]
    assert changed == [("old", "red"), ("new", "blue")]


def test_equal_texts_are_wholly_alike_and_foreign_ones_not_at_all() -> None:
    assert likeness("one two", "one two") == 1.0
    assert likeness("one two", "three four") == 0.0
