"""``dagster dev`` with a guarded page: ``python -m regraft.presentation.dagster.dev dev ...``.

Dagster's page takes mutations from any web page, under any name. It has no setting against that, so that the process
that ``dagster dev`` starts for it is replaced by one that puts a guard around the same application: there is no other
port behind it. Where Dagster no longer has the place to do that, this fails instead of starting it without the guard.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from regraft.infra.environment import environment_without
from regraft.infra.settings import load_settings

PAGE = "regraft.presentation.dagster.page"
_WEBSERVER = "dagster_webserver"


class UnguardedError(RuntimeError):
    """Dagster starts its page in a way that is not known here."""


def main() -> None:
    dev: Any = import_module("dagster._cli.dev")
    begin = dev.open_ipc_subprocess  # raises AttributeError where Dagster has changed
    guarded = 0
    keys = load_settings().key_variables

    def begin_guarded(parts: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        nonlocal guarded
        if parts[1:3] == ["-m", _WEBSERVER]:
            guarded += 1
            parts = [parts[0], "-m", PAGE, *parts[3:]]
        elif not guarded:
            raise UnguardedError("This version of Dagster starts its page in another way, and nothing would guard it.")
        # Only code servers, and the runs that they start, ask models and tools: page and daemon get no keys.
        process: subprocess.Popen[Any] = begin(parts, env=environment_without(keys), **options)
        return process

    dev.open_ipc_subprocess = begin_guarded
    cli: Any = import_module("dagster._cli")
    cli.main()


if __name__ == "__main__":
    main()
