"""``regraft metrics``: series made of facts, and gauges of the stores, for Prometheus."""

from __future__ import annotations

import asyncio
import signal
from typing import Annotated

import typer

from regraft.infra.embedded.foreground import announce
from regraft.infra.embedded.stack import METRICS
from regraft.infra.telemetry.logs import configure_logging
from regraft.presentation.cli.context import context


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Services")(metrics)


def metrics(
    facts: Annotated[
        bool | None, typer.Option(help="Count the facts of the stream; the setting metrics.facts if unset.")
    ] = None,
) -> None:
    """Serve metrics of conversations and stores for Prometheus until Ctrl-C."""
    from prometheus_client import CollectorRegistry

    from regraft.flows.monitoring import MonitoredStores, monitor
    from regraft.infra.telemetry.fact_counts import FactCounts
    from regraft.infra.telemetry.own_numbers import OwnNumbers
    from regraft.infra.telemetry.page import page
    from regraft.infra.telemetry.page_server import MetricsServer
    from regraft.infra.telemetry.store_gauges import StoreFigures

    run = context()
    section = run.settings.metrics
    configure_logging(run.settings.log_level)
    announce(run.settings, METRICS, section.port)
    stores = MonitoredStores(truth=run.stack.postgres(), nats_url=run.stack.nats(), workbench=run.workbench())
    figures = StoreFigures()
    counts = FactCounts() if (section.facts if facts is None else facts) else None
    registry = CollectorRegistry()
    for each in (figures, counts, OwnNumbers()):
        if each is not None:
            registry.register(each)

    async def run_until_stopped() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await monitor(stores, counts, figures, stop)

    with MetricsServer(section.host, section.port, lambda accept: page(registry, accept), "metrics.port"):
        asyncio.run(run_until_stopped())
