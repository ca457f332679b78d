"""Which model server a call goes to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase

import msgspec

from regraft.domain.errors import ConfigError
from regraft.infra.llm.upstream import UpstreamPool
from regraft.presentation.gateway.settings import UpstreamSettings


class Upstream:
    """One model server: its name, its connections, and what is sent along."""

    __slots__ = ("authorization", "models", "name", "pin", "pool")

    def __init__(self, name: str, settings: UpstreamSettings) -> None:
        self.name = name
        self.pin = settings.pin
        self.models = settings.models
        self.authorization = f"Bearer {settings.api_key}".encode() if settings.api_key else None
        self.pool = UpstreamPool(
            settings.base_url, connect_timeout=settings.connect_timeout, read_timeout=settings.read_timeout
        )

    def path(self, raw_path: bytes, query: bytes) -> str:
        """The path to ask for: a base_url with a path of its own stands for ``/v1``."""
        path = raw_path[3:] if self.pool.prefix else raw_path
        return (path + b"?" + query if query else path).decode("latin-1")


class _OnlyModel(msgspec.Struct):
    model: str | None = None


class Router:
    """Finds the upstream by the request's ``model``; the first upstream takes what no glob matches."""

    def __init__(self, upstreams: Mapping[str, UpstreamSettings]) -> None:
        if not upstreams:
            raise ConfigError("The gateway has no upstream: name at least one model server")
        self.upstreams = [Upstream(name, settings) for name, settings in upstreams.items()]
        self.first = self.upstreams[0]
        self._by_model: dict[str, Upstream] = {}
        self._decoder = msgspec.json.Decoder(_OnlyModel)

    def of_body(self, body: bytes) -> Upstream:
        """The upstream for a request body, which may be anything."""
        if len(self.upstreams) == 1:
            return self.first
        try:
            model = self._decoder.decode(body).model
        except (msgspec.MsgspecError, ValueError):
            model = _model_leniently(body)
        return self.of_model(model) if model else self.first

    def of_model(self, model: str) -> Upstream:
        known = self._by_model.get(model)
        if known is None:
            known = self._match(model)
            if len(self._by_model) < 4096:  # clients choose the names
                self._by_model[model] = known
        return known

    def _match(self, model: str) -> Upstream:
        for upstream in self.upstreams:
            if any(fnmatchcase(model, glob) for glob in upstream.models):
                return upstream
        return self.first

    async def aclose(self) -> None:
        for upstream in self.upstreams:
            await upstream.pool.aclose()


def _model_leniently(body: bytes) -> str | None:
    """For bodies that servers accept and a strict parser does not (lone surrogates, NaN)."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return None
    model = parsed.get("model") if isinstance(parsed, dict) else None
    return model if isinstance(model, str) else None
