"""Faults of the disk while DuckDB writes, as errors that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from regraft.domain.errors import UnavailableError

_OF_THE_DISK = ("could not write", "could not sync", "no space", "failed to offload", "disk", "too large")


@contextmanager
def faults_of_the_disk(file: Path) -> Iterator[None]:
    """Raises UnavailableError where a file, or what DuckDB puts beside it, could not be written."""
    import duckdb  # slow to import, and not every command needs it

    try:
        yield
    except duckdb.Error as error:
        if fault := fault_of_the_disk(file, error):
            raise fault from error
        raise


def fault_of_the_disk(file: Path, error: Exception) -> UnavailableError | None:
    """What to say of an error of DuckDB's that a full or broken disk gives; None of any other."""
    told = [line for line in str(error).splitlines() if any(word in line.casefold() for word in _OF_THE_DISK)]
    if not told:
        return None
    reason = told[0].removesuffix(".")
    return UnavailableError(f"{file} cannot be written: {reason}. Free some disk space, and give the command again.")
