"""The role that Grafana reads PostgreSQL with: some columns of some tables, none of them with content."""

from __future__ import annotations

import psycopg
from psycopg import sql

from regraft.domain.errors import ConfigError
from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

ROLE = "regraft_grafana"
_SQL = queries("postgres/dashboard_reader")


def has_role(connection: Connection) -> bool:
    """Whether the server has the role. Roles belong to a server, not to a database."""
    row = connection.execute(_SQL["is_there"]).fetchone()
    return bool(row and row["found"])


def grant_role(connection: Connection, password: str | None) -> None:
    """Make the role if it is missing and grant it what dashboards need in this database, and no more.

    ``password`` None keeps the one it has. The server gets its SCRAM verifier: the password is in no log.
    Raises ConfigError where the connection's own role may not do this.
    """
    try:
        for name in ("make_role", "bound", "revoke", "grant"):
            connection.execute(_SQL[name])
        if password is not None:
            verifier = connection.pgconn.encrypt_password(password.encode(), ROLE.encode(), b"scram-sha-256")
            statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
            connection.execute(statement.format(sql.Identifier(ROLE), sql.Literal(verifier.decode())))
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction) as error:
        raise ConfigError(
            f"PostgreSQL does not let {connection.info.user} make the role {ROLE} and grant to it"
            f" ({error.diag.message_primary}). Set a postgres.dsn whose role owns the tables and has CREATEROLE."
        ) from error
