"""The whole path of a call before a model that gives answers by its name."""

from __future__ import annotations

import json
import os

import pytest

from support.consumer import consuming
from support.gateways import Upstream, free_port
from support.rollouts import RolloutPath, ScriptedModel
from support.whole_path import gateway_before


@pytest.fixture
def path(truth, stream_url, tmp_path, calls):
    """What is recorded and grown there."""
    script = ScriptedModel()
    with (
        Upstream(script) as upstream,
        gateway_before(upstream, stream_url, tmp_path / "spool") as port,
        consuming(truth, stream_url),
    ):
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("REGRAFT_")},
            "HOME": str(tmp_path),
            "REGRAFT_DATA_DIR": str(tmp_path / "data"),
            "REGRAFT_POSTGRES__DSN": truth,
            "REGRAFT_NATS__URL": stream_url,
            "REGRAFT_GATEWAY__PORT": str(free_port()),
            "REGRAFT_UPSTREAMS": json.dumps({"main": {"base_url": upstream.base_url}}),
        }
        yield RolloutPath(truth, stream_url, port, script, calls, environment)
