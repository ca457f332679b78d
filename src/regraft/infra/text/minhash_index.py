"""Texts that resemble one another: MinHash signatures (rensa) in bands (Broder 1997; Indyk and Motwani 1998).

All in arrays of numbers, about 800 bytes a text. A chain of texts that share a band is followed for a bounded number of
steps, the latest first, so that the work for a text does not grow with how many are alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

PERMUTATIONS = 128
_SEED = 20
_BANDS, _ROWS = 20, 4  # two texts that share half of their runs have a band in common in 73 of 100 cases, 0.7: in 99
_STEPS = 32
_SMALLEST = 1 << 10
_FREE = -1


class MinHashIndex:
    """Texts are numbered from 0 in the order in which they are added."""

    def __init__(self) -> None:
        self._count = 0
        self._signatures = np.zeros((_SMALLEST, PERMUTATIONS), dtype=np.uint32)
        self._earlier = np.full((_SMALLEST, _BANDS), _FREE, dtype=np.int32)  # the text before in the chain, by band
        self._latest = np.full((_BANDS, _SMALLEST), _FREE, dtype=np.int32)  # the head of the chain, by band and slot
        self._band = np.arange(_BANDS)

    def __len__(self) -> int:
        return self._count

    def signature(self, parts: Iterable[str]) -> Any:
        """The signature of a set of parts, as an array of ``PERMUTATIONS`` numbers."""
        from rensa import RMinHash

        hashed = RMinHash(num_perm=PERMUTATIONS, seed=_SEED)
        hashed.update(list(parts))
        return np.array(hashed.digest(), dtype=np.uint32)

    def resembling(self, signature: Any, threshold: float) -> list[tuple[int, float]]:
        """(number, estimated Jaccard similarity) of the texts at or above the threshold, the most alike first, and of
        equal ones the earliest."""
        slots = self._slots(signature)
        current = self._latest[self._band, slots]
        seen = []
        for _ in range(_STEPS):
            live = current >= 0
            if not live.any():
                break
            seen.append(current[live])
            current = np.where(live, self._earlier[current, self._band], _FREE)
        if not seen:
            return []
        candidates = np.unique(np.concatenate(seen))
        alike = (self._signatures[candidates] == signature).mean(axis=1)
        found = [(int(one), float(share)) for one, share in zip(candidates, alike, strict=True) if share >= threshold]
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))

    def add(self, signature: Any) -> int:
        """Add a text; returns its number."""
        if self._count == len(self._signatures):
            self._grow()
        number = self._count
        slots = self._slots(signature)
        self._signatures[number] = signature
        self._earlier[number] = self._latest[self._band, slots]
        self._latest[self._band, slots] = number
        self._count += 1
        return number

    def _slots(self, signatures: Any) -> Any:
        """By band: the slot of its hash."""
        bands = signatures.reshape(*signatures.shape[:-1], -1)[..., : _BANDS * _ROWS]
        bands = bands.reshape(*signatures.shape[:-1], _BANDS, _ROWS).astype(np.uint64)
        mixed = np.zeros(bands.shape[:-1], dtype=np.uint64)
        for row in range(_ROWS):
            mixed = (mixed ^ bands[..., row]) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(29)
        return (mixed % np.uint64(self._latest.shape[1])).astype(np.int64)

    def _grow(self) -> None:
        size = 2 * self._count
        for name, fill in (("_signatures", 0), ("_earlier", _FREE)):
            old = getattr(self, name)
            new = np.full((size, old.shape[1]), fill, dtype=old.dtype)
            new[: self._count] = old
            setattr(self, name, new)
        self._latest = np.full((_BANDS, size), _FREE, dtype=np.int32)
        slots = self._slots(self._signatures[: self._count])
        for band in range(_BANDS):
            order = np.argsort(slots[:, band], kind="stable")
            sorted_slots = slots[order, band]
            follows = sorted_slots[1:] == sorted_slots[:-1]
            self._earlier[order[:1], band] = _FREE
            self._earlier[order[1:], band] = np.where(follows, order[:-1], _FREE)
            last = np.append(~follows, True)
            self._latest[band, sorted_slots[last]] = order[last]
