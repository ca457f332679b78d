"""Give Grafana a separate role in PostgreSQL."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from psycopg.conninfo import conninfo_to_dict

from regraft.infra.postgres import dashboard_reader
from regraft.infra.postgres.pool import transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardReader:
    """Where the role connects to. ``password``: a new one, shown once; None: it keeps the one it had, or was given."""

    role: str
    host: str
    port: int
    database: str
    password: str | None = field(repr=False)


def make_dashboard_reader(dsn: str, password: str | None = None) -> DashboardReader:
    """Make the role or refresh its grants, as after an upgrade. A new role without a ``password`` gets a random one.

    Raises ConfigError where the DSN's own role may not make roles.
    """
    with transaction(dsn) as connection:
        made = None
        if password is None and not dashboard_reader.has_role(connection):
            made = secrets.token_urlsafe(24)
        dashboard_reader.grant_role(connection, password or made)
        info = connection.info
        return DashboardReader(
            role=dashboard_reader.ROLE,
            host=str(conninfo_to_dict(dsn).get("host") or info.host),
            port=info.port,
            database=info.dbname,
            password=made,
        )
