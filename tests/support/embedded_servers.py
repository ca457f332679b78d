"""Servers that a test starts itself, stopped at its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from regraft.infra.embedded.model import EmbeddedModel
from regraft.infra.embedded.nats import EmbeddedNats
from regraft.infra.embedded.postgres import EmbeddedPostgres
from regraft.infra.embedded.state import RunFolder, ServerState

Server = EmbeddedPostgres | EmbeddedNats | EmbeddedModel


@contextmanager
def stopped_after(*servers: Server) -> Iterator[None]:
    try:
        yield
    finally:
        for server in servers:
            server.stop()


def state_of(data_dir: Path, name: str) -> ServerState:
    state = RunFolder.of(data_dir).read(name)
    assert state is not None
    return state
