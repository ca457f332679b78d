"""Texts that resemble one another: MinHash signatures (rensa) in bands (Broder 1997; Indyk and Motwani 1998).

All in arrays of numbers, about 800 bytes a text. A chain of texts that share a band is followed for a bounded number of
steps, the latest first, so that the work for a text does not grow with how many are alike.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

PERMUTATIONS = 128
_SEED = 20
_BANDS, _ROWS = 20, 4  # two texts that share half of their runs have a band in common in 73 of 100 cases, 0.7: in 99
_STEPS = 32
_SMALLEST = 1 << 10
_FREE = -1


@dataclass(frozen=True, slots=True)
class Signature:
    """``values`` are ``PERMUTATIONS`` numbers, ``bands`` hashes of the ``_BANDS`` parts that texts are found by."""

    values: Any
    bands: list[int]


class MinHashIndex:
    """Texts are numbered from 0 in the order in which they are added."""

    def __init__(self) -> None:
        self._count = 0
        self._signatures = np.zeros((_SMALLEST, PERMUTATIONS), dtype=np.uint32)
        # Single numbers are read from these, which costs a third of what it does with arrays of numpy.
        self._earlier = array("i")  # by text and band: the text before in the chain
        self._latest = array("i", [_FREE]) * (_BANDS * _SMALLEST)  # by band and slot: the head of the chain

    def __len__(self) -> int:
        return self._count

    def signature(self, parts: Sequence[str]) -> Signature:
        """The signature of a set of parts; one that is named again changes nothing."""
        from rensa import RMinHash

        hashed = RMinHash(num_perm=PERMUTATIONS, seed=_SEED)
        hashed.update(parts)
        values = np.array(hashed.digest(), dtype=np.uint32)
        return Signature(values, _mixed(values).tolist())

    def resembling(self, signature: Signature, threshold: float) -> list[tuple[int, float]]:
        """(number, estimated Jaccard similarity) of the texts at or above the threshold, the most alike first, and of
        equal ones the earliest."""
        latest, earlier, size = self._latest, self._earlier, len(self._signatures)
        seen: set[int] = set()
        for band, mixed in enumerate(signature.bands):
            current = latest[band * size + mixed % size]
            steps = 0
            while current >= 0 and steps < _STEPS:
                seen.add(current)
                current = earlier[current * _BANDS + band]
                steps += 1
        if not seen:
            return []
        candidates = np.fromiter(seen, np.int64, len(seen))
        shares = np.count_nonzero(self._signatures[candidates] == signature.values, axis=1) / PERMUTATIONS
        alike = np.flatnonzero(shares >= threshold)
        found = zip(candidates[alike].tolist(), shares[alike].tolist(), strict=True)
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))

    def add(self, signature: Signature) -> int:
        """Add a text; returns its number."""
        if self._count == len(self._signatures):
            self._grow()
        number, size = self._count, len(self._signatures)
        self._signatures[number] = signature.values
        slots = [band * size + mixed % size for band, mixed in enumerate(signature.bands)]
        self._earlier.extend([self._latest[slot] for slot in slots])
        for slot in slots:
            self._latest[slot] = number
        self._count += 1
        return number

    def _grow(self) -> None:
        size = 2 * self._count
        signatures = np.zeros((size, PERMUTATIONS), dtype=np.uint32)
        signatures[: self._count] = self._signatures
        self._signatures = signatures
        slots = (_mixed(signatures[: self._count]) % np.uint64(size)).astype(np.int64)
        earlier = np.full((self._count, _BANDS), _FREE, dtype=np.int32)
        latest = np.full((_BANDS, size), _FREE, dtype=np.int32)
        for band in range(_BANDS):
            order = np.argsort(slots[:, band], kind="stable")
            sorted_slots = slots[order, band]
            follows = sorted_slots[1:] == sorted_slots[:-1]
            earlier[order[1:], band] = np.where(follows, order[:-1], _FREE)
            last = np.append(~follows, True)
            latest[band, sorted_slots[last]] = order[last]
        self._earlier, self._latest = array("i", earlier.tobytes()), array("i", latest.tobytes())


def _mixed(signatures: Any) -> Any:
    """By band: its hash, of 64 bits."""
    bands = signatures[..., : _BANDS * _ROWS].reshape(*signatures.shape[:-1], _BANDS, _ROWS).astype(np.uint64)
    mixed = np.zeros(bands.shape[:-1], dtype=np.uint64)
    for row in range(_ROWS):
        mixed = (mixed ^ bands[..., row]) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return mixed
