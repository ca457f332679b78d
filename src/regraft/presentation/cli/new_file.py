"""Write a file that a command makes for the user: only where there is none."""

from __future__ import annotations

from pathlib import Path

from regraft.domain.errors import UsageError
from regraft.infra.files.new_file import write_new_text


def write_new_file(path: Path, text: str) -> bool:
    """Write a file, or print the text where the path is ``-``; whether a file was written.

    Raises UsageError where there is one already, or where it cannot be written.
    """
    if str(path) == "-":
        print(text, end="")
        return False
    try:
        write_new_text(path, text)
    except FileExistsError:
        raise UsageError(f"{path} exists. Name another file with --to.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error
    return True
