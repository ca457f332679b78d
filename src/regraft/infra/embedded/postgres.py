"""A PostgreSQL server of our own, kept in the data folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from regraft.domain.errors import ServerStartError
from regraft.infra.embedded.kept_server import KeptServer, Launch
from regraft.infra.embedded.postgres_binaries import PostgresBinaries, available, choose, inspect
from regraft.infra.embedded.postgres_home import PostgresHome, find_home
from regraft.infra.embedded.process import LOOPBACK, LogLimits
from regraft.infra.embedded.state import RunFolder, wait_until

PORT_SETTING = "postgres.port"
USER = "regraft"
DATABASES = ("regraft", "dagster")
START_TIMEOUT = 60.0
STOP_TIMEOUT = 60.0
LEFTOVER_PATIENCE = 15.0
_NAME = "postgres"
_PASSWORD_FILE = "postgres.password"  # noqa: S105

# Appended once, when the cluster is made: a user may change them there.
_CONFIGURATION = """
# Regraft. Port, address and sockets are given on the command line, at each start.
max_connections = 100
shared_buffers = 128MB
max_wal_size = 2GB
fsync = on
synchronous_commit = on
timezone = 'UTC'
log_timezone = 'UTC'
"""


@dataclass(frozen=True, slots=True)
class PostgresEndpoint:
    """A running server: `dsn` is for the database `regraft`."""

    dsn: str
    port: int
    version: str
    pgvector: bool
    adopted: bool

    def admin_dsn(self, database: str) -> str:
        """The DSN of another database of the same server."""
        return f"{self.dsn.rpartition('/')[0]}/{database}"


class EmbeddedPostgres:
    """Starts PostgreSQL in a data folder, or adopts the one that already serves it.

    port: None takes the remembered port when it is free, else a free one.
    binaries: a folder with `postgres`, `initdb` and `pg_ctl`; None searches for the best on this machine.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        binaries: Path | None = None,
        log_limits: LogLimits = LogLimits(),
    ) -> None:
        self._data_dir = data_dir.resolve()
        self._binaries = binaries
        self._server = KeptServer(
            self._data_dir,
            _NAME,
            port,
            PORT_SETTING,
            start_timeout=START_TIMEOUT,
            stop_timeout=STOP_TIMEOUT,
            log_limits=log_limits,
        )

    def start(self) -> PostgresEndpoint:
        """Start or adopt the server and make its databases. Raises ServerStartError or PortInUseError."""
        with self._server.starting() as run:
            home = find_home(self._data_dir, run)
            password = _password(run, home)

            def answers(port: int) -> bool:
                return _answers(port, password)

            running = self._server.adopt(run, answers)
            if running is None:
                binaries = home.reachable(self._choose(home))
                _clear_the_way(home)
                if not home.cluster.exists():
                    _initialise(home, binaries, password)
                running = self._server.start(run, lambda port: _launch(home, binaries, port), answers)
            return _endpoint(running.port, password, adopted=not self._server.started_here)

    def stop(self) -> None:
        """Stop using the server. It ends, cutting its sessions, when no one else uses it."""
        self._server.stop()

    def _choose(self, home: PostgresHome) -> PostgresBinaries:
        if self._binaries is None:
            return choose(available(), home.cluster)
        named = inspect(self._binaries)
        return choose([named] if named else [], home.cluster)


def _launch(home: PostgresHome, binaries: PostgresBinaries, port: int) -> Launch:
    return Launch(
        title=f"PostgreSQL {binaries.version} in {home.cluster}",
        argv=[
            binaries.program("postgres"),
            *("-D", str(home.cluster)),
            *("-p", str(port)),
            *("-c", f"listen_addresses={LOOPBACK}"),
            *("-c", "unix_socket_directories="),
        ],
        env=_environment(),
        cwd=home.cluster,
        account=home.account,
        stop_signal=signal.SIGINT,
        details={"version": binaries.version},
    )


def _password(run: RunFolder, home: PostgresHome) -> str:
    if home.cluster.exists() and not (run.path / _PASSWORD_FILE).exists():
        raise ServerStartError(
            f"The database in {home.cluster} has a password that was kept in {run.path / _PASSWORD_FILE}, which is "
            "not there: restore that file."
        )
    return run.secret(_PASSWORD_FILE)


