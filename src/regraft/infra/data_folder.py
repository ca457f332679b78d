"""The data folder: it contains the content of calls, so only its owner can open it.

PostgreSQL refuses to run as root, and then runs as another account in its own folder below. So where root makes
the data folder, the group of that account may pass through it, and read nothing in it: that is the least which works.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
from pathlib import Path

SERVER_ACCOUNT = "nobody"  # whose part root's PostgreSQL takes
OWN_FOLDERS = ("run", "logs", "spool", "nats", "dagster", "warehouse")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_data_folder(path: Path) -> Path:
    """Make the folder if there is none, and close the folders in it that an earlier version left open.

    An existing folder keeps its mode: its owner may have opened it for a reason.
    """
    if not path.exists():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.geteuid() == 0:
            let_postgres_traverse(path)
    for name in OWN_FOLDERS:
        with contextlib.suppress(OSError):  # not there, or of another account
            close(path / name)
    return path


def let_postgres_traverse(path: Path) -> None:
    """As root: the account that PostgreSQL runs as may pass through a folder, and no other account."""
    os.chown(path, -1, pwd.getpwnam(SERVER_ACCOUNT).pw_gid)
    path.chmod(0o710)


def close(path: Path) -> None:
    """Leave a folder to its owner. Raises OSError."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & _OTHERS:
        path.chmod(mode & ~_OTHERS)


def closing_command(path: Path) -> str:
    """What a user types to close a folder, so that PostgreSQL continues where root starts it."""
    return (
        f"chgrp {pwd.getpwnam(SERVER_ACCOUNT).pw_gid} {path} && chmod 710 {path}"
        if os.geteuid() == 0
        else f"chmod 700 {path}"
    )


def is_open(path: Path) -> bool:
    """Whether other accounts can list a folder, or open files in it by name."""
    try:
        state = path.stat()
    except OSError:
        return False
    server = os.geteuid() == 0 and state.st_gid == pwd.getpwnam(SERVER_ACCOUNT).pw_gid
    return bool(stat.S_IMODE(state.st_mode) & (_OTHERS & ~stat.S_IXGRP if server else _OTHERS))
