"""Run the command in a separate process that is forked from one with its modules loaded.

Arguments, folder, environment, output, exit code and files are those of ``python -m regraft``, without the second that
loading takes. Tests of the start itself, of signals and of terminals run the real one.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path

_TESTS = Path(__file__).parent.parent
_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(["support.loaded_command"])


def regraft_command(
    *arguments: str,
    cwd: Path | str,
    environment: Mapping[str, str] | None = None,
    largest_file: int | None = None,
    timeout: float = 120.0,
) -> subprocess.CompletedProcess[str]:
    """Give a command and wait for its end. It sees nothing of our own settings, unless they are in ``environment``.

    environment: all variables; None for ours without REGRAFT_*. largest_file: bytes that each of its files may have.
    After ``timeout`` seconds it is killed, and the code says so: -9.
    """
    if environment is None:
        environment = clean_environment()
    out, writes_out = _FORKING.Pipe(duplex=False)
    err, writes_err = _FORKING.Pipe(duplex=False)
    process = _FORKING.Process(
        target=_command, args=(arguments, str(cwd), dict(environment), largest_file, writes_out, writes_err)
    )
    _run_forkserver()
    process.start()
    for end in (writes_out, writes_err):
        end.close()
    late = threading.Timer(timeout, process.kill)
    late.start()
    with out, err, ThreadPoolExecutor(2) as readers:
        texts = list(readers.map(_read, (out, err)))
    process.join()
    late.cancel()
    code = process.exitcode
    assert code is not None
    process.close()
    return subprocess.CompletedProcess(["regraft", *arguments], code, *texts)


def clean_environment(**more: str) -> dict[str, str]:
    """Our variables without those that are settings of ours, and some more."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith("REGRAFT_")}, **more}


def _run_forkserver() -> None:
    """Python 3.11 tells it no path of ours, and it forks without what it cannot load."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join((str(_TESTS), *filter(None, [before])))
    try:
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _read(pipe: Connection) -> str:
    with open(pipe.fileno(), "rb", closefd=False) as whole:
        return whole.read().decode()


def _command(
    arguments: tuple[str, ...],
    cwd: str,
    environment: dict[str, str],
    largest_file: int | None,
    out: Connection,
    err: Connection,
) -> None:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for pipe, number in ((out, 1), (err, 2)):
        os.dup2(pipe.fileno(), number)
        pipe.close()
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  # open until the process ends
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115  # so is this
    tempfile.tempdir = None
    if largest_file is not None:
        sys.dont_write_bytecode = True  # half a file would be one that later starts read
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))
    sys.argv = ["regraft", *arguments]
    from regraft.__main__ import main

    try:
        main()
    finally:
        atexit._run_exitfuncs()
