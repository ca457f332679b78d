"""Start a program on Daft, in the environment that holds it, and read what it wrote."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree, ignore_patterns
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq

import regraft.domain
from regraft.domain.errors import UnavailableError, UsageError
from regraft.infra.environment import is_plain

_log = logging.getLogger(__name__)

PROGRAM = "regraft.infra.daft.near_duplicates"
_RAY = re.compile(r"auto|local:[1-9]\d?|(?:ray://)?(?!local:)[^\s/]+:\d+")
# Credentials of object stores, and what operators set for Ray and Daft.
_MORE = ("AWS_", "AZURE_", "GOOGLE_", "GCS_", "RAY_", "DAFT_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_QUIET = {
    "DAFT_ANALYTICS_ENABLED": "0",
    "DO_NOT_TRACK": "true",
    "SCARF_NO_ANALYTICS": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "DAFT_PROGRESS_BAR": "0",
}


@dataclass(frozen=True, slots=True)
class Engine:
    """Daft: the Python that has it, and where it runs: on this machine, on ``local:N`` Ray nodes, or at an address."""

    python: Path
    ray: str = ""

    def __post_init__(self) -> None:
        if self.ray and not _RAY.fullmatch(self.ray):
            raise UsageError(f"{self.ray!r} is no Ray cluster. Give HOST:PORT, ray://HOST:PORT, auto or local:2.")
        if not os.access(self.python, os.X_OK):
            raise UsageError(
                f"There is no Python at {self.python}. Daft lives in an environment of its own: make it with "
                "`make scale`, or `python -m venv .venv-scale` and its `pip install -r requirements-scale.txt`."
            )

    @property
    def name(self) -> str:
        """What ran it, for people."""
        return f"daft on ray {self.ray}" if self.ray else "daft"


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """A row with what it takes to choose among its like; lengths are of what was said, without instructions."""

    row_id: str
    split: str
    label: str | None
    score: float
    words: int
    characters: int


@dataclass(frozen=True, slots=True)
class AlikeRows:
    """Two rows and the share of runs of words that they have in common."""

    row_id: str
    other_row_id: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Compared:
    """What the program found, in the order of ids, and its figures."""

    rows: list[ComparedRow]
    pairs: list[AlikeRows]
    figures: Mapping[str, int]


def compare(engine: Engine, files: Sequence[str], columns: Sequence[str], threshold: float, folder: Path) -> Compared:
    """Compare the rows of Parquet files. Intermediate files lie below ``folder``, which every node must reach.

    Raises UnavailableError when the program does not end well.
    """
    with TemporaryDirectory(prefix=".compare-", dir=folder) as made, TemporaryDirectory(prefix="regraft-") as private:
        work, place = Path(made).resolve(), Path(private)
        job = {"files": list(files), "columns": list(columns), "threshold": threshold, "to": str(work)}
        (place / "job.json").write_text(json.dumps({**job, "ray": engine.ray}), "utf-8")
        figures = _run(engine, place)
        rows = [ComparedRow(**row) for row in _table(work / "rows", ComparedRow)]
        pairs = [
            AlikeRows(min(ids), max(ids), pair["similarity"])
            for pair in _table(work / "pairs", AlikeRows)
            for ids in [(pair["row_id"], pair["other_row_id"])]
        ]
    rows.sort(key=lambda row: row.row_id)
    pairs.sort(key=lambda pair: (pair.row_id, pair.other_row_id))
    return Compared(rows, pairs, figures)


def _table(place: Path, kind: type) -> list[dict[str, Any]]:
    files = sorted(place.rglob("*.parquet"))
    return [row for file in files for row in pq.read_table(file, columns=list(kind.__slots__)).to_pylist()]  # type: ignore[attr-defined]


def _run(engine: Engine, place: Path) -> dict[str, int]:
    """Run the program of ``place / "job.json"``, with a copy of the source that it needs and nothing else of ours."""
    source = place / "source" / "regraft"
    ours = Path(regraft.domain.__file__).parent
    copytree(ours, source / "domain", ignore=ignore_patterns("__pycache__"))
    (source / "infra" / "daft").mkdir(parents=True)
    for package in (source, source / "infra", source / "infra" / "daft"):
        (package / "__init__.py").touch()
    (source / "infra" / "daft" / "near_duplicates.py").write_bytes(
        Path(__file__).with_name("near_duplicates.py").read_bytes()
    )
    environment = {
        name: value
        for name, value in os.environ.items()
        if (is_plain(name) and not name.startswith("PYTHON") and name != "VIRTUAL_ENV")
        or name.upper().startswith(_MORE)
    }
    environment |= {**_QUIET, "PYTHONPATH": str(source.parent)}
    command = [str(engine.python.absolute()), "-P", "-m", PROGRAM, str(place / "job.json")]
    status = _ended(command, place, environment)
    if status < 0:  # Daft was seen to crash, once in some dozens of runs; the job overwrites what it wrote
        _log.warning("%s ended by signal %s, and is started once more", engine.name, -status)
        status = _ended(command, place, environment)
    if status:
        said = (place / "log").read_text("utf-8", "replace").strip().splitlines()
        fatal = [line for line in said if line.startswith("Fatal Python error")]
        why = (fatal or said or [f"it ended with status {status}"])[-1][:500]
        raise UnavailableError(f"{engine.name} in {engine.python} did not compare the rows: {why}")
    done: dict[str, int] = json.loads((place / "done.json").read_text("utf-8"))
    return done


def _ended(command: list[str], place: Path, environment: Mapping[str, str]) -> int:
    """The status of a program that was run to its end; negative when a signal ended it."""
    with (place / "log").open("wb") as output:
        program = subprocess.Popen(command, cwd=place, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            return program.wait()
        except BaseException:
            program.terminate()  # it stops the Ray nodes that it started
            program.wait(30)
            raise
