"""Long texts are embedded whole, in pieces that count by their length."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.infra.embedding.pooling import flat, lengths_of, pieces, pooled


@given(st.text(alphabet="ab \n", max_size=200), st.integers(1, 30))
def test_pieces_are_the_text_and_none_is_too_long(text, longest) -> None:
    found = pieces(text, longest)
    joined = "".join(found)
    assert text.startswith(joined)
    assert not text[len(joined) :].strip()
    assert all(0 < len(piece) <= longest for piece in found)


def test_a_piece_ends_at_a_blank_where_there_is_one() -> None:
    assert pieces("one two three", 8) == ["one two ", "three"]


def test_vectors_of_pieces_are_weighed_by_their_length() -> None:
    parts = [["aaa", "b"], [], ["c"]]
    assert flat(parts) == ["aaa", "b", "c"]
    vectors = np.array([[1, 0], [0, 1], [0, 2]], dtype=np.float32)
    first, second, third = pooled(lengths_of(parts), vectors).to_pylist()
    assert first == pytest.approx([3 / 10**0.5, 1 / 10**0.5])
    assert (second, third) == ([], [0.0, 1.0])


def test_a_vector_of_nothing_is_empty() -> None:
    assert pooled([[1]], np.array([[np.nan, 0]], dtype=np.float32)).to_pylist() == [[]]
