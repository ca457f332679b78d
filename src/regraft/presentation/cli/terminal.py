"""The terminal that commands print to: what was recorded or named by others cannot steer it."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

_ENDLESS = 1_000_000  # columns: no row is wider
_KEPT = {"\n", "\t"}
_DIRECTIONS = (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F)
_STEERING = {
    **{code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in _KEPT},
    **{code: f"\\u{code:04x}" for code in _DIRECTIONS},
}


def visible(text: str) -> str:
    """The text with characters that steer a terminal or turn the direction of what follows written as escapes."""
    return text.translate(_STEERING)


class Terminal(Console):
    """A console that shows control characters in place of obeying them; styles come from markup alone.

    In a pipe each row of a table or a tree is one line, whole: what reads it may cut it itself.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        """See Console."""
        if self.is_terminal or not any(isinstance(each, Table | Tree) for each in objects):
            super().print(*objects, **options)
            return
        width, self.width = self.width, _ENDLESS
        try:
            super().print(*objects, **options)
        finally:
            self.width = width

    def render_str(self, text: str, **options: Any) -> Text:
        """A text of ours or of others', as it is printed."""
        return super().render_str(visible(text), **options)
