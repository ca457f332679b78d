"""Servers that a test starts and may kill."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.gateways import NatsServer


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every account can reach; pytest's own is closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="regraft-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def nats_server(tmp_path):
    """A NATS server for one test alone."""
    server = NatsServer(tmp_path)
    server.start()
    yield server
    server.stop()
