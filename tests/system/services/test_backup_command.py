"""A backup is one consistent set, and a log again wherever it is restored."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from regraft.domain.errors import ConflictError, IntegrityError, NotFoundError, UsageError
from regraft.flows.backup import MANIFEST, BackupSource, back_up, check_backup, restore
from regraft.flows.datasets.export import export
from regraft.flows.datasets.freeze import freeze
from regraft.flows.datasets.verify import verify
from regraft.infra.postgres.dump import table_rows
from regraft.infra.postgres.pool import connect, transaction
from support.regraft_command import clean_environment, regraft_command
from support.small_graph import SmallGraph, every_kind
from support.waiting import until

RECIPE = 'name = "rows"\nkind = "sft"\n'


@pytest.fixture
def source(truth: str, tmp_path: Path) -> BackupSource:
    """A log with a frozen dataset and keys."""
    with transaction(truth) as connection:
        every_kind(SmallGraph(connection))
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "keys.json").write_text('{"keys": "digests"}')
    freeze(RECIPE, dsn=truth, workbench=folder / "workbench.duckdb", warehouse=str(folder / "warehouse"))
    return BackupSource(truth=truth, dagster=None, data_dir=folder, warehouse=str(folder / "warehouse"))


@pytest.fixture
def elsewhere(truth: str, tmp_path: Path) -> Iterator[BackupSource]:
    """An empty database and an empty folder."""
    server, _, _ = truth.rpartition("/")
    name = f"restored_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(truth, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    folder = tmp_path / "there"
    folder.mkdir()
    yield BackupSource(truth=f"{server}/{name}", dagster=None, data_dir=folder, warehouse=str(folder / "warehouse"))
    with psycopg.connect(truth, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def contents(dsn: str) -> dict[str, str]:
    """A digest of all rows of each table."""
    with connect(dsn) as connection:
        found = {}
        for each in table_rows(connection):
            table = sql.Identifier(*each.table.split("."))
            digest = "SELECT md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text), '')) AS rows FROM {} t"
            row = connection.execute(sql.SQL(digest).format(table)).fetchone()
            assert row is not None
            found[each.table] = row["rows"]
        return found


def test_a_restored_log_has_the_same_rows_files_and_keys(
    source: BackupSource, elsewhere: BackupSource, tmp_path: Path
) -> None:
    manifest = back_up(source, tmp_path / "backup")
    assert manifest.tables["public.conversation_branch_nodes"] > 0
    restore(tmp_path / "backup", elsewhere)
    assert contents(elsewhere.truth) == contents(source.truth)
    assert (elsewhere.data_dir / "keys.json").read_text() == '{"keys": "digests"}'
    exported = []
    for log in (source, elsewhere):
        found = verify("rows", dsn=log.truth, warehouse=log.warehouse, workbench=log.data_dir / "workbench.duckdb")
        assert found.ok
        export("rows", log.data_dir / "export", dsn=log.truth, warehouse=log.warehouse)
        exported.append((log.data_dir / "export" / "train.jsonl").read_bytes())
    assert exported[0] == exported[1]


def test_a_backup_is_of_one_moment_though_rows_come_in(source: BackupSource, tmp_path: Path) -> None:
    stop = threading.Event()
    written = threading.Event()

    def write() -> None:
        with psycopg.connect(source.truth, autocommit=True) as connection:
            while not stop.is_set():
                connection.execute(
                    "WITH named AS (SELECT gen_random_uuid() AS id)"
                    " INSERT INTO seed_themes (theme_id, name, scope, created_at)"
                    " SELECT id, id::text, 'default', now() FROM named"
                )
                written.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert written.wait(30)
        manifest = back_up(source, tmp_path / "backup")
    finally:
        stop.set()
        writer.join()
    with psycopg.connect(source.truth) as connection:
        now = connection.execute("SELECT count(*) FROM seed_themes").fetchone()
    assert now is not None
    assert 0 < manifest.tables["public.seed_themes"] <= now[0]
    check_backup(tmp_path / "backup")


def test_a_backup_with_a_changed_file_restores_nothing(
    source: BackupSource, elsewhere: BackupSource, tmp_path: Path
) -> None:
    back_up(source, tmp_path / "backup")
    file = next((tmp_path / "backup" / "warehouse").rglob("*.parquet"))
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 2] ^= 1
    file.write_bytes(whole)
    with pytest.raises(IntegrityError, match=file.name):
        restore(tmp_path / "backup", elsewhere)
    assert contents(elsewhere.truth) == {}
    assert list(elsewhere.data_dir.iterdir()) == []


def test_a_backup_of_a_newer_version_is_refused(source: BackupSource, elsewhere: BackupSource, tmp_path: Path) -> None:
    back_up(source, tmp_path / "backup")
    manifest = tmp_path / "backup" / MANIFEST
    document = json.loads(manifest.read_text())
    document["migrations"].append("9999_of_tomorrow.sql")
    manifest.write_text(json.dumps(document))
    with pytest.raises(UsageError, match=r"9999_of_tomorrow\.sql"):
        restore(tmp_path / "backup", elsewhere)
    assert contents(elsewhere.truth) == {}


def test_nothing_that_is_there_is_overwritten(source: BackupSource, elsewhere: BackupSource, tmp_path: Path) -> None:
    back_up(source, tmp_path / "backup")
    with pytest.raises(ConflictError, match="exists already"):
        back_up(source, tmp_path / "backup")
    (elsewhere.data_dir / "keys.json").write_text("other keys")
    with pytest.raises(ConflictError, match=r"keys\.json"):
        restore(tmp_path / "backup", elsewhere)
    (elsewhere.data_dir / "keys.json").unlink()
    with psycopg.connect(elsewhere.truth, autocommit=True) as connection:
        connection.execute("CREATE TABLE own (id integer)")
    with pytest.raises(ConflictError, match="empty database"):
        restore(tmp_path / "backup", elsewhere)


def test_a_restore_that_ended_half_way_is_run_again(
    source: BackupSource, elsewhere: BackupSource, tmp_path: Path
) -> None:
    back_up(source, tmp_path / "backup")
    for _ in range(2):
        restore(tmp_path / "backup", elsewhere)
        next(Path(elsewhere.warehouse).rglob("*.parquet")).unlink()
    restore(tmp_path / "backup", elsewhere)
    assert contents(elsewhere.truth) == contents(source.truth)
    found = verify("rows", dsn=elsewhere.truth, warehouse=elsewhere.warehouse)
    assert not found.files


def test_a_folder_that_is_no_backup(elsewhere: BackupSource, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="is not a backup"):
        restore(tmp_path, elsewhere)
    (tmp_path / MANIFEST).write_text("[1")
    with pytest.raises(IntegrityError, match="cannot be read"):
        restore(tmp_path, elsewhere)
    (tmp_path / MANIFEST).write_text('{"layout": 99}')
    with pytest.raises(UsageError, match="another version"):
        restore(tmp_path, elsewhere)


def test_the_commands_on_a_data_folder_of_its_own(tmp_path: Path) -> None:
    talk = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]}
    (tmp_path / "talk.jsonl").write_text(json.dumps(talk) + "\n")

    def regraft(data: str, *words: str) -> subprocess.CompletedProcess[str]:
        environment = clean_environment(REGRAFT_DATA_DIR=str(tmp_path / data))
        return regraft_command(*words, cwd=tmp_path, environment=environment)

    assert regraft("one", "backup", "copy").returncode == 3  # there is no log yet
    assert regraft("one", "import", "talk.jsonl").returncode == 0
    made = regraft("one", "backup", "copy", "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["rows"] > 0
    assert regraft("one", "backup", "copy").returncode == 1
    back = regraft("two", "restore", "copy")
    assert back.returncode == 0, back.stderr
    before, after = (regraft(data, "sessions", "--json").stdout for data in ("one", "two"))
    assert json.loads(before) == json.loads(after) != []


def test_a_backup_that_was_killed_leaves_no_folder_of_its_name(truth: str, nats_url: str, tmp_path: Path) -> None:
    with transaction(truth) as connection:
        every_kind(SmallGraph(connection))
    clean = {name: value for name, value in os.environ.items() if not name.startswith("REGRAFT_")}
    environment = {
        **clean,
        "REGRAFT_DATA_DIR": str(tmp_path / "data"),
        "REGRAFT_POSTGRES__DSN": truth,
        "REGRAFT_NATS__URL": nats_url,
    }
    draft, target = tmp_path / ".copy.unfinished", tmp_path / "copy"
    command = [sys.executable, "-m", "regraft", "backup", str(target)]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, start_new_session=True) as run:
        until(lambda: draft.exists() or run.poll() is not None)
        os.killpg(run.pid, signal.SIGKILL)
    assert not target.exists() or (target / MANIFEST).is_file()
    if not target.exists():
        subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    check_backup(target)
