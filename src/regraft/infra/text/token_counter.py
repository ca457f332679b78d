"""Counts of tokens by a named tokenizer: one that quicktok ships, or a ``tokenizer.json`` file. Nothing is fetched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from regraft.domain.errors import ConfigError

NAMED = {"cl100k": "cl100k_base", "o200k": "o200k_base", "llama3": "llama3", "qwen": "qwen3"}
_LONGEST = 100_000  # characters at once for a tokenizer of the user's: bounds its memory


def token_counter(name: str) -> Callable[[str], int]:
    """What counts the tokens of a text, without special tokens. Raises ConfigError for an unknown tokenizer."""
    if name in NAMED:
        from quicktok import get_encoding

        count: Callable[[str], int] = get_encoding(NAMED[name]).count
        return count
    if not Path(name).is_file():
        known = ", ".join(NAMED)
        raise ConfigError(f"There is no tokenizer {name!r}: name one of {known}, or a tokenizer.json file.")
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(name)
    except Exception as error:  # the library raises nothing more specific
        raise ConfigError(f"The tokenizer {name} cannot be read: {error}.") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def count_by_file(text: str) -> int:
        pieces = (text[start : start + _LONGEST] for start in range(0, len(text), _LONGEST))
        return sum(len(tokenizer.encode(piece, add_special_tokens=False).ids) for piece in pieces)

    return count_by_file
