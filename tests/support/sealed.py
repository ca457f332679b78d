"""A command in a mount namespace as a container has it: only a few folders can be written, and no rights are held.

Needs root and the right to make such a namespace.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterable
from pathlib import Path

ACCOUNT = 10001  # of the image


def can_seal() -> bool:
    """Whether this machine lets us."""
    if os.geteuid() != 0:
        return False
    probe = ["unshare", "--mount", "sh", "-c", "mount -o remount,bind,ro /"]
    try:
        return subprocess.run(probe, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def sealed(words: list[str], writable: Iterable[Path], programs: Iterable[Path]) -> list[str]:
    """The command that runs ``words`` as the account of the image, where only ``writable`` folders can be written.
    ``programs`` are folders that the account must reach, though the folders above them may be closed to it."""
    lines = ["set -e", *(f"mount --bind {_quoted(place)} {_quoted(place)}" for place in writable)]
    behind: dict[Path, set[Path]] = {}
    for program in programs:
        closed = next((each for each in reversed(program.parents) if not each.stat().st_mode & 0o001), None)
        if closed is not None:
            behind.setdefault(closed, set()).add(program)
    for closed, kept in behind.items():
        lines.append("mount -t tmpfs tmpfs /mnt")
        for number, program in enumerate(sorted(kept)):
            lines += [f"mkdir /mnt/{number}", f"mount --bind {_quoted(program)} /mnt/{number}"]
        lines.append(f"mount -t tmpfs -o mode=755 tmpfs {_quoted(closed)}")
        for number, program in enumerate(sorted(kept)):
            lines += [f"mkdir -p {_quoted(program)}", f"mount --move /mnt/{number} {_quoted(program)}"]
        lines.append("umount /mnt")
    lines.append("mount -o remount,bind,ro /")
    account = f"--reuid {ACCOUNT} --regid {ACCOUNT} --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all"
    lines.append(f'exec setpriv {account} "$@"')
    return ["unshare", "--mount", "sh", "-c", "\n".join(lines), "sh", *words]


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
