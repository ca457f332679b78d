"""The folder or object store that a warehouse is in: its address for PyIceberg, and its file system.

An object store is found by the variables that AWS's own tools read: ``AWS_ENDPOINT_URL_S3`` or ``AWS_ENDPOINT_URL`` for
one that is not Amazon's, ``AWS_REGION``, and the credentials, which Arrow reads itself.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regraft.infra.iceberg.places import present

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_S3 = ("s3://", "s3a://", "s3n://")
_FIRST_REGION = "us-east-1"  # what stores that know no regions expect


def warehouse_address(warehouse: str) -> str:
    """The address of a warehouse. PyIceberg does not decode percent-encoding, so folders that need it stay paths."""
    if "://" in warehouse:
        return warehouse
    folder = Path(warehouse).resolve()
    address = folder.as_uri()
    return address if address == f"file://{folder}" else str(folder)


def make_folder(warehouse: str) -> None:
    """Make the folder of a warehouse where it is missing. Raises OSError.

    Earlier versions wrote to a folder with the percent-encoded name: if there is one, it gets the right name.
    """
    if "://" in warehouse:
        return
    folder = Path(warehouse).resolve()
    misnamed = Path(folder.as_uri().removeprefix("file://"))
    if misnamed.is_dir() and misnamed != folder and not (folder.exists() and any(folder.iterdir())):
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        misnamed.replace(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def store_properties(warehouse: str) -> dict[str, str]:
    """Properties for PyIceberg's ``FileIO``: none for a folder."""
    if not warehouse.startswith(_S3):
        return {}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    found = {"s3.endpoint": endpoint, "s3.region": region or (_FIRST_REGION if endpoint else None)}
    return {name: value for name, value in found.items() if value}


def file_system(io: Any, location: str) -> tuple[FileSystem, str]:
    """The file system that a ``PyArrowFileIO`` uses for a location, and the path in it where the file lies now."""
    scheme, host, path = io.parse_location(present(io, location), io.properties)
    return io.fs_by_scheme(scheme, host), path
