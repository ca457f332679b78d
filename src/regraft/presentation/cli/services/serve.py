"""Commands that run one service in the foreground, for ``regraft up`` and for deployments."""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import timedelta
from functools import cache

import typer

from regraft.infra.data_folder import make_data_folder
from regraft.infra.embedded.foreground import announce
from regraft.infra.embedded.process import require_port
from regraft.infra.embedded.stack import DAGSTER, GATEWAY, INGEST, WEB
from regraft.infra.telemetry.logs import configure_logging
from regraft.presentation.cli.capture.keys import keys_path
from regraft.presentation.cli.context import context
from regraft.presentation.cli.services.web_token import tokens_path


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (gateway, ingest, web, dagster):
        app.command(rich_help_panel="Services")(command)


def gateway() -> None:
    """Run the OpenAI-compatible gateway until Ctrl-C."""
    from regraft.infra.embedded.model import MODEL
    from regraft.infra.files.orchestrators import orchestrators
    from regraft.presentation.gateway.app import serve
    from regraft.presentation.gateway.settings import GatewaySettings, RedactSettings, UpstreamSettings

    run = context()
    settings = run.settings
    configure_logging(settings.log_level)
    make_data_folder(settings.data_dir)
    announce(settings, GATEWAY, settings.gateway.port)
    require_port(settings.gateway.port, "gateway.port")
    model = run.stack.model()
    if model is not None:
        upstreams = {
            "local": UpstreamSettings(base_url=model.base_url, api_key=model.api_key, pin=model.pin, models=("*",))
        }
    else:
        upstreams = {
            name: UpstreamSettings(
                base_url=upstream.base_url,
                api_key=upstream.api_key(),
                auth=upstream.auth,
                pin=upstream.pin,
                models=tuple(upstream.models),
                alias=upstream.alias,
                retries=upstream.retries,
                fallback=tuple(upstream.fallback),
                max_concurrency=upstream.max_concurrency,
                queue=upstream.queue,
                queue_seconds=upstream.queue_seconds,
                connect_timeout=upstream.connect_timeout,
                read_timeout=upstream.read_timeout,
            )
            for name, upstream in settings.upstreams.items()
        }
    for name in settings.key_variables - settings.tool_variables:
        os.environ.pop(name, None)  # read: the processes of the gateway are given what they need of it
    rules = settings.gateway.redact
    redact = RedactSettings(identities=tuple(rules.identities), fields=rules.fields, texts=tuple(rules.texts.items()))
    serve(
        GatewaySettings(
            upstreams=upstreams,
            spool=settings.data_dir / "spool",
            nats_url=run.stack.nats(),
            nats_replicas=settings.nats.replicas,
            host=settings.gateway.host,
            port=settings.gateway.port,
            body_memory_bytes=settings.gateway.body_memory << 20,
            hosts=tuple(settings.gateway.hosts),
            origins=tuple(settings.gateway.origins),
            keys=(settings.gateway.keys_file or keys_path(settings.data_dir)) if settings.gateway.needs_keys else None,
            workers=settings.gateway.workers,
            drain_notice=settings.gateway.drain_notice,
            drain_seconds=settings.gateway.drain_seconds,
            redact=redact,
            kept_headers=run.settings.client_table.headers,
            orchestrators=orchestrators(settings, MODEL),
            tool_servers=settings.tools,
            trace_ratio=settings.otel.sample_ratio if settings.otel.endpoint else None,
        )
    )


def ingest() -> None:
    """Store captured calls from the stream until Ctrl-C. Several processes may run at once."""
    from regraft.flows.capture.consume import consume
    from regraft.infra.telemetry.page_server import MetricsServer
    from regraft.infra.telemetry.process_metrics import ProcessMetrics
    from regraft.infra.telemetry.tracer import exporting_spans

    run = context()
    configure_logging(run.settings.log_level)
    traces = run.settings.otel.settings()
    dsn, nats_url = run.stack.postgres(), run.stack.nats()
    announce(run.settings, INGEST, shared=True)

    metrics, section = ProcessMetrics("ingest"), run.settings.ingest
    if port := section.metrics_port:
        MetricsServer(section.metrics_host, port, metrics.render, "ingest.metrics_port")

    async def run_until_stopped() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signal_number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signal_number, stop.set)
        patience = timedelta(seconds=run.settings.ingest.patience)
        await consume(
            dsn,
            nats_url,
            stop,
            patience,
            table=run.settings.client_table,
            metrics=metrics,
            replicas=run.settings.nats.replicas,
        )

    with exporting_spans(traces, "regraft-ingest"):
        asyncio.run(run_until_stopped())


def web() -> None:
    """Run the web UI and its API until Ctrl-C."""
    from regraft.flows.access import AccessControl, SessionPolicy
    from regraft.flows.administration import admin_setup
    from regraft.flows.datasets.service import dataset_setup
    from regraft.flows.evaluation.embeddings import embedder_of
    from regraft.flows.evaluation.review_service import review_setup
    from regraft.flows.replay.service import replay_setup
    from regraft.infra.files.owner_token import OwnerTokenFile
    from regraft.infra.files.rules import rules
    from regraft.infra.telemetry.tracer import exporting_spans
    from regraft.presentation.web.app import serve_web

    run = context()
    configure_logging(run.settings.log_level)
    web = run.settings.web
    settings, tokens = run.settings, web.tokens_file or tokens_path(run.settings.data_dir)
    dsn = run.postgres_dsn()  # before anything is written: where there is no log, none is begun
    announce(run.settings, WEB, web.port)
    require_port(web.port, "web.port")
    owner = OwnerTokenFile(run.data_dir)
    owner.find_or_make()
    access = AccessControl(
        web.token.get_secret_value() if web.token else "",
        tokens,
        required=web.tokens_file is not None,
        owner=owner,
        sessions=SessionPolicy(https=web.https, idle=timedelta(days=web.session_days)),
    )
    embedder = cache(lambda: embedder_of(run.settings, run.stack.gateway_endpoint))
    versions = [rule.version for rule in rules(run.settings).values()]
    with exporting_spans(settings.otel.settings(), "regraft-web"):
        serve_web(
            dsn,
            web.host,
            web.port,
            tuple(web.hosts),
            access,
            run.workbench(),
            embedder,
            reviewing=review_setup(run.settings),
            gateway=run.stack.gateway_url(),
            datasets=dataset_setup(run.settings),
            replaying=replay_setup(run.settings, run.stack),
            rules=versions,
            admin=admin_setup(settings, settings.gateway.keys_file or keys_path(settings.data_dir), tokens),
            metrics_at=(web.metrics_host, web.metrics_port) if web.metrics_port else None,
        )


def dagster() -> None:
    """Run Dagster, its page and its daemon, until Ctrl-C."""
    from regraft.presentation.cli.services.dagster import serve_dagster

    run = context()
    announce(run.settings, DAGSTER, run.settings.dagster.port)
    require_port(run.settings.dagster.port, "dagster.port")
    serve_dagster(run)
