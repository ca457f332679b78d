"""Write a file that a command makes for the user: only where there is none."""

from __future__ import annotations

from pathlib import Path

from regraft.domain.errors import UsageError


def write_new_file(path: Path, text: str) -> bool:
    """Write a file, or print the text where the path is ``-``; whether a file was written.

    Raises UsageError where there is one already, or where it cannot be written.
    """
    if str(path) == "-":
        print(text, end="")
        return False
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} exists. Name another file with --to.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error
    return True
