"""Logs that earlier versions made are migrated without losing a row; ``regraft upgrade`` says what it would do, and
does it after a backup."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from regraft import __version__
from regraft.domain.errors import UnavailableError
from regraft.flows import upgrade as flow
from regraft.flows.backup import BackupSource, check_backup
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.lineage import build, reading
from regraft.infra.embedded.postgres import PostgresEndpoint
from regraft.infra.embedded.postgres_binaries import available
from regraft.infra.embedded.state import VERSION, RunFolder, ServerState
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.migrate import migrate, migrations, pending
from regraft.infra.postgres.pool import connect
from support.regraft_command import clean_environment, regraft_command

SCHEMAS = Path(__file__).parents[2] / "golden" / "schemas"
DUMPS = sorted(file.name.partition(".")[0] for file in SCHEMAS.glob("*.sql.gz"))
OLDEST = DUMPS[0]
CHANGED: dict[tuple[str, str], str] = {}  # (dump, table) whose content a later migration means to change, and why


class Log:
    """A database that an earlier version made, and a data folder for it."""

    def __init__(self, dsn: str, folder: Path) -> None:
        self.dsn, self.folder = dsn, folder

    @property
    def schema(self) -> str:
        """The number of its newest migration."""
        with connect(self.dsn, autocommit=True) as connection:
            row = connection.execute("SELECT max(number) AS number FROM schema_migration").fetchone()
        assert row is not None
        return f"{row['number']:04}"

    @property
    def waiting(self) -> list[str]:
        """The names of the migrations that it does not have."""
        with connect(self.dsn, autocommit=True) as connection:
            return [each.name for each in pending(connection)]

    @property
    def source(self) -> BackupSource:
        return BackupSource(truth=self.dsn, dagster=None, data_dir=self.folder, warehouse=str(self.folder / "none"))

    def regraft(self, *words: str) -> subprocess.CompletedProcess[str]:
        own = {"REGRAFT_DATA_DIR": str(self.folder), "REGRAFT_POSTGRES__DSN": self.dsn}
        return regraft_command(*words, cwd=Path.cwd(), environment=clean_environment(**own))


@pytest.fixture
def old(postgres: PostgresEndpoint, tmp_path: Path) -> Iterator[Callable[[str], Log]]:
    """A log as the version of a dump left it."""
    made: list[str] = []

    def load(dump: str) -> Log:
        name = f"old_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(postgres.dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        made.append(name)
        with psycopg.connect(postgres.admin_dsn(name), autocommit=True) as connection:
            connection.execute(gzip.decompress((SCHEMAS / f"{dump}.sql.gz").read_bytes()))
        folder = tmp_path / "data"
        folder.mkdir(exist_ok=True)
        return Log(postgres.admin_dsn(name), folder)

    yield load
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        for name in made:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def columns(dsn: str) -> dict[str, list[str]]:
    """The columns of each table, in their order."""
    with connect(dsn) as connection:
        rows = connection.execute(
            "SELECT c.table_name AS name, c.column_name AS part FROM information_schema.columns c"
            " JOIN pg_tables t ON t.schemaname = c.table_schema AND t.tablename = c.table_name"
            " WHERE c.table_schema = 'public' ORDER BY c.table_name, c.ordinal_position"
        ).fetchall()
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["name"], []).append(row["part"])
    return found


def contents(dsn: str, of: dict[str, list[str]]) -> dict[str, tuple[int, str]]:
    """How many rows each table has, and a digest of these columns of them."""
    found = {}
    with connect(dsn) as connection:
        for table, parts in of.items():
            statement = sql.SQL(
                "SELECT count(*) AS rows, md5(coalesce(string_agg(digest, '' ORDER BY digest), '')) AS digest"
                " FROM (SELECT md5(ROW({})::text) AS digest FROM {}) AS each"
            ).format(sql.SQL(", ").join(map(sql.Identifier, parts)), sql.Identifier(table))
            row = connection.execute(statement).fetchone()
            assert row is not None
            found[table] = (row["rows"], row["digest"])
    return found


def schema_dump(dsn: str) -> str:
    """Everything but the rows, as statements."""
    program = next(binaries.program("pg_dump") for binaries in available())
    options = ("--schema-only", "--no-owner", "--no-privileges", "--exclude-table=iceberg_*", f"--dbname={dsn}")
    text = subprocess.run([program, *options], capture_output=True, text=True, check=True).stdout
    return "\n".join(line for line in text.splitlines() if not line.startswith("\\"))


def schema_of(dsn: str, postgres: PostgresEndpoint) -> str:
    """The schema, restored once: PostgreSQL writes a view that was made from a dump a little differently."""
    name = f"schema_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            with psycopg.connect(postgres.admin_dsn(name), autocommit=True) as restored:
                restored.execute(schema_dump(dsn).encode())
            return schema_dump(postgres.admin_dsn(name))
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def told(done: subprocess.CompletedProcess[str], code: int = 0) -> Any:
    assert done.returncode == code, (done.stdout, done.stderr)
    return json.loads(done.stdout)


def test_the_newest_schema_is_kept_with_data_for_later_versions() -> None:
    newest = f"{migrations()[-1].number:04}"
    assert newest in DUMPS, "a new migration needs a log to be tried on: run `python tests/golden/schemas/make.py`"


@pytest.mark.parametrize("dump", DUMPS)
def test_a_log_of_each_earlier_schema_is_migrated_and_keeps_every_row(
    old: Callable[[str], Log], truth: str, postgres: PostgresEndpoint, dump: str, calls: Any
) -> None:
    log = old(dump)
    kept = columns(log.dsn)
    before = contents(log.dsn, kept)
    filled = [table for table, (rows, _) in before.items() if rows]
    assert len(filled) > 40, f"{dump} has rows in {filled} only"
    waiting = log.waiting
    assert bool(waiting) == (dump != DUMPS[-1])
    with connect(log.dsn, autocommit=True) as connection:
        assert migrate(connection) == waiting
    assert schema_of(log.dsn, postgres) == schema_of(truth, postgres), (
        "a migrated log has another schema than a new one"
    )
    now = columns(log.dsn)
    common = {table: [part for part in parts if part in now.get(table, ())] for table, parts in kept.items()}
    assert [table for table, parts in kept.items() if common[table] != parts and (dump, table) not in CHANGED] == []
    after = contents(log.dsn, common)
    different = {table for table in before if before[table] != after[table]} - {"schema_migration"}
    assert different == {table for where, table in CHANGED if where == dump}
    with connect(log.dsn, autocommit=True) as connection:  # and it continues
        ingest(connection, [encode_exchange(calls([{"role": "user", "content": "a new question"}]))], SeenIds())
    build.build(log.dsn)
    sessions = reading.sessions(log.dsn)
    assert len(sessions) > 10
    assert reading.status(log.dsn)["waiting_turns"] == 0
    assert all(reading.tree(log.dsn, str(session["session_id"])).nodes for session in sessions[:10])


def test_the_check_says_what_waits_and_changes_nothing(old: Callable[[str], Log]) -> None:
    log = old(OLDEST)
    before = contents(log.dsn, columns(log.dsn))
    done = log.regraft("upgrade", "--check", "--json")
    found = told(done, 6)
    assert "`regraft upgrade` applies them" in done.stderr
    assert [each["name"] for each in found["waiting"]] == log.waiting != []
    effects = [effect for each in found["waiting"] for effect in each["effects"]]
    assert {"table": "preference_labels", "what": "indexed", "whole": True} in effects
    assert (found["backup"], found["unknown"], found["services"]) == (None, [], [])
    assert found["free"] > found["bytes"] > 0
    text = log.regraft("upgrade", "--check")
    assert text.returncode == 6
    assert "preference_labels is indexed" in text.stdout
    assert "no backup in" in text.stdout
    assert log.schema == OLDEST
    assert contents(log.dsn, columns(log.dsn)) == before


def test_an_upgrade_backs_up_first_and_then_there_is_nothing_to_do(old: Callable[[str], Log]) -> None:
    log = old(OLDEST)
    waiting = log.waiting
    done = told(log.regraft("upgrade", "--no-verify", "--json"))
    assert done["applied"] == waiting
    assert done["changed"] == {}
    backup = check_backup(Path(done["backup"]))
    assert Path(done["backup"]).parent == log.folder / "backups"
    assert backup.migrations[-1].startswith(OLDEST)
    found = told(log.regraft("upgrade", "--check", "--json"))
    assert (found["waiting"], found["backup"]["folder"]) == ([], done["backup"])
    assert found["backup"]["current"] is False  # it was made of the schema before
    again = log.regraft("upgrade")
    assert (again.returncode, again.stdout) == (0, "Nothing waited: the log is up to date.\n")
    assert len(list((log.folder / "backups").iterdir())) == 1


def test_frozen_datasets_are_verified_once_the_log_is_migrated(old: Callable[[str], Log]) -> None:
    log = old(OLDEST)
    done = log.regraft("upgrade", "--no-backup")
    assert done.returncode != 0
    assert "regraft: " in done.stderr  # their files were not kept with the dump
    assert log.waiting == []


def test_a_log_of_a_newer_version_is_left_alone(old: Callable[[str], Log]) -> None:
    log = old(OLDEST)
    with connect(log.dsn, autocommit=True) as connection:
        connection.execute("INSERT INTO schema_migration VALUES (9999, '9999_of_tomorrow.sql', '\\x00')")
    for words in (("upgrade", "--check"), ("upgrade",)):
        done = log.regraft(*words)
        assert done.returncode == 2
        assert "does not know 9999_of_tomorrow.sql" in done.stderr
    assert log.schema == "9999"
    assert not (log.folder / "backups").exists()


def test_services_of_another_version_have_to_be_stopped(old: Callable[[str], Log]) -> None:
    log = old(OLDEST)
    run = RunFolder.of(log.folder)
    run.write("gateway", ServerState.of(os.getpid(), 4700, {VERSION: "0.0.1"}))
    check = log.regraft("upgrade", "--check")
    assert "gateway of 0.0.1" in check.stdout
    done = log.regraft("upgrade")
    assert done.returncode == check.returncode == 1
    assert "Stop them first (`regraft down`)" in done.stderr
    assert log.schema == OLDEST
    run.write("gateway", ServerState.of(os.getpid(), 4700, {VERSION: __version__}))
    assert log.regraft("upgrade", "--no-backup", "--no-verify").returncode == 0
    assert not (log.folder / "backups").exists()


def test_a_table_that_is_held_and_a_migration_that_fails_change_nothing(
    old: Callable[[str], Log], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = old(OLDEST)
    monkeypatch.setattr(flow, "LOCK_PATIENCE", 1)
    found = flow.check_upgrade(log.source, [], log.folder / "backups")
    with connect(log.dsn) as other:
        other.execute("LOCK TABLE preference_labels IN SHARE ROW EXCLUSIVE MODE")
        with pytest.raises(UnavailableError, match="nothing was changed"):
            flow.upgrade(log.source, found, None, lambda _: 0)
        other.execute("LOCK TABLE preference_labels IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(UnavailableError, match="Another process holds a table"):
            flow.check_upgrade(log.source, [], log.folder / "backups")
    assert log.schema == OLDEST
    with connect(log.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE theme_changes (of text)")
    done = log.regraft("upgrade", "--no-verify")
    assert done.returncode == 4
    assert 'A migration failed, and nothing was changed: relation "theme_changes" already exists' in done.stderr
    assert log.schema == OLDEST


def test_a_backup_that_does_not_fit_is_not_begun(old: Callable[[str], Log]) -> None:
    log = old(OLDEST)
    found = flow.check_upgrade(log.source, [], log.folder / "backups")
    full = flow.UpgradeCheck(
        **{name: getattr(found, name) for name in found.__dataclass_fields__ if name != "free"}, free=1 << 20
    )
    with pytest.raises(UnavailableError, match="set `backups` to another folder"):
        flow.upgrade(log.source, full, log.folder / "backups", lambda _: 0)
    assert log.schema == OLDEST
