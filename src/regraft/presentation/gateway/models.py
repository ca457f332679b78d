"""``GET /v1/models`` over several model servers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import orjson

from regraft.domain.errors import CorruptEventError, UpstreamError
from regraft.infra.http.coding import decode
from regraft.infra.http.headers import ClientHead
from regraft.presentation.gateway.routing import Router, Upstream

log = logging.getLogger(__name__)


async def merged_models(router: Router, head: ClientHead, trusted: bool, own: Sequence[dict[str, Any]] = ()) -> bytes:
    """The lists of all upstreams as one, behind ``own`` models; a model is listed only where a call for it would go.

    An upstream that does not answer is left out. Raises UpstreamError when none does.
    """
    answers = await asyncio.gather(
        *(_ask(upstream, head, trusted) for upstream in router.upstreams), return_exceptions=True
    )
    models: list[Any] = list(own)
    models += [
        {"id": alias, "object": "model", "owned_by": "regraft"} for each in router.upstreams for alias in each.alias
    ]
    failures: list[str] = []
    for upstream, answer in zip(router.upstreams, answers, strict=True):
        if isinstance(answer, UpstreamError):
            failures.append(str(answer))
            log.warning("left out of the list of models: %s", answer)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            models += [each for each in answer if router.of_model(str(each.get("id"))) is upstream]
    if len(failures) == len(answers):
        raise UpstreamError("No model server answered: " + "; ".join(failures))
    return orjson.dumps({"object": "list", "data": models})


async def _ask(upstream: Upstream, head: ClientHead, trusted: bool) -> list[dict[str, Any]]:
    path = upstream.path(b"/v1/models", b"").decode("latin-1")
    sent = upstream.plain_headers(head, trusted)
    response = await upstream.pool.send("GET", path, sent, b"")
    body = await response.read()
    authority = upstream.pool.authority
    if response.status != 200:
        raise UpstreamError(f"{authority} answered its list of models with status {response.status}")
    try:
        data = orjson.loads(_decoded(body))["data"]
    except (ValueError, KeyError, TypeError, CorruptEventError) as error:
        raise UpstreamError(f"{authority} sent a list of models that cannot be read") from error
    return [each for each in data if isinstance(each, dict)]


def _decoded(body: bytes) -> bytes:
    """Some servers compress regardless of accept-encoding."""
    return decode(body, "gzip", "list of models") if body.startswith(b"\x1f\x8b") else body
