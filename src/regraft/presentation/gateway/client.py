"""The client of a call."""

from __future__ import annotations

from dataclasses import dataclass

from regraft.presentation.gateway.limits import ConcurrencyLimit


@dataclass(frozen=True, slots=True)
class Client:
    """The tenant, whether the client's own credentials may be forwarded, and the client's concurrency limit."""

    scope: str = ""
    trusted: bool = True
    turnstile: ConcurrencyLimit | None = None


ANY_CLIENT = Client()
