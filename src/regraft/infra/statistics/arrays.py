"""Vectors in Arrow columns and in bytes, as arrays of numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from regraft.infra.statistics.clustering import Vectors

_STORED = np.dtype("<f4")


def matrix_of(vectors: pa.ChunkedArray) -> Vectors:
    """Vectors of one length, at least one of them, as float32 (n, d)."""
    column = vectors.combine_chunks()
    values = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    return np.ascontiguousarray(values.reshape(len(column), -1))


def to_bytes(vector: Vectors) -> bytes:
    """One vector as little-endian 32-bit floats."""
    return vector.astype(_STORED).tobytes()


def from_bytes(vectors: Sequence[bytes]) -> Vectors:
    """Vectors of one length as float32 (n, d)."""
    return np.array([np.frombuffer(one, dtype=_STORED) for one in vectors], dtype=np.float32)


def mean_of(vectors: pa.ChunkedArray) -> bytes:
    """The mean of vectors, at length 1, as bytes."""
    mean = matrix_of(vectors).astype(np.float64).sum(axis=0)
    return to_bytes(mean / max(float(np.linalg.norm(mean)), 1e-12))
