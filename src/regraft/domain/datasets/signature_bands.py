"""How a MinHash signature is cut into bands, so that rows above a similarity share one (Leskovec et al. 2014, 3.4)."""

from __future__ import annotations

HASHES = 128  # at most, in a signature
_MISSED = 0.005  # the share of pairs right at the threshold that may share no band


def bands(threshold: float) -> tuple[int, int]:
    """(bands, hashes of a band): the widest bands, so the fewest needless comparisons, that find what is wanted."""
    for width in range(HASHES, 1, -1):
        count = HASHES // width
        if (1 - threshold**width) ** count <= _MISSED:
            return count, width
    return HASHES, 1
