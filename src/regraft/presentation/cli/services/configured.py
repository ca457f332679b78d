"""Findings of ``regraft doctor`` about the configuration: each server, folder and key is tested."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from regraft.domain.errors import RegraftError
from regraft.infra.config.place import CONFIG_FILE
from regraft.infra.settings import config_file
from regraft.presentation.cli.context import CommandContext
from regraft.presentation.cli.services.finding import Finding

ROOM = 2 << 30  # bytes of free disk below which a spool, a database or a freeze may soon be stuck


def place(run: CommandContext) -> Iterator[Finding]:
    """Which configuration is used, and where the data is."""
    config = config_file(run.config)
    named = f"the settings of {config.absolute()}" if config else f"no {CONFIG_FILE} here or above: default settings"
    yield Finding("ok", named)
    folder = run.data_dir.absolute()
    if folder.is_dir():
        yield Finding("ok", f"data in {folder}")
    else:
        mend = "`regraft up` or `regraft import FILE` makes it; elsewhere is another log: --config, REGRAFT_DATA_DIR."
        yield Finding("warning", f"There is no data in {folder}.", mend)


def stream(run: CommandContext) -> Iterator[Finding]:
    """Whether the stream that the configuration names answers."""
    from regraft.flows.connections import check_stream

    url = run.settings.nats.url
    if url is None:
        return
    try:
        found = check_stream(url.get_secret_value())
    except RegraftError as error:
        yield Finding("wrong", str(error), "Start NATS with JetStream, or correct nats.url.")
        return
    for away in found.away:
        mend = "Start it again: calls are stored as long as most servers of the cluster run."
        yield Finding("warning", away, mend)
    stored = found.stored
    if stored.complete < stored.replicas:
        names = f": {', '.join(stored.behind)}" if stored.behind else ""
        what = (
            f"{stored.replicas - stored.complete} of {stored.replicas} servers do not have all captured calls{names}."
        )
        yield Finding("warning", what, "A restarted server catches up automatically: check again in a minute.")
    if found.servers > 1 and stored.replicas == 1:
        mend = "Set nats.replicas = 3, and restart the gateway or ingest."
        yield Finding("warning", "Captured calls in the stream are stored on only one server of the cluster.", mend)
    where = f" and is stored on {stored.replicas} servers, led by {stored.leader}" if stored.replicas > 1 else ""
    yield Finding("ok", f"the stream of nats.url answers{where}")


def gateway(run: CommandContext) -> Iterator[Finding]:
    """Whether the gateway that our own calls go to answers."""
    from regraft.flows.replay.model_offers import require_gateway
    from regraft.infra.gateway_endpoint import GatewayEndpoint

    url = run.settings.client.gateway_url
    if url is None:
        return
    try:
        require_gateway(GatewayEndpoint(url, run.settings.client.api_key()))
    except RegraftError as error:
        yield Finding("wrong", str(error), "Start the gateway, or correct client.gateway_url and the key of [client].")
    else:
        yield Finding("ok", "the gateway of client.gateway_url answers")


def warehouse(run: CommandContext) -> Iterator[Finding]:
    """Whether frozen snapshots can be written and read, and whether there is room for them."""
    from regraft.flows.connections import check_warehouse

    where = run.warehouse()
    try:
        check_warehouse(where)
    except RegraftError as error:
        yield Finding("wrong", str(error), "Correct warehouse, or the rights of that place.")
        return
    yield Finding("ok", f"snapshots can be written and read in {where}")
    if "://" not in where and Path(where).is_dir() and (free := shutil.disk_usage(where).free) < ROOM:
        yield Finding("wrong", f"Only {free / (1 << 30):.1f} GiB free in {where}.", "Free some disk space.")


def tools(run: CommandContext) -> Iterator[Finding]:
    """Whether the programs and the keys of tool servers are there."""
    for name, tool in run.settings.tools.items():
        try:
            _ = tool.environment() if tool.command else tool.api_key()
        except RegraftError as error:
            yield Finding("wrong", f"tool server {name}: {error}", "Set the variable, or take it out of the config.")
            continue
        if tool.command and shutil.which(tool.command) is None:
            what = f"tool server {name}: there is no program {tool.command}."
            yield Finding("wrong", what, "Install it, or correct its command.")


def keys(run: CommandContext) -> Iterator[Finding]:
    """Whether the key that our own calls show the gateway is there."""
    try:
        run.settings.client.api_key()
    except RegraftError as error:
        yield Finding("wrong", str(error), "Set the variable, or correct [client].")


CHECKS = (place, stream, gateway, warehouse, tools, keys)
