"""The owner's token: one file in the data folder. Anyone who can read the folder may do everything in the web UI.

Unlike other tokens it is kept as it is, because `regraft open` shows it again and again; the folder holds all that it
opens. When the file is deleted, what was signed in with it is signed out, and the next `regraft web` makes another.
"""

from __future__ import annotations

import os
import secrets
import stat
import time
from contextlib import suppress
from pathlib import Path

from regraft.domain.errors import ConfigError, UnavailableError
from regraft.infra.data_folder import make_data_folder
from regraft.infra.files.secret_file import LOOK_SECONDS
from regraft.infra.files.web_tokens import PREFIX

FILE = "web-owner-token"


class OwnerTokenFile:
    """The file in a data folder. It is looked at again every second."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._token: str | None = None
        self._looked = -LOOK_SECONDS

    def current(self) -> str | None:
        """The token, as it was within the last second; None where there is none.

        Raises ConfigError for a file that others can read or that holds no token, UnavailableError for one that cannot
        be read.
        """
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._token = self._read()
            self._looked = now
        return self._token

    def find_or_make(self) -> str:
        """The token; a new one where there is none. Of processes that make one at once, the first wins."""
        if found := self._read():
            return found
        make_data_folder(self.path.parent)
        fresh = self.path.with_name(f"{FILE}.{secrets.token_hex(8)}")
        try:
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(descriptor, "w") as file:
                    file.write(f"{PREFIX}{secrets.token_urlsafe(32)}\n")
                    file.flush()
                    os.fsync(file.fileno())
                with suppress(FileExistsError):
                    self.path.hardlink_to(fresh)
            finally:
                fresh.unlink()
        except OSError as error:
            raise UnavailableError(f"The token {self.path} cannot be written: {error.strerror}.") from error
        return self._read() or ""

    def _read(self) -> str | None:
        try:
            with self.path.open("rb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                text = file.read(200).decode("ascii", "replace").strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UnavailableError(f"The token {self.path} cannot be read: {error.strerror}.") from error
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(
                f"Other accounts can read the token {self.path}: delete it, and `regraft up` makes another."
            )
        if not text.startswith(PREFIX) or len(text) < 40:
            raise ConfigError(f"{self.path} holds no token: delete it, and `regraft up` makes another.")
        return text
