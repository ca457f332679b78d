"""``regraft dagster``: Dagster's page and daemon in the foreground."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

from regraft.presentation.cli.context import CommandContext

_PATIENCE = 10.0  # seconds to end in order; less than what `regraft up` gives its programs


def serve_dagster(context: CommandContext) -> None:
    """Run Dagster until it ends or is stopped; does not return."""
    from regraft.presentation.dagster import home as dagster_home

    dsn = context.new_postgres_dsn()
    home = dagster_home.home_of(context.data_dir)
    storage = None
    if not dagster_home.is_own(home):
        storage = context.stack.dagster_dsn()
        dagster_home.write_home(home)
    environment = dagster_home.environment(home, dsn, storage, context.data_dir, context.config)
    child = None
    # Handled, not ignored, also when this process ignores it: Dagster does on SIGTERM what it does on SIGINT.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        command = dagster_home.command(context.settings.dagster.port, context.settings.dagster.host)
        child = subprocess.Popen(command, env=environment, start_new_session=True)
        status = child.wait()
    except KeyboardInterrupt:
        status = 0
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if child:
        _end(child)
    context.close()
    sys.exit(status)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Stop Dagster and all that it started: in order, and by force what has not ended by then."""
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_PATIENCE)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
