"""Save a log in the schema of this version, as a test of later migrations.

    python tests/golden/schemas/make.py

fills a separate deployment by the commands that a person would give (captured, replayed, evaluated, judged, reviewed,
frozen, erased), and writes its database as ``NNNN.sql.gz``, NNNN being the newest migration: the statements that make
it, which any PostgreSQL of the same major version or a later one takes. A file that is there stays as it is.
"""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parents[1]))

from regraft.infra.embedded.postgres import EmbeddedPostgres  # noqa: E402
from regraft.infra.embedded.postgres_binaries import available  # noqa: E402
from regraft.infra.postgres.migrate import migrate, migrations  # noqa: E402
from regraft.infra.postgres.pool import connect  # noqa: E402
from support.filled_stack import FilledStack, deployed_web, fill, review  # noqa: E402

_FOR_PSQL = re.compile(r"^\\(un)?restrict .*\n", re.MULTILINE)
_OPTIONS = ("--no-owner", "--no-privileges", "--inserts", "--rows-per-insert=500", "--encoding=UTF8")


def main() -> None:
    """Write the dump of the newest schema, unless it is there."""
    newest = migrations()[-1]
    file = FOLDER / f"{newest.number:04}.sql.gz"
    if file.exists():
        print(f"{file} is there already: a schema that was released does not change.")
        return
    with tempfile.TemporaryDirectory(prefix="regraft-schema-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = EmbeddedPostgres(folder / "server")
        try:
            endpoint = server.start()
            with psycopg.connect(endpoint.dsn, autocommit=True) as connection:
                connection.execute("CREATE DATABASE regraft_template")
            with connect(endpoint.admin_dsn("regraft_template"), autocommit=True) as connection:
                migrate(connection)
            (folder / "log").mkdir()
            with deployed_web(endpoint, folder / "log") as stack:
                fill(stack)
                stack.web.start()
                review(stack)
                _erase_one(stack)
                text = _dump(stack.deployment.dsn)
        finally:
            server.stop()
    packed = gzip.compress(text.encode(), compresslevel=9, mtime=0)
    file.write_bytes(packed)
    print(f"{file}: {len(text):,} characters, {len(packed):,} bytes packed")


def _erase_one(stack: FilledStack) -> None:
    """One conversation is erased, so that there are tombstones."""
    (row,) = stack.deployment.ask("SELECT session_id FROM session_turn ORDER BY turn_id LIMIT 1")
    stack.deployment.regraft("erase", "--session", str(row["session_id"]), "--yes")


def _dump(dsn: str) -> str:
    """The database as statements, without psql's own commands."""
    program = next(binaries.program("pg_dump") for binaries in available())
    done = subprocess.run([program, *_OPTIONS, f"--dbname={dsn}"], capture_output=True, text=True, check=True)
    return _FOR_PSQL.sub("", done.stdout)


if __name__ == "__main__":
    main()
