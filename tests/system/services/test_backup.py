"""A dump of the database is restored by PostgreSQL's own tools, and the restored database works."""

from __future__ import annotations

import subprocess

import psycopg
import pytest

from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.lineage import build, reading
from regraft.infra.embedded.postgres import EmbeddedPostgres
from regraft.infra.embedded.postgres_binaries import available
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.migrate import migrate
from regraft.infra.postgres.pool import connect

WORDS = "The lighthouse keeper counted the ships."


@pytest.mark.parametrize("binaries", available(), ids=lambda found: found.version)
def test_a_dump_is_restored_analysed_and_searched(binaries, tmp_path, calls):
    server = EmbeddedPostgres(tmp_path / "pg", binaries=binaries.folder)
    try:
        dsn = server.start().dsn
        with connect(dsn, autocommit=True) as connection:
            migrate(connection)
            told = [{"role": "user", "content": [{"type": "text", "text": f"\x00 {WORDS}"}]}]
            ingest(connection, [encode_exchange(calls(told, f"{WORDS} {number}")) for number in range(3)], SeenIds())
            build.build(dsn)
            connection.execute("CREATE DATABASE restored")
        restored = dsn.rsplit("/", 1)[0] + "/restored"
        dump = tmp_path / "dump.sql"
        subprocess.run([binaries.program("pg_dump"), dsn, "--file", str(dump)], check=True)
        done = subprocess.run(
            [binaries.program("psql"), restored, "-v", "ON_ERROR_STOP=1", "-qf", str(dump)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        with psycopg.connect(restored, autocommit=True) as connection:
            connection.execute("SET search_path = ''")
            connection.execute("ANALYZE public.message")
        assert len(reading.find(restored, "lighthouse", 10)) == len(reading.find(dsn, "lighthouse", 10)) == 3
        with connect(restored, autocommit=True) as connection:
            assert migrate(connection) == []
            counts = ingest(connection, [encode_exchange(calls())], SeenIds())
            assert counts.new_turns == 1
    finally:
        server.stop()
