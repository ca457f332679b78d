"""The gateway's settings: where to listen, where to spool, and which model servers there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from regraft.domain.orchestration.orchestration import Orchestrator
from regraft.infra.client_table import built_in_table

if TYPE_CHECKING:
    from regraft.infra.config.tool_server import ToolServerSection


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """One model server. ``models`` are globs on the request's model; ``pin`` names the exact build that answers.

    ``alias`` gives client's names for models; ``retries`` are tries after the first, ``fallback`` the servers that are
    tried after that. ``max_concurrency`` 0 means no limit; ``queue`` calls wait up to ``queue_seconds`` for a slot.
    """

    base_url: str
    api_key: str | None = field(default=None, repr=False)
    auth: str = "bearer"
    pin: str = ""
    models: tuple[str, ...] = ("*",)
    alias: Mapping[str, str] = field(default_factory=dict)
    retries: int = 0
    fallback: tuple[str, ...] = ()
    max_concurrency: int = 0
    queue: int = 100
    queue_seconds: float = 30.0
    connect_timeout: float = 10.0
    read_timeout: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactSettings:
    """What is taken out of a call before it is kept; nothing of it changes what the model server is sent.

    ``identities`` are dropped (``session``, ``task`` ...). ``fields`` are paths in JSON bodies (``metadata.email``,
    ``messages.*.name``) and their replacements. ``texts`` are regular expressions and their replacements.
    """

    identities: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    texts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """The gateway. The first of ``upstreams`` also gets every call that no glob matches.

    ``keys`` is the file of virtual keys; with it every call needs one. ``workers`` are processes on the same port.
    ``body_memory_bytes`` of large bodies in flight are held in memory by each process, more are in files by the spool.
    ``hosts`` are names that it answers to beside loopback ones, ``origins`` the web pages that may call it.
    ``kept_headers`` are request headers that are kept with a call: what its client calls its session.
    ``trace_ratio`` is the share of the traces that begin here which is exported; None: nothing is traced.
    ``orchestrators`` answer to ``orchestrator/NAME``, with the ``tool_servers`` that they name.
    ``drain_notice`` are seconds between SIGTERM and the end of new calls, ``drain_seconds`` those that calls in flight
    then have.
    """

    upstreams: Mapping[str, UpstreamSettings]
    spool: Path
    nats_url: str = "nats://127.0.0.1:4222"
    nats_replicas: int | None = None  # as many as the stream has
    host: str = "127.0.0.1"
    port: int = 8400
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    scope: str = "default"
    keys: Path | None = None
    redact: RedactSettings | None = None
    kept_headers: frozenset[str] = field(default_factory=lambda: built_in_table().headers)
    trace_ratio: float | None = None
    orchestrators: Mapping[str, Orchestrator] = field(default_factory=dict)
    tool_servers: Mapping[str, ToolServerSection] = field(default_factory=dict)
    workers: int = 1
    drain_notice: float = 0.0
    drain_seconds: float = 30.0
    max_body_bytes: int = 512 << 20
    body_memory_bytes: int = 256 << 20
    spool_segment_bytes: int = 16 << 20
    spool_limit_bytes: int = 8 << 30
