"""``regraft dagster``: Dagster's page and daemon in the foreground."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from regraft.presentation.cli.context import Context


def serve_dagster(context: Context) -> None:
    """Run Dagster until it ends or is told to; does not return.

    With a PostgreSQL of its own in the data folder Dagster is a child: servers started here would end with this
    process's program. Else this process becomes Dagster.
    """
    from regraft.presentation.dagster import home as house

    dsn = context.postgres_dsn()
    home = house.home_of(context.data_dir)
    if not house.is_own(home):
        house.write_home(home, context.stack.dagster_dsn())
    argv = house.command(context.settings.dagster.port)
    environment = house.environment(home, dsn, context.data_dir, context.config)
    sys.stdout.flush()
    if context.settings.postgres.dsn:
        os.execvpe(argv[0], argv, environment)  # noqa: S606
    child = subprocess.Popen(argv, env=environment)
    signal.signal(signal.SIGTERM, lambda number, _: child.send_signal(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the child by itself, as one of the terminal's group
    status = child.wait()
    context.close()
    sys.exit(128 - status if status < 0 else status)
