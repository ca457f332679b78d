"""A whole path of a call for every test of this room that asks for one."""

from __future__ import annotations

import pytest

from regraft.infra.embedded.nats import EmbeddedNats
from support.consumer import consuming
from support.whole_path import Model, WholePath, gateway_before


@pytest.fixture
def stream_url(tmp_path):
    """A stream of its own: what one test leaves there must not arrive in the next one's database."""
    server = EmbeddedNats(tmp_path / "nats")
    yield server.start().url
    server.stop()


@pytest.fixture
def model():
    """The scripted model server behind the gateway."""
    with Model() as running:
        yield running


@pytest.fixture
def path(truth, stream_url, model, tmp_path):
    """A gateway before the model, and ingest."""
    with gateway_before(model, stream_url, tmp_path / "spool") as port, consuming(truth, stream_url):
        yield WholePath(truth, stream_url, port)
