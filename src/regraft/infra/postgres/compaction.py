"""Bytes that PostgreSQL keeps of rows that are gone: dead tuples, sampled values, and the write-ahead log.

``VACUUM FULL`` writes tables again. What the log of changes holds is dropped by checkpoints, once no file of it is kept
for reuse. Copies elsewhere (archives, replicas, backups) are out of reach.
"""

from __future__ import annotations

import time

import psycopg
from psycopg import sql

from regraft.infra.postgres.pool import Connection, connect

_TABLES = """
SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY pg_relation_size(c.oid)
"""
_OLDER_READERS = """
SELECT count(*) AS open FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_xmin IS NOT NULL
  AND age(backend_xmin) > age(%(now)s::xid)
"""
_POLL = 0.2
_MOST_SWITCHES = 200  # files of the log; 16 MB each


def rewrite_tables(dsn: str, patience: float = 60.0) -> dict[str, str]:
    """Write all tables of the database again, so that no byte of a dead row is left in them; what could not be done.

    PostgreSQL keeps rows that another transaction may still see: this waits for such transactions to end. Each
    table is locked while it is rewritten, and needs as much room again.
    """
    left: dict[str, str] = {}
    with connect(dsn, autocommit=True, name="regraft-compaction") as connection:
        if not _wait_for_readers(connection, patience):
            left["dead rows"] = "a transaction that began before the erasure is still open"
        connection.execute("ANALYZE")  # samples of values are taken again
        # Workers that build an index share memory of which containers often have too little.
        connection.execute("SET max_parallel_maintenance_workers = 0")
        tables = connection.execute(_TABLES).fetchall()
        for table in [*tables, {"schema": "pg_catalog", "name": "pg_statistic"}]:
            name = sql.Identifier(table["schema"], table["name"])
            try:
                connection.execute(sql.SQL("VACUUM (FULL) {}").format(name))
            except psycopg.errors.UndefinedTable:
                continue
            except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectInUse) as error:
                left[table["name"]] = str(error).strip().splitlines()[0]
    return left


def _wait_for_readers(connection: Connection, patience: float) -> bool:
    """Wait until no transaction sees the database as it was before now."""
    row = connection.execute("SELECT pg_current_xact_id()::text AS now").fetchone()
    assert row is not None
    deadline = time.monotonic() + patience
    while True:
        older = connection.execute(_OLDER_READERS, {"now": str(int(row["now"]) % (1 << 32))}).fetchone()
        if older is not None and not older["open"]:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)


def drop_old_wal(dsn: str) -> dict[str, str]:
    """Have the server remove the write-ahead log up to now, files that it keeps for reuse among it; what could not be
    done, and why."""
    with connect(dsn, autocommit=True, name="regraft-compaction") as connection:
        try:
            connection.execute("ALTER SYSTEM SET wal_recycle = off")
            connection.execute("SELECT pg_reload_conf()")
        except psycopg.errors.InsufficientPrivilege:
            return {"write-ahead log": "only a superuser may have it dropped; it goes with the server's checkpoints"}
        try:
            _wait_for_setting(connection)
            # Files that were kept for reuse lie ahead, with what they held: each is overwritten in its turn.
            for _ in range(_files_ahead(connection) + 1):
                _switch(connection)
            connection.execute("CHECKPOINT")
            _switch(connection)
            connection.execute("CHECKPOINT")
        finally:
            connection.execute("ALTER SYSTEM RESET wal_recycle")
            connection.execute("SELECT pg_reload_conf()")
        archive = connection.execute("SHOW archive_mode").fetchone()
        slots = connection.execute("SELECT count(*) AS slots FROM pg_replication_slots").fetchone()
        left = {}
        if archive and archive["archive_mode"] != "off":
            left["archive of the write-ahead log"] = "archive_mode is on: what was archived is out of reach"
        if slots and slots["slots"]:
            left["replication"] = "a replication slot may keep the write-ahead log, and a replica has a copy"
        return left


def _wait_for_setting(connection: Connection) -> None:
    for _ in range(100):
        row = connection.execute("SHOW wal_recycle").fetchone()
        if row and row["wal_recycle"] == "off":
            return
        time.sleep(0.05)


def _files_ahead(connection: Connection) -> int:
    row = connection.execute(
        "SELECT count(*) AS files FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'"
        " AND name > pg_walfile_name(pg_current_wal_insert_lsn())"
    ).fetchone()
    return min(int(row["files"]) if row else 0, _MOST_SWITCHES)


def _switch(connection: Connection) -> None:
    connection.execute("SELECT pg_logical_emit_message(false, 'regraft', '')")  # an unused file is not left
    connection.execute("SELECT pg_switch_wal()")
