"""Access control: virtual keys, their models and their rates."""

from __future__ import annotations

import logging
from fnmatch import fnmatchcase

from regraft.domain.capture.paths import COUNT_TOKENS, MODELS, Route
from regraft.domain.errors import RegraftError
from regraft.infra.files.keys import KeyStore, VirtualKey
from regraft.infra.http.replies import error_body, json_block
from regraft.presentation.gateway.client import Client
from regraft.presentation.gateway.limits import ConcurrencyLimit
from regraft.presentation.gateway.rates import LocalRates, Rates
from regraft.presentation.gateway.shared_limits import SharedConcurrencyLimit
from regraft.presentation.gateway.shared_slots import SharedSlots

FEEDBACK = "/v1/feedback"
QUEUE, QUEUE_SECONDS = 100, 30.0

log = logging.getLogger(__name__)


class AccessRefusedError(Exception):
    """The answer for a client without access."""

    def __init__(self, status: int, message: str, kind: str, code: str, lines: bytes = b"") -> None:
        super().__init__(code)
        body = error_body(message, kind, code)
        self.answer = (status, json_block(body) + lines, body)
        self.reason = code


class _Known:
    """A key in use, with its concurrency limit."""

    __slots__ = ("client", "key")

    def __init__(self, key: VirtualKey, turnstile: ConcurrencyLimit | None) -> None:
        self.key = key
        self.client = Client(key.scope, trusted=False, turnstile=turnstile)


class Access:
    """Checks every call when keys are needed. All processes of a gateway share ``rates`` and ``slots``."""

    def __init__(self, store: KeyStore, rates: Rates | None = None, slots: SharedSlots | None = None) -> None:
        self._store = store
        self._slots = slots
        self._rates = rates or LocalRates()
        self._known: dict[str, _Known] = {}

    @property
    def waiting(self) -> int:
        """Calls that wait for their turn at the limits of keys."""
        limits = (each.client.turnstile for each in list(self._known.values()))
        return sum(limit.waiting for limit in limits if limit is not None)

    def may_ask(self, token: str, model: str | None) -> Client:
        """The client of a call to a model; counts the call. Raises RefusedError: 401, 403 for the model, 429 beyond the
        rate."""
        known = self._of(token)
        _check_model(known.key, model)
        return self._counted(known)

    def may_reach(self, token: str, route: Route, model: str | None) -> Client:
        """The client of a call to another path; counts the call. Raises RefusedError: 401, 403 for path or model,
        429."""
        known = self._of(token)
        path = (route.standard or route.path).decode("latin-1")
        if not _is_open(route, path) and not any(fnmatchcase(path, glob) for glob in known.key.paths):
            message = f"This key may not call {path[:500]}: `regraft keys create --paths` allows paths"
            raise AccessRefusedError(403, message, "invalid_request_error", "path_not_allowed")
        if model is not None or route.endpoint == COUNT_TOKENS:
            _check_model(known.key, model)
        return self._counted(known)

    def _of(self, token: str) -> _Known:
        try:
            key = self._store.find(token) if token else None
        except RegraftError as error:
            log.error("every key is refused: %s", error)
            message = "The gateway cannot check keys at the moment"
            raise AccessRefusedError(503, message, "server_error", "keys_unavailable") from error
        if key is None:
            message = "This gateway needs a valid key: send it as `Authorization: Bearer rgk_...` or `x-api-key`"
            lines = b"www-authenticate: Bearer\r\n"
            raise AccessRefusedError(401, message, "invalid_request_error", "invalid_api_key", lines)
        known = self._known.get(key.key_id)
        if known is None or known.key != key:
            known = self._known[key.key_id] = _Known(key, self._turnstile(key))
        return known

    def _turnstile(self, key: VirtualKey) -> ConcurrencyLimit | None:
        limit = key.max_concurrency
        if not limit:
            return None
        if self._slots is not None and (place := self._slots.find(key.key_id)) is not None:
            return SharedConcurrencyLimit(limit, QUEUE, QUEUE_SECONDS, self._slots, place)
        return ConcurrencyLimit(limit, QUEUE, QUEUE_SECONDS)

    def _counted(self, known: _Known) -> Client:
        """The client, after this call was counted. Raises AccessRefusedError beyond the key's rate."""
        key = known.key
        if key.per_minute and (seconds := self._rates.take(key.key_id, key.per_minute)):
            wait = int(seconds) + 1
            message = f"This key may make {key.per_minute} calls a minute; try again in {wait} s"
            lines = b"retry-after: %d\r\n" % wait
            raise AccessRefusedError(429, message, "rate_limit_error", "rate_limit_exceeded", lines)
        return known.client


def _is_open(route: Route, path: str) -> bool:
    """Whether any key may call this path: it is free of cost and shows no tenant's data."""
    return route.endpoint in (MODELS, COUNT_TOKENS) or path == FEEDBACK or path.startswith(f"{MODELS}/")


def _check_model(key: VirtualKey, model: str | None) -> None:
    if key.models != ("*",) and not (model and any(fnmatchcase(model, glob) for glob in key.models)):
        message = "This key may not use this model"
        raise AccessRefusedError(403, message, "invalid_request_error", "model_not_allowed")
