"""A filled deployment with monitoring: ``regraft metrics``, and a Prometheus with our rules and alerts."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from regraft.infra.embedded.postgres import PostgresEndpoint
from regraft.infra.embedded.stack import GATEWAY, INGEST, METRICS
from regraft.infra.embedded.state import RunFolder
from regraft.infra.telemetry.emitter import publishing_facts
from support.deployments import deployed
from support.filled_stack import CONFIG, FilledStack, fill
from support.gateways import free_port
from support.messages import user
from support.orchestrator_crew import Crew
from support.prometheus import PrometheusServer
from support.scripted_upstream import Script, Seen
from support.shop_model import ShopModel
from support.shop_talks import Client
from support.waiting import until
from support.web_process import WebProcess

_RULES = Path(__file__).parents[2] / "deploy" / "prometheus"
_MORE = """
web.metrics_port = {page}
[ingest]
metrics_port = {ingest}
[metrics]
port = {metrics}
[orchestrators.team]
model = "large"
workers = {{ w = "small" }}
"""
_CREW = ("You carry out", "You write the final answer")  # how the inner calls of an orchestrator begin


class ShopAndCrew(ShopModel):
    """A shop's assistant, which also plays every part of an orchestrated call."""

    def __init__(self) -> None:
        super().__init__()
        self.crew = Crew()

    def __call__(self, seen: Seen) -> Script:
        asked = json.loads(seen.body) if seen.body else {}
        first = str((asked.get("messages") or [{}])[0].get("content"))
        inner = (asked.get("model") != "judge" and "response_format" in asked) or first.startswith(_CREW)
        return self.crew(seen) if inner else super().__call__(seen)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedStack:
    """What runs, and the Prometheus that watches it."""

    stack: FilledStack
    prometheus: PrometheusServer

    def talk(self, text: str, model: str = "small") -> None:
        """One call through the gateway."""
        self.stack.client.call([user(text)], model=model)

    def ingest(self, *, runs: bool) -> None:
        """End ingest as an operator's `kill` does, or start it again."""
        ours = self.stack.deployment.stack
        if runs:
            ours.ingest()
            return
        state = RunFolder.of(ours.settings.data_dir.resolve()).read(INGEST)
        assert state is not None
        os.kill(state.pid, signal.SIGTERM)
        until(lambda: not state.alive())


@contextmanager
def watched(postgres: PostgresEndpoint, folder: Path) -> Iterator[WatchedStack]:
    """The deployment, filled while Prometheus looks on."""
    web, ingest, metrics, shown = (free_port() for _ in range(4))
    config = CONFIG.format(port=web, admin=secrets.token_hex(16)) + _MORE.format(
        ingest=ingest, metrics=metrics, page=shown
    )
    with deployed(folder, postgres, config, ShopAndCrew()) as deployment:
        page, stack = WebProcess(folder, web), deployment.stack
        stack.run(METRICS, port=metrics, port_setting="metrics.port", health=f"{stack.metrics_url()}/healthz")
        ports = {GATEWAY: deployment.port, INGEST: ingest, METRICS: metrics, "web": shown}
        server = PrometheusServer(_configured(folder / "prometheus", ports))
        filled = FilledStack(deployment=deployment, web=page, client=Client(deployment.port))
        try:
            page.start()
            server.start()
            with publishing_facts(stack.nats):
                fill(filled)
                (folder / "rows").mkdir()
                filled.command("dataset", "export", "demo-sft", "--to", str(folder / "rows" / "sft"))
                yield WatchedStack(stack=filled, prometheus=server)
        finally:
            server.stop()
            page.stop()


def _configured(folder: Path, ports: dict[str, int]) -> Path:
    """A folder with our configuration, in which a minute is a second: looks, evaluations, and how long alerts wait."""
    folder.mkdir()
    document = yaml.safe_load((_RULES / "prometheus.yml").read_text())
    document["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    document["scrape_configs"] = [each for each in document["scrape_configs"] if each["job_name"] == "regraft"]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(document))
    (folder / "rules.yml").write_text((_RULES / "rules.yml").read_text())
    alerts = (_RULES / "alerts.yml").read_text()
    (folder / "alerts.yml").write_text(re.sub(r"^( +for: \d+)[mh]$", r"\1s", alerts, flags=re.MULTILINE))
    targets: list[dict[str, Any]] = yaml.safe_load((_RULES / "targets.yml").read_text())
    targets = [group for group in targets if group["labels"]["job"] != "regraft-vector"]
    for group in targets:
        name = group["labels"]["job"].removeprefix("regraft-")
        group["targets"] = [f"127.0.0.1:{ports[name]}"]
    (folder / "targets.yml").write_text(yaml.safe_dump(targets))
    return folder
