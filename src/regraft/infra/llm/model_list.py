"""Ask a model server which models it has: whether it answers, and how fast."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import orjson

from regraft.domain.errors import CorruptEventError, RegraftError, UpstreamError
from regraft.infra.config.upstream import UpstreamSection
from regraft.infra.http.coding import decode
from regraft.infra.llm.upstream import UpstreamPool

_SECONDS = 5.0
_MOST_MODELS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAnswer:
    """``problem`` says why it did not answer well, empty when it did. ``milliseconds`` until its answer was there."""

    models: tuple[str, ...]
    problem: str
    milliseconds: float | None


async def ask_models(upstream: UpstreamSection) -> ServerAnswer:
    """Which models a server lists, asked with its key. Ends after five seconds; raises nothing."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(_SECONDS):
            models = await _ask(upstream)
    except TimeoutError:
        return ServerAnswer(models=(), problem=f"no answer in {_SECONDS:g} seconds", milliseconds=None)
    except RegraftError as error:
        return ServerAnswer(models=(), problem=str(error), milliseconds=None)
    return ServerAnswer(models=models, problem="", milliseconds=(time.monotonic() - began) * 1000)


async def _ask(upstream: UpstreamSection) -> tuple[str, ...]:
    key = upstream.api_key()
    header = (b"authorization", b"Bearer ") if upstream.auth == "bearer" else (upstream.auth.encode(), b"")
    pool = UpstreamPool(upstream.base_url, connect_timeout=_SECONDS, read_timeout=_SECONDS)
    try:
        path = "/models" if pool.prefix else "/v1/models"
        sent = [(header[0], header[1] + key.encode())] if key else []
        response = await pool.send("GET", path, sent, b"")
        body = await response.read()
    finally:
        await pool.aclose()
    if response.status != 200:
        raise UpstreamError(f"it answers with status {response.status} when it is asked for its models")
    try:
        listed = orjson.loads(decode(body, "gzip", "list of models") if body.startswith(b"\x1f\x8b") else body)["data"]
        return tuple(str(each["id"])[:200] for each in listed[:_MOST_MODELS])
    except (ValueError, KeyError, TypeError, CorruptEventError) as error:
        raise UpstreamError("its list of models cannot be read") from error
