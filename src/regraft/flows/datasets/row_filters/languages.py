"""The language of answers. Answers that are short, or all code, have none, and are kept."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property

from regraft.domain.datasets.messages import Message, RowRefusal, text_of
from regraft.domain.datasets.rows import Row
from regraft.infra.text.language_detector import LanguageDetector

UNKNOWN = "unknown"
_READ = 2_000  # characters of a row that are looked at
_LEAST_LETTERS = 20
_CERTAIN = 0.5
_FENCE = re.compile(r"^[ \t]{0,3}(?:```|~~~)", re.MULTILINE)
_CODE = re.compile(r"`[^`\n]{1,200}`|https?://\S{1,500}|<[A-Z_]{2,20}_[0-9a-f]{8}>|\S*[_{}()\[\]<>=;/\\|@#$]\S*")
_LEARNED = ("messages", "completion", "chosen")  # whose answers count


class Languages:
    """Refuses rows whose answers are, for certain, in a language that the recipe does not name."""

    def __init__(self, wanted: tuple[str, ...]) -> None:
        self._wanted = frozenset(code.lower() for code in wanted)
        self._counts: Counter[str] = Counter()

    @cached_property
    def _detector(self) -> LanguageDetector:
        return LanguageDetector()

    def check(self, row: Row) -> Row | RowRefusal:
        """Refuse a row in another language."""
        language = self._language(row)
        self._counts[language] += 1
        if language != UNKNOWN and language not in self._wanted:
            return RowRefusal("other_language", language)
        return row

    def _language(self, row: Row) -> str:
        prose = " ".join(_prose(row))
        letters = sum(map(str.isalpha, prose))
        if letters < _LEAST_LETTERS and not (letters >= _LEAST_LETTERS // 4 and not prose.isascii()):
            return UNKNOWN
        language, certainty = self._detector.detect(prose)
        return language if certainty >= _CERTAIN else UNKNOWN

    def replaced(self, row: Row) -> Row:
        """Nothing is replaced."""
        return row

    def report(self) -> Mapping[str, object]:
        """Rows by language, those that were refused included."""
        ordered = sorted(self._counts.items(), key=lambda each: (-each[1], each[0]))
        return {"languages": {"wanted": sorted(self._wanted), "rows": dict(ordered)}}

    def links(self) -> list[tuple[int, int]]:
        """No links."""
        return []


def _prose(row: Row) -> Iterator[str]:
    """The words of the answers, the last answer first, until enough is read."""
    left = _READ
    for message in _answers(row):
        text = _without_blocks(text_of(message)[: 4 * _READ])
        words = " ".join(_CODE.sub(" ", text).split())[:left]
        if words:
            yield words
        left -= len(words)
        if left <= 0:
            return


def _answers(row: Row) -> Iterator[Message]:
    for name in _LEARNED:
        for message in reversed(getattr(row, name)):
            if message["role"] == "assistant" and message["weight"] != 0:
                yield message


def _without_blocks(text: str) -> str:
    """Text without its fenced blocks; one that is not closed goes to the end."""
    pieces = _FENCE.split(text)
    return "\n".join(pieces[::2])
