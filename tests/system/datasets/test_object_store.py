"""A warehouse in an object store: rows are frozen, verified, exported, withdrawn and erased there as in a folder."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from regraft.domain.errors import UnavailableError
from regraft.flows.datasets.erase import ErasureStores, erase
from regraft.flows.datasets.export import export
from regraft.flows.datasets.freeze import freeze
from regraft.flows.datasets.verify import verify
from regraft.flows.datasets.withdraw import sweep, withdraw
from regraft.infra.iceberg.probe import probe
from regraft.infra.postgres.pool import transaction
from support.gateways import free_port
from support.small_graph import SmallGraph, every_kind
from support.waiting import until

RECIPE = 'name = "rows"\nkind = "sft"\n'


class ObjectStore:
    """A bucket of an S3 server."""

    warehouse = "s3://bucket/warehouse"

    def __init__(self, port: int) -> None:
        host = f"http://127.0.0.1:{port}"
        self._files = fs.S3FileSystem(endpoint_override=host, region="us-east-1", allow_bucket_creation=True)
        self._files.create_dir("bucket")

    def files(self) -> list[str]:
        found = self._files.get_file_info(fs.FileSelector("bucket", recursive=True))
        return sorted(info.path for info in found if info.type == fs.FileType.File)

    def rows(self) -> list[str]:
        return [path for path in self.files() if path.endswith(".parquet")]

    def text(self) -> str:
        """The content of all rows."""
        return " ".join(str(pq.read_table(path, filesystem=self._files).to_pylist()) for path in self.rows())

    def read(self, path: str) -> bytes:
        with self._files.open_input_stream(path, compression=None) as stream:
            return bytes(stream.read())

    def write(self, path: str, content: bytes) -> None:
        with self._files.open_output_stream(path, compression=None) as stream:
            stream.write(content)

    def remove(self, path: str) -> None:
        self._files.delete_file(path)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    port = free_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "access",
        "AWS_SECRET_ACCESS_KEY": "secret-of-the-store",
    }.items():
        monkeypatch.setenv(name, value)
    command = [Path(sys.executable).parent / "moto_server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            until(lambda: _accepts(port))
            yield ObjectStore(port)
        finally:
            server.kill()


def _accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@pytest.fixture
def log(truth: str) -> str:
    with transaction(truth) as connection:
        every_kind(SmallGraph(connection))
    return truth


def test_a_store_that_can_be_written_is_told_from_one_that_cannot(store: ObjectStore) -> None:
    probe(store.warehouse)
    assert store.files() == []
    with pytest.raises(UnavailableError, match="cannot be written and read"):
        probe("s3://no-such-bucket/warehouse")


def test_rows_are_frozen_verified_exported_and_withdrawn(log: str, store: ObjectStore, tmp_path: Path) -> None:
    places = {"dsn": log, "warehouse": store.warehouse}
    bench = tmp_path / "workbench.duckdb"
    snapshot = freeze(RECIPE, workbench=bench, **places).snapshot_id
    assert len(store.rows()) == 1
    found = verify(snapshot, workbench=bench, **places)
    assert found.ok
    assert found.checked > 0
    export(snapshot, tmp_path / "in-store", **places)
    local = freeze(RECIPE.replace("rows", "local"), dsn=log, workbench=bench, warehouse=str(tmp_path / "folder"))
    export(local.snapshot_id, tmp_path / "in-folder", dsn=log, warehouse=str(tmp_path / "folder"))
    name = "train.jsonl"
    assert (tmp_path / "in-store" / name).read_bytes() == (tmp_path / "in-folder" / name).read_bytes()
    withdraw(snapshot, "wrong", files=True, **places)
    assert store.rows() == []


def test_a_changed_object_does_not_verify(log: str, store: ObjectStore, tmp_path: Path) -> None:
    bench = tmp_path / "workbench.duckdb"
    snapshot = freeze(RECIPE, dsn=log, workbench=bench, warehouse=store.warehouse).snapshot_id
    (file,) = store.rows()
    store.write(file, store.read(file)[:-40])
    assert not verify(snapshot, dsn=log, warehouse=store.warehouse, workbench=bench).ok
    store.remove(file)
    assert "cannot be read" in verify(snapshot, dsn=log, warehouse=store.warehouse, workbench=bench).files


def test_files_without_a_snapshot_are_swept(log: str, store: ObjectStore, tmp_path: Path) -> None:
    bench = tmp_path / "workbench.duckdb"
    snapshot = freeze(RECIPE, dsn=log, workbench=bench, warehouse=store.warehouse).snapshot_id
    (kept,) = store.rows()
    stray = kept.rpartition("/")[0] + "/stray.parquet"
    store.write(stray, store.read(kept))
    (left,) = sweep(log, store.warehouse, repair=True)
    assert stray in left.files
    assert store.rows() == [kept]
    assert verify(snapshot, dsn=log, warehouse=store.warehouse, workbench=bench).ok


def test_what_was_erased_is_in_no_object(log: str, store: ObjectStore, tmp_path: Path) -> None:
    bench = tmp_path / "workbench.duckdb"
    snapshot = freeze(RECIPE, dsn=log, workbench=bench, warehouse=store.warehouse).snapshot_id
    assert "A lime." in store.text()
    places = ErasureStores(
        dsn=log, workbench=bench, warehouse=store.warehouse, spool=tmp_path / "spool", data_dir=tmp_path
    )
    certificate = erase("matching", "A lime.", places)
    (successor,) = certificate.snapshots
    assert successor["snapshot_id"] == snapshot
    assert "A lime." not in store.text()
    assert "weather in Oslo" in store.text()
    assert verify(str(successor["successor"]), dsn=log, warehouse=store.warehouse, workbench=bench).ok
