"""The numbers that every process has: its version, its processor time, memory and open files, its facts and spans."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from regraft.infra.telemetry.emitter import publisher
from regraft.infra.telemetry.metrics import (
    BUILD_INFO,
    FACTS_DROPPED,
    FACTS_PUBLISHED,
    PROCESS_CPU,
    PROCESS_FDS,
    PROCESS_MAX_FDS,
    PROCESS_MEMORY,
    PROCESS_START,
    SPANS_DROPPED,
    SPANS_EXPORTED,
    of_process,
)
from regraft.infra.telemetry.numbers import Numbers, Sample, families
from regraft.infra.telemetry.tracer import exporter
from regraft.version import __version__

_UTIME, _STIME, _CUTIME, _CSTIME, _START, _RSS = 11, 12, 13, 14, 19, 21  # in /proc/PID/stat, behind the name


def own_samples(children: Iterable[int] = ()) -> list[Sample]:
    """What this process uses, with these of its ``children`` while they live; where there is no /proc: its version."""
    samples = [Sample(BUILD_INFO.name, 1.0, (__version__,))]
    if (facts := publisher()) is not None:
        samples += [Sample(FACTS_PUBLISHED.name, facts.published), Sample(FACTS_DROPPED.name, facts.dropped)]
    if (spans := exporter()) is not None:
        samples += [Sample(SPANS_EXPORTED.name, spans.exported), Sample(SPANS_DROPPED.name, spans.dropped)]
    try:
        own = _stat(os.getpid())
        booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    except (OSError, AttributeError):
        return samples
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    # With the children that have ended: they were counted while they lived, and a counter does not go back.
    used = sum(own[field] for field in (_UTIME, _STIME, _CUTIME, _CSTIME))
    memory, files = own[_RSS], _open_files(os.getpid())
    for child in children:
        try:
            stat = _stat(child)
        except OSError:
            continue
        used += stat[_UTIME] + stat[_STIME]
        memory += stat[_RSS]
        files += _open_files(child)
    return [
        *samples,
        Sample(PROCESS_CPU.name, used / ticks),
        Sample(PROCESS_MEMORY.name, memory * page),
        Sample(PROCESS_START.name, booted + own[_START] / ticks),
        Sample(PROCESS_FDS.name, files),
        Sample(PROCESS_MAX_FDS.name, resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
    ]


class OwnNumbers(Collector):
    """For the registry of a process."""

    def collect(self) -> Iterator[Metric]:
        yield from families(Numbers(own_samples(), []), of_process("every"))


def _stat(pid: int) -> list[int]:
    """The fields of /proc/PID/stat from the state on, which is 0 here. Raises OSError."""
    behind_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [0, *map(int, behind_name[1:])]


def _open_files(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 the quickest way, and the names are not wanted
    except OSError:
        return 0
