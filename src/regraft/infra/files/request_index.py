"""Requests by their ids, on disk: a batch's input may be larger than memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import Any, Self

from regraft.domain.ids import Digest, canonical_json, digest_json, parse_json


@dataclass(slots=True)
class _RecordPosition:
    source: str
    start: int
    length: int
    digest: Digest
    several: bool = False
    used: bool = False


class RequestIndex:
    """Lines of JSON by an id, in a temporary file, each from a ``source``. Equal lines of one id are one."""

    def __init__(self) -> None:
        self._file = TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._places: dict[str, _RecordPosition] = {}
        self._end = 0
        self._used: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, key: str, line: dict[str, Any], source: str) -> None:
        """Keep a line."""
        digest = digest_json(line)
        known = self._places.get(key)
        if known is not None:
            known.several = known.several or known.digest != digest
            return
        packed = canonical_json(line).encode()
        self._file.seek(self._end)
        self._file.write(packed)
        self._places[key] = _RecordPosition(source, self._end, len(packed), digest)
        self._end += len(packed)

    def use(self, key: str) -> dict[str, Any] | None:
        """The line of an id, which counts as used; None: there is none. Raises KeyError where there are several."""
        place = self._places.get(key)
        if place is None:
            return None
        place.used = True
        self._used.add(place.source)
        if place.several:
            raise KeyError(key)
        self._file.seek(place.start)
        line: dict[str, Any] = parse_json(self._file.read(place.length))
        return line

    def is_used(self, key: str) -> bool:
        """Whether the line of an id was asked for."""
        place = self._places.get(key)
        return place is not None and place.used

    def is_source_used(self, source: str) -> bool:
        """Whether any line of a source was asked for."""
        return source in self._used

    def unused(self) -> Iterator[tuple[str, str]]:
        """Ids and sources of lines that were not requested."""
        return ((key, place.source) for key, place in self._places.items() if not place.used)
