"""Where a server listens, and which host names it answers to."""

from __future__ import annotations

from regraft.infra.host_policy import host_name

EVERY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104 named so that it can be refused


def require_host_names(host: str, hosts: list[str]) -> None:
    """Raises ValueError when a server listens on every address and does not name what it answers to."""
    if host_name(host) in EVERY_ADDRESS and not hosts:
        raise ValueError(
            f'listens on every address ({host}), so hosts must list its names, e.g. ["llm.example.com"];'
            ' ["*"] is any name'
        )
