"""``regraft dagster``: Dagster's page and daemon in the foreground."""

from __future__ import annotations

import os
import sys

from regraft.presentation.cli.context import Context


def serve_dagster(context: Context) -> None:
    """Become Dagster. A server started for it ends with it; does not return."""
    from regraft.presentation.dagster import home as house

    dsn = context.postgres_dsn()
    home = house.home_of(context.data_dir)
    if not house.is_own(home):
        house.write_home(home, context.stack.dagster_dsn())
    argv = house.command(context.settings.dagster.port)
    environment = house.environment(home, dsn, context.data_dir, context.config)
    sys.stdout.flush()
    os.execvpe(argv[0], argv, environment)  # noqa: S606
