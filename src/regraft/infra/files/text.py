"""The text of a file that the user named."""

from __future__ import annotations

from pathlib import Path

from regraft.domain.errors import UsageError


def read_text(path: Path) -> str:
    """The file's text. Raises UsageError when it cannot be read."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"The file {path} cannot be read: {reason}.") from error
