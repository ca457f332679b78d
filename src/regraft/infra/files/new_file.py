"""Create a text file, completely or not at all."""

from __future__ import annotations

from pathlib import Path


def write_new_text(path: Path, text: str) -> None:
    """Write a file. Raises FileExistsError where there is one, OSError with its name where it cannot be written whole:
    then nothing of it is left, as a part would be taken for the whole."""
    left = memoryview(text.encode("utf-8"))
    with path.open("xb", buffering=0) as file:
        try:
            while left:
                left = left[file.write(left) :]
        except OSError as error:
            path.unlink(missing_ok=True)
            raise OSError(error.errno, error.strerror, str(path)) from error
