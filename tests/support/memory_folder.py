"""The folder of a test run's files: in memory if there is enough space.

Servers that sync what they acknowledge then wait for no disk. A killed process loses nothing by it: only a machine that
loses its power does, which no test can do. What a test asks of a real disk it finds in the fixture ``disk_folder``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")
_PREFIX = "regraft-tests."
ROOM = 6 << 30  # bytes: two workers use a fourth of it


def use_memory() -> Path | None:
    """Make the folder of temporary files one in memory, for this process and those that it starts; gives it.

    None: TMPDIR names another, or there is no room. What killed runs left there goes.
    """
    if "TMPDIR" in os.environ or not _fits():
        return None
    for left in _MEMORY.glob(f"{_PREFIX}*"):
        if not Path("/proc", left.suffix.removeprefix(".")).exists():
            shutil.rmtree(left, ignore_errors=True)
    folder = _MEMORY / f"{_PREFIX}{os.getpid()}"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)  # the account of an embedded PostgreSQL goes through it
    os.environ["TMPDIR"] = str(folder)
    tempfile.tempdir = None
    return folder


def _fits() -> bool:
    with contextlib.suppress(OSError):
        memory = os.statvfs(_MEMORY)
        runs_programs = not memory.f_flag & os.ST_NOEXEC  # PostgreSQL's are copied to where its account may go
        free = min(memory.f_bavail * memory.f_frsize, _available())
        return runs_programs and os.access(_MEMORY, os.W_OK) and free >= ROOM
    return False


def _available() -> int:
    """Bytes of memory that can be had without swapping."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 0
