"""Dagster's page behind a guard, in one process: ``python -m regraft.presentation.dagster.page``."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from starlette.types import ASGIApp

from regraft.infra.asgi_guard import Guard
from regraft.infra.host_policy import HostPolicy
from regraft.infra.settings import load_settings


def guarded(app: ASGIApp, hosts: tuple[str, ...], bind: str = "") -> Guard:
    """The page, for configured host names and same-origin scripts only; mutations must be JSON."""
    return Guard(app, HostPolicy(hosts, bind=bind), "dagster.hosts", json_only=True)


def main() -> None:
    cli: Any = import_module("dagster_webserver.cli")
    make = cli.create_app_from_workspace_process_context  # raises AttributeError where Dagster has changed
    settings = load_settings().dagster

    def make_guarded(*arguments: Any, **options: Any) -> Guard:
        return guarded(make(*arguments, **options), tuple(settings.hosts), settings.host)

    cli.create_app_from_workspace_process_context = make_guarded
    cli.main()


if __name__ == "__main__":
    main()
