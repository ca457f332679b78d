"""Logs of services stay small, and no line is lost when they are rotated, also by a process that is killed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from regraft.infra.embedded.leases import Lease
from regraft.infra.embedded.log_rotation import copies_of, rotate
from regraft.infra.embedded.process import ChildProcess, LogLimits
from regraft.infra.files.service_logs import empty_logs
from support.waiting import until

_WRITER = """
import os, sys, time
log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
number = 0
while number < 40_000:
    os.write(log, b"%d a line as a server would write it\\n" % number)
    number += 1
"""
_ROTATOR = """
import sys
from pathlib import Path
from regraft.infra.embedded.leases import Lease
from regraft.infra.embedded.log_rotation import rotate
print("ready", flush=True)
rotate(Path(sys.argv[1]), 1_000_000, 100)
"""


def append(log: Path, first: int, count: int) -> int:
    """Write numbered lines; the number of the next one."""
    with log.open("a") as writer:
        writer.writelines(f"{number} a line as a server would write it\n" for number in range(first, first + count))
    return first + count


def lines_of(log: Path) -> list[int]:
    """The numbers of all lines in a log and its copies, the oldest first."""
    parts = [*reversed(copies_of(log)), log]
    return [int(line.split()[0]) for line in b"".join(part.read_bytes() for part in parts).splitlines()]


@pytest.fixture(params=["disk", "memory"])
def folder(request: pytest.FixtureRequest, disk_folder: Path) -> Iterator[Path]:
    """On a file system that can cut off the beginning of a file, as far as there is one, and on one that cannot."""
    if request.param == "disk":
        yield disk_folder
        return
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("there is no file system in memory at /dev/shm")
    made = Path(tempfile.mkdtemp(dir="/dev/shm"))
    yield made
    shutil.rmtree(made)


def test_a_large_log_moves_to_its_copies_of_which_the_newest_are_kept(folder: Path) -> None:
    log, number = folder / "nats.log", 0
    for _ in range(5):
        number = append(log, number, 2_000)
        assert rotate(log, 50_000, 3)
        assert not rotate(log, 50_000, 3)
    assert [path.name for path in copies_of(log)] == ["nats.log.1", "nats.log.2", "nats.log.3"]
    text = b"".join(part.read_bytes() for part in [*reversed(copies_of(log)), log])
    kept = [int(line.split()[0]) for line in text.splitlines()[1:]]  # the first one may have lost its beginning
    assert kept == list(range(kept[0], 10_000))
    assert len(kept) > 5_900


def test_a_writer_that_goes_on_loses_no_line_where_the_file_system_can_cut_off_a_beginning(disk_folder: Path) -> None:
    log = disk_folder / "gateway.log"
    with subprocess.Popen([sys.executable, "-c", _WRITER, str(log)]) as writer:
        rotations = 0
        while writer.poll() is None:
            rotations += rotate(log, 10_000, 1_000)
    assert rotations > 3
    found = lines_of(log)
    if len(found) < 40_000:
        stat = subprocess.run(["stat", "-f", "-c", "%T", disk_folder], capture_output=True, text=True, check=False)
        if stat.stdout.strip() not in ("ext2/ext3", "xfs"):
            pytest.skip(f"{stat.stdout.strip()} cannot cut off the beginning of a file")
    assert found == list(range(40_000))


def test_a_rotation_that_is_killed_repeats_lines_and_loses_none(folder: Path) -> None:
    log, number = folder / "postgres.log", 0
    for attempt in range(12):
        number = append(log, number, 60_000)
        with subprocess.Popen([sys.executable, "-c", _ROTATOR, str(log)], stdout=subprocess.PIPE) as rotator:
            assert rotator.stdout is not None
            rotator.stdout.readline()
            time.sleep(attempt / 3_000)  # at another moment each time: it copies, syncs, renames and cuts in a few ms
            rotator.kill()
        parts = [path.read_bytes() for path in [*reversed(copies_of(log)), log]]
        found: set[int] = set()
        for text in [*parts, b"".join(parts)]:  # a line may begin in one file and end in the next
            found.update(int(line.split()[0]) for line in text.splitlines() if line[:1].isdigit())
        assert found >= set(range(number))


def test_the_keeper_rotates_the_log_of_what_it_keeps(tmp_path: Path) -> None:
    code = """
        import sys, time
        for number in range(4_000):
            print(number, "a line as a server would write it", flush=True)
        while not sys.stdin.read(1):
            print("again", flush=True)
            time.sleep(0.2)
    """
    log = tmp_path / "logs" / "chatty.log"
    limits = LogLimits(size=20_000, keep=2)
    child = ChildProcess(
        "chatty", [sys.executable, "-c", textwrap.dedent(code)], log, dict(os.environ), log_limits=limits
    )
    child.start()
    try:
        until(lambda: copies_of(log) and log.stat().st_size < limits.size)
        size = log.stat().st_size
        until(lambda: log.stat().st_size > size)  # the server continues in the same file
        assert child.tail().endswith("again")
    finally:
        child.stop()
    assert b"3999 a line" in b"".join(path.read_bytes() for path in [*copies_of(log), log])


def test_a_server_ends_when_its_data_folder_is_deleted(tmp_path: Path) -> None:
    users, lock = tmp_path / "run" / "quiet.users", tmp_path / "run" / "quiet.lock"
    users.mkdir(parents=True)
    lease = Lease(users, "a test")
    code = "import time; time.sleep(600)"
    child = ChildProcess(
        "quiet", [sys.executable, "-c", code], tmp_path / "logs" / "quiet.log", dict(os.environ), users=users, lock=lock
    )
    child.start()
    try:
        shutil.rmtree(tmp_path / "run")
        lease.drop()
        until(lambda: not child.alive())
    finally:
        child.stop()


def test_an_erasure_removes_what_was_rotated(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    for name in ("gateway.log", "gateway.log.1", "gateway.log.2", "gateway.log.rotating"):
        (logs / name).write_text("what a person said")
    assert empty_logs(tmp_path) == 4
    assert [(path.name, path.stat().st_size) for path in logs.iterdir()] == [("gateway.log", 0)]
