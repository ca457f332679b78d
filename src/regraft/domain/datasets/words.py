"""Words of texts and runs of them: what near-duplicates and evaluation prompts are compared by."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from regraft.domain.datasets.content import all_messages
from regraft.domain.datasets.messages import Message, text_of
from regraft.domain.datasets.rows import Row

# Scripts that are written without spaces (Thai, Lao, Khmer, kana, Han, Hangul): each character counts as a word.
_UNSPACED = "\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\U00020000-\U0002fa1f"
_ASCII = "".join(each.lower() if each.isalnum() else " " for each in map(chr, range(128)))
_WORD = re.compile(f"[{_UNSPACED}]|[^\\W_{_UNSPACED}]+")


def words(text: str) -> list[str]:
    """The words of a text, without case, accents' encoding, punctuation and blanks."""
    if text.isascii():  # the same words, in a quarter of the time
        return text.translate(_ASCII).split()
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def runs(found: list[str], length: int) -> Iterator[str]:
    """Every run of ``length`` words, joined by blanks; of fewer words the one run that they are."""
    if len(found) <= length:
        return iter([" ".join(found)] if found else [])
    return map(" ".join, zip(*(found[start:] for start in range(length)), strict=False))


def spoken(row: Row) -> Iterator[str]:
    """The texts of a row that differ between conversations: those of its messages, but instructions, and its calls."""
    return (
        text
        for message in all_messages(row)
        if message["role"] not in ("system", "developer")
        for text in texts(message)
    )


def texts(message: Message) -> Iterator[str]:
    """What a message says: its reasoning, its text and the arguments of its calls."""
    if message["reasoning"]:
        yield message["reasoning"]
    if text := text_of(message):
        yield text
    for call in message["tool_calls"]:
        yield call["function"]["arguments"]
