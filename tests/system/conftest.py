"""Servers that a test may kill: its own."""

from __future__ import annotations

import pytest

from support.gateways import NatsServer


@pytest.fixture
def nats_server(tmp_path):
    """A NATS server for one test alone."""
    server = NatsServer(tmp_path)
    server.start()
    yield server
    server.stop()
