"""A log with sessions of every kind, opened through the public API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import regraft
from regraft.infra.postgres.pool import transaction
from support.small_graph import SmallGraph, every_kind, many_choices


@pytest.fixture
def log(truth: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[regraft.Log]:
    """The small graph, with its own warehouse. The working directory is empty."""
    with transaction(truth) as connection:
        graph = SmallGraph(connection)
        every_kind(graph)
        many_choices(graph, 20)
    monkeypatch.chdir(tmp_path)
    with regraft.open(dsn=truth, warehouse=str(tmp_path / "warehouse"), data_dir=tmp_path / "data") as opened:
        yield opened
