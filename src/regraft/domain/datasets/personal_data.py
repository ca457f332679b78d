"""Personal data that has its own form: addresses of e-mail and numbers of payment cards. Linear in a text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from regraft.domain.datasets.secrets import Finding

_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]{1,128}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w])")
_CARD = re.compile(r"(?<![\d.\w])[3-6]\d{3}(?:[ -]?\d){8,15}(?![\w])")


def find_written_data(text: str) -> Iterator[Finding]:
    """E-mail addresses and card numbers with a right check digit."""
    if "@" in text:
        yield from (Finding("EMAIL", *match.span()) for match in _EMAIL.finditer(text))
    for match in _CARD.finditer(text):
        if _checks([int(digit) for digit in match.group() if digit.isdecimal()]):
            yield Finding("CARD", *match.span())


def _checks(digits: list[int]) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812)."""
    doubled = [2 * digit - 9 if digit > 4 else 2 * digit for digit in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
