"""The key of redaction: one file in the data folder, for its owner alone, and never part of a snapshot."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from regraft.domain.errors import ConfigError, UnavailableError

FILE = "redaction.key"
_BYTES = 32


def find_key(folder: Path) -> bytes | None:
    """The key in a data folder, None where there is none. Raises ConfigError for a file that is not a key."""
    path = folder / FILE
    try:
        text = path.read_text("ascii")
        key = bytes.fromhex(text)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnavailableError(f"The redaction key {path} cannot be read: {error.strerror}.") from error
    except ValueError:
        key = b""
    if len(key) != _BYTES:
        raise ConfigError(f"{path} is not a redaction key: it must hold {2 * _BYTES} hexadecimal digits.")
    return key


def find_or_make_key(folder: Path) -> bytes:
    """The key in a data folder; a new one where there is none. Of processes that make one at once, the first wins."""
    if key := find_key(folder):
        return key
    fresh = folder / f"{FILE}.{secrets.token_hex(8)}"
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(_BYTES))
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                (folder / FILE).hardlink_to(fresh)
        finally:
            fresh.unlink()
    except OSError as error:
        raise UnavailableError(f"The redaction key {folder / FILE} cannot be written: {error.strerror}.") from error
    found = find_key(folder)
    assert found is not None
    return found
