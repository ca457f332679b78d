"""Long texts in pieces, and the pieces' vectors as one of length 1."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from regraft.infra.embedding import PieceVectors

Vectors = np.ndarray[Any, np.dtype[np.float32]]


def pieces(text: str, longest: int) -> list[str]:
    """The text in pieces of at most this many characters, cut at blanks where there are any. An empty text gives no
    piece."""
    found = []
    while len(text) > longest:
        cut = max(text.rfind(" ", longest // 2, longest), text.rfind("\n", longest // 2, longest)) + 1 or longest
        found.append(text[:cut])
        text = text[cut:]
    return [*found, text] if text.strip() else found


def vectors_of(
    parts: Sequence[Sequence[bytes]],
    embed: Callable[[Sequence[bytes]], Sequence[Any]],
    known: PieceVectors | None,
) -> Vectors:
    """A row for each piece of all texts, in order. A piece that comes again, or is known, is not embedded again.

    The last piece of a text is not kept: it is another one when the text grows.
    """
    whole = {piece for pieces_of_one in parts for piece in pieces_of_one[:-1]}
    found: dict[bytes, Any] = dict(known.find(whole)) if known and whole else {}
    missing = sorted({piece for pieces_of_one in parts for piece in pieces_of_one if piece not in found})
    found.update(zip(missing, embed(missing) if missing else (), strict=True))
    if known and whole:
        known.keep({piece: found[piece] for piece in whole})
    every = [found[piece] for pieces_of_one in parts for piece in pieces_of_one]
    return np.array(every, dtype=np.float32).reshape(len(every), len(every[0]) if every else 0)


def lengths_of(parts: Sequence[Sequence[str]]) -> list[list[int]]:
    """How many characters each piece of each text has."""
    return [[len(piece) for piece in pieces_of_one] for pieces_of_one in parts]


def pooled(weights: Sequence[Sequence[int]], vectors: Vectors) -> pa.ListArray:
    """The mean of each text's piece vectors, weighted, at length 1.

    ``weights`` has for each text the weight of each of its pieces; ``vectors`` has a row for each piece of all texts,
    in order. A text without pieces gets an empty list.
    """
    counts = np.array([len(weights_of_one) for weights_of_one in weights], dtype=np.int64)
    every = np.array([weight for weights_of_one in weights for weight in weights_of_one], dtype=np.float32)
    weighed = np.nan_to_num(vectors) * every[:, None]
    means = np.zeros((len(weights), vectors.shape[1]), dtype=np.float32)
    if len(weighed):
        starts = np.concatenate(([0], np.cumsum(counts)))[:-1]
        means[counts > 0] = np.add.reduceat(weighed, starts[counts > 0], axis=0)
    lengths = np.linalg.norm(means, axis=1)
    said = lengths > 0
    units = (means[said] / lengths[said, None]).astype(np.float32)
    offsets = np.concatenate(([0], np.cumsum(np.where(said, vectors.shape[1], 0))))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(units.ravel(), pa.float32()))


def flat(parts: Iterable[Sequence[str]]) -> list[str]:
    """All pieces of all texts."""
    return [piece for pieces_of_one in parts for piece in pieces_of_one]