def _environment() -> dict[str, str]:
    """A clean one: PGPORT, PGDATA and similar names are for clients of other servers."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


def _initialise(home: PostgresHome, binaries: PostgresBinaries, password: str) -> None:
    # Characters are classified as Unicode, which lower() and pg_trgm need, where the system has such a locale;
    # text is sorted by its bytes, which does not change with the system's version.
    failed = _initdb(home, binaries, password, ctype="C.UTF-8")
    if failed and "locale" in failed:
        failed = _initdb(home, binaries, password, ctype="C")
    if failed:
        raise ServerStartError(f"initdb of PostgreSQL {binaries.version} failed in {home.path}:\n{failed}")
    with (home.draft / "postgresql.conf").open("a", encoding="utf-8") as configuration:
        configuration.write(_CONFIGURATION)
    home.draft.rename(home.cluster)


def _initdb(home: PostgresHome, binaries: PostgresBinaries, password: str, ctype: str) -> str:
    """Run initdb in the draft folder; what it complained of, or an empty text."""
    shutil.rmtree(home.draft, ignore_errors=True)
    home.draft.mkdir(mode=0o700)
    account = home.account
    with tempfile.NamedTemporaryFile("w", dir=home.path, prefix="postgres.pw.") as pwfile:
        pwfile.write(password + "\n")
        pwfile.flush()
        if account:
            os.chown(home.draft, account.uid, account.gid)
            os.chown(pwfile.name, account.uid, account.gid)
        done = subprocess.run(
            [
                binaries.program("initdb"),
                *("-D", str(home.draft)),
                *("-U", USER),
                "--encoding=UTF8",
                "--locale=C",
                f"--lc-ctype={ctype}",
                "--auth=scram-sha-256",
                f"--pwfile={pwfile.name}",
            ],
            env=_environment(),
            cwd=home.draft,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    return "" if done.returncode == 0 else done.stdout.strip() or f"exit status {done.returncode}"


def _clear_the_way(home: PostgresHome) -> None:
    """Wait for what a killed server left running, and remove its lock when its id is taken by another process.

    Only then: for a dead id PostgreSQL does better itself, as it also searches for shared memory in use.
    """
    lock = home.cluster / "postmaster.pid"
    if sys.platform != "linux" or not lock.exists():
        return
    if not wait_until(lambda: not _processes_in(home.cluster), LEFTOVER_PATIENCE):
        pids = " ".join(str(pid) for pid in _processes_in(home.cluster))
        raise ServerStartError(
            f"PostgreSQL processes that this start did not expect serve {home.cluster}: stop them with "
            f"`kill -INT {pids}` and start again."
        )
    # Read again: a server that ends in order removes its lock as its last act.
    if lock.exists() and Path("/proc", lock.read_text("utf-8", "replace").partition("\n")[0]).exists():
        lock.unlink()


def _processes_in(cluster: Path) -> list[int]:
    """The ids of processes whose working folder is the cluster: a server, and backends that outlived theirs."""
    pids = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            # What we may not look at belongs to another account, and so not to this server.
            with contextlib.suppress(PermissionError, FileNotFoundError, ProcessLookupError):
                if (process / "cwd").readlink() == cluster:
                    pids.append(int(process.name))
    return pids


def _answers(port: int, password: str) -> bool:
    try:
        with psycopg.connect(_dsn(port, password, "postgres"), connect_timeout=5):
            return True
    except psycopg.OperationalError as error:
        if "password authentication failed" in str(error):
            raise ServerStartError(
                f"PostgreSQL on port {port} refused the password kept in run/{_PASSWORD_FILE}: restore the file that "
                "belongs to this database."
            ) from error
        return False


def _endpoint(port: int, password: str, *, adopted: bool) -> PostgresEndpoint:
    with psycopg.connect(_dsn(port, password, "postgres"), autocommit=True) as connection:
        present = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
        for database in DATABASES:
            if database not in present:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        vector = connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'").fetchone()
        version = connection.info.parameter_status("server_version") or ""
    return PostgresEndpoint(
        dsn=_dsn(port, password, DATABASES[0]),
        port=port,
        version=version.split(" ")[0],
        pgvector=vector is not None,
        adopted=adopted,
    )


def _dsn(port: int, password: str, database: str) -> str:
    return f"postgresql://{USER}:{password}@{LOOPBACK}:{port}/{database}"
