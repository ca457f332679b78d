"""Whether a warehouse can be written and read."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

from regraft.domain.errors import UnavailableError
from regraft.infra.iceberg.store import store_properties

_CONTENT = b"regraft"


def probe(warehouse: str) -> None:
    """Write a small file to a warehouse, read it back, and remove it.

    A local folder that is not there is not made: then the nearest folder above it must be writable. Raises
    UnavailableError with the reason.
    """
    if "://" not in warehouse:
        _probe_folder(Path(warehouse).absolute())
        return
    from pyiceberg.io import load_file_io

    location = f"{warehouse.rstrip('/')}/.probe-{uuid4().hex}"
    try:
        io = load_file_io({"warehouse": warehouse, **store_properties(warehouse)}, location)
        with io.new_output(location).create() as stream:
            stream.write(_CONTENT)
        with io.new_input(location).open() as stream:
            same = stream.read() == _CONTENT
        io.delete(location)
    except (OSError, ValueError, ModuleNotFoundError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnavailableError(f"The warehouse {warehouse} cannot be written and read: {reason}") from error
    if not same:
        raise UnavailableError(f"The warehouse {warehouse} gives back other bytes than were written to it.")


def _probe_folder(folder: Path) -> None:
    if not folder.exists():
        above = next(parent for parent in folder.parents if parent.exists())
        if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
            raise UnavailableError(f"The warehouse {folder} cannot be made: {above} cannot be written.")
        return
    file = folder / f".probe-{uuid4().hex}"
    try:
        file.write_bytes(_CONTENT)
        same = file.read_bytes() == _CONTENT
        file.unlink()
    except OSError as error:
        raise UnavailableError(f"The warehouse {folder} cannot be written and read: {error.strerror}.") from error
    if not same:
        raise UnavailableError(f"The warehouse {folder} gives back other bytes than were written to it.")
