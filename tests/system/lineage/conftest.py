"""A graph of captured calls, for every test of this room that asks for one."""

from __future__ import annotations

import pytest

from regraft.infra.postgres.pool import connect
from support.captured_graph import CapturedGraph


@pytest.fixture
def graph(truth):
    """An empty log, to take calls."""
    with connect(truth, autocommit=True) as connection:
        yield CapturedGraph(truth, connection)


@pytest.fixture
def version_2(graph):
    """A log that was begun under version 2 of the projection, which knows no returned answers."""
    graph.connection.execute("UPDATE projection SET version = 2")
    if not graph.ask("SELECT version FROM projection"):
        graph.connection.execute("INSERT INTO projection (version) VALUES (2)")
    return graph
