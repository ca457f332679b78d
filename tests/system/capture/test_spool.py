"""The spool keeps what it acknowledged: over kills, torn writes, full disks and restarts."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from regraft.infra.spool.writer import Spool, SpoolFullError
from support.waiting import until

WRITER = """
import os, sys
from pathlib import Path
from regraft.infra.spool.writer import Spool
spool = Spool(Path(sys.argv[1]), segment_bytes=64 * 1024)
number = 0
while True:
    payload = number.to_bytes(8, "big") + os.urandom(number * 37 % 3000)
    spool.append(payload)
    os.write(1, number.to_bytes(8, "big"))
    number += 1
"""


def read_all(reader, **limits):
    records = []
    while (pack := reader.read_pack(**limits)) is not None:
        records += pack.records
        reader.acknowledge(pack)
    return records


def test_a_prepared_record_is_read_from_its_adoption_on_in_the_order_of_adoption(tmp_path):
    spool = Spool(tmp_path)
    spool.append(b"one")
    prepared = [spool.prepare([b"x" * 100, b"large"]), spool.prepare([b"not adopted"])]
    spool.append(b"two")
    assert spool.waiting_bytes == len(spool._path(1).read_bytes())
    spool.adopt(prepared[0])
    spool.append(b"three")
    assert spool.waiting_bytes == sum(path.stat().st_size for path in spool.home.glob("*.seg"))
    prepared[1].discard()
    assert read_all(spool) == [b"one", b"two", b"x" * 100 + b"large", b"three"]
    assert spool.waiting_bytes == 0
    assert list(spool.home.glob("*.part")) == []
    spool.close()


def test_a_record_that_a_killed_process_had_only_prepared_is_not_there(tmp_path):
    program = (
        "import os, sys; from pathlib import Path; from regraft.infra.spool.writer import Spool\n"
        "spool = Spool(Path(sys.argv[1])); spool.append(b'one'); spool.adopt(spool.prepare([b'two']))\n"
        "spool.prepare([b'three']); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False).returncode == -signal.SIGKILL
    successor = Spool(tmp_path)
    (orphan,) = successor.orphans()
    assert read_all(orphan) == [b"one", b"two"]
    orphan.remove()
    assert list(tmp_path.iterdir()) == [successor.home]
    successor.close()


def test_a_prepared_record_beyond_the_limit_is_refused_and_leaves_nothing(tmp_path):
    spool = Spool(tmp_path, limit_bytes=1000)
    late = spool.prepare([b"x" * 600])
    spool.append(b"y" * 600)
    with pytest.raises(SpoolFullError):
        spool.adopt(late)
    with pytest.raises(SpoolFullError):
        spool.prepare([b"x" * 600])
    assert list(spool.home.glob("*.part")) == []
    assert read_all(spool) == [b"y" * 600]
    spool.close()


def test_records_come_back_in_order_over_many_segments(tmp_path):
    spool = Spool(tmp_path, segment_bytes=1000)
    wanted = [os.urandom(size % 400) for size in range(0, 4000, 13)]
    for payload in wanted:
        spool.append(payload)
    assert read_all(spool, max_records=7, max_bytes=900) == wanted
    assert spool.waiting_bytes == 0
    assert len(list(spool.home.glob("*.seg"))) == 1  # delivered segments are deleted
    spool.append(b"more")
    assert read_all(spool) == [b"more"]
    spool.close()
    assert list(tmp_path.iterdir()) == []


def test_the_very_same_pack_comes_again_until_it_is_acknowledged(tmp_path):
    spool = Spool(tmp_path)
    spool.append(b"one")
    assert spool.read_pack().records == [b"one"]
    spool.append(b"two")
    assert spool.read_pack().records == [b"one"]
    spool.close()
    successor = Spool(tmp_path)
    (orphan,) = successor.orphans()
    pack = orphan.read_pack()
    assert pack.records == [b"one"]
    orphan.acknowledge(pack)
    assert read_all(orphan) == [b"two"]
    orphan.remove()
    successor.close()


def test_a_record_larger_than_the_pack_still_comes(tmp_path):
    spool = Spool(tmp_path)
    large = os.urandom(3 << 20)
    spool.append(large)
    spool.append(b"small")
    assert spool.read_pack(max_bytes=1000).records == [large]
    assert read_all(spool, max_bytes=1000) == [large, b"small"]
    spool.close()


def test_everything_acknowledged_survives_kill_9(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    said = child.stdout.read(8 * 500)
    time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    said += child.stdout.read()
    child.stdout.close()
    child.wait()
    acknowledged = len(said) // 8

    successor = Spool(tmp_path)
    (orphan,) = successor.orphans()
    assert list(successor.orphans()) == []  # locked: no one else may drain it
    numbers = [int.from_bytes(record[:8], "big") for record in read_all(orphan)]
    assert numbers == list(range(len(numbers)))
    assert acknowledged <= len(numbers) <= acknowledged + 1  # one may be written and not yet said
    assert acknowledged >= 500
    orphan.remove()
    successor.close()
    assert list(tmp_path.iterdir()) == []


def test_the_spool_of_a_living_process_is_no_orphan(tmp_path):
    first, second = Spool(tmp_path), Spool(tmp_path)
    assert list(first.orphans()) == []
    assert list(second.orphans()) == []
    first.close()
    second.close()


@pytest.mark.parametrize("missing", [1, 5, 11, 12, 13, 100])
def test_a_torn_record_at_the_end_is_skipped(tmp_path, missing):
    spool = Spool(tmp_path, segment_bytes=500)
    for number in range(6):
        spool.append(bytes([number]) * 200)
    spool.close()
    successor = Spool(tmp_path)
    last = sorted((tmp_path / spool.instance).glob("*.seg"))[-1]
    with last.open("r+b") as file:
        file.truncate(last.stat().st_size - missing)
    (orphan,) = successor.orphans()
    assert read_all(orphan) == [bytes([number]) * 200 for number in range(5)]
    orphan.remove()
    successor.close()


def test_damage_inside_a_segment_costs_only_the_damaged_record(tmp_path):
    spool = Spool(tmp_path)
    wanted = [bytes([number]) * 200 for number in range(20)]
    for payload in wanted:
        spool.append(payload)
    spool.close()
    (segment,) = (tmp_path / spool.instance).glob("*.seg")
    raw = bytearray(segment.read_bytes())
    raw[5 * 212 + 4 : 5 * 212 + 60] = os.urandom(56)  # length, checksum and some of record 5
    segment.write_bytes(raw)
    successor = Spool(tmp_path)
    (orphan,) = successor.orphans()
    assert read_all(orphan, max_records=4) == wanted[:5] + wanted[6:]
    assert orphan.damaged_bytes >= 212
    orphan.remove()
    successor.close()


def test_the_limit_refuses_and_delivery_makes_room(tmp_path):
    spool = Spool(tmp_path, segment_bytes=1000, limit_bytes=5000)
    for _ in range(16):
        spool.append(b"x" * 300)
    with pytest.raises(SpoolFullError, match="full"):
        spool.append(b"x" * 300)
    assert len(read_all(spool)) == 16
    spool.append(b"again")
    assert read_all(spool) == [b"again"]
    spool.close()


def test_a_full_disk_refuses_and_leaves_no_half_record(tmp_path):
    import resource

    spool = Spool(tmp_path)
    spool.append(b"a" * 1000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, before[1]))
    try:
        with pytest.raises(SpoolFullError, match="cannot be written"):
            spool.append(b"b" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    spool.append(b"c" * 1000)
    assert read_all(spool) == [b"a" * 1000, b"c" * 1000]
    spool.close()


def test_a_broken_cursor_repeats_and_loses_nothing(tmp_path):
    spool = Spool(tmp_path)
    for number in range(10):
        spool.append(bytes([number]))
    spool.acknowledge(spool.read_pack(max_records=4))
    spool.close()
    cursor = tmp_path / spool.instance / "cursor"
    cursor.write_bytes(b"\x01" * len(cursor.read_bytes()))
    successor = Spool(tmp_path)
    (orphan,) = successor.orphans()
    assert read_all(orphan) == [bytes([number]) for number in range(10)]
    orphan.remove()
    successor.close()


def test_a_failed_sync_is_said_and_no_later_record_trusts_that_segment(tmp_path, monkeypatch):
    spool = Spool(tmp_path)
    real = os.fdatasync

    def broken(descriptor):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", broken)
    spool.append(b"before")
    until(lambda: spool.sync_failures)
    assert "Input/output error" in spool.sync_error
    spool.append(b"after")
    assert spool.written[0] == 2, "the record went to a segment that a sync has failed for"
    monkeypatch.setattr(os, "fdatasync", real)
    until(lambda: spool.sync_error is None)
    assert read_all(spool) == [b"before", b"after"]
    spool.close()


def test_a_spool_that_could_not_be_synced_recovers_without_another_record(tmp_path, monkeypatch):
    spool = Spool(tmp_path)
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "broken")))
    spool.append(b"one")
    until(lambda: spool.sync_error)
    monkeypatch.setattr(os, "fdatasync", real)
    until(lambda: spool.sync_error is None)
    assert read_all(spool) == [b"one"]
    spool.close()


def test_the_folders_of_a_spool_are_synced_when_they_get_a_new_file(tmp_path, monkeypatch):
    synced = []
    real = os.fsync

    def noted(descriptor):
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    spool = Spool(tmp_path, segment_bytes=1000)
    spool.append(bytes(900))
    until(lambda: {str(tmp_path), str(spool.home)} <= set(synced))
    synced.clear()
    spool.append(bytes(900))
    until(lambda: str(spool.home) in synced)
    assert str(tmp_path) not in synced
    spool.close()
