"""The servers of one data folder together: configured ones are used, running ones adopted, missing ones started."""

from __future__ import annotations

import os
from collections.abc import Set
from pathlib import Path
from typing import TYPE_CHECKING

from regraft.domain.errors import ConfigError, NotFoundError, UsageError
from regraft.infra.config.place import CONFIG_FILE, DATA_FOLDER
from regraft.infra.embedded.model import EmbeddedModel, ModelEndpoint
from regraft.infra.embedded.nats import EmbeddedNats
from regraft.infra.embedded.postgres import EmbeddedPostgres
from regraft.infra.embedded.postgres_home import has_cluster
from regraft.infra.embedded.process import LogLimits
from regraft.infra.embedded.program import STOP_TIMEOUT, EmbeddedProgram
from regraft.infra.postgres.migrate import migrate, migrations, pending
from regraft.infra.postgres.pool import connect
from regraft.infra.settings import Settings, config_file

if TYPE_CHECKING:
    from regraft.infra.gateway_endpoint import GatewayEndpoint

INGEST = "ingest"
GATEWAY = "gateway"
WEB = "web"
DAGSTER = "dagster"
METRICS = "metrics"


class Stack:
    """Each method makes its part ready and says where it is; ``close`` stops what was started here, in order."""

    def __init__(self, settings: Settings, config: Path | None = None) -> None:
        self.settings = settings
        self._config = config
        self._postgres: EmbeddedPostgres | None = None
        self._nats: EmbeddedNats | None = None
        self._model: EmbeddedModel | None = None
        self._programs: dict[str, EmbeddedProgram] = {}
        self._dsn = ""

    def postgres(self) -> str:
        """The DSN of the database, with its schema up to date."""
        if not self._dsn:
            dsn = self.bare_postgres()
            with connect(dsn, autocommit=True, name="regraft-migrate") as connection:
                migrate(connection)
            self._dsn = dsn
        return self._dsn

    def bare_postgres(self) -> str:
        """The DSN of the database, which may have no tables."""
        if self.settings.postgres.dsn:
            return self.settings.postgres.dsn.get_secret_value()
        self._may_start("PostgreSQL", "postgres.dsn")
        self._postgres = EmbeddedPostgres(
            self.settings.data_dir, self.settings.postgres.port, log_limits=self.log_limits
        )
        return self._postgres.start().dsn

    def existing_postgres(self, *, migrating: bool = False) -> str:
        """The DSN of an existing database; none is created. ``migrating`` applies pending migrations.

        Raises NotFoundError where there is none, UsageError when it waits for migrations.
        """
        if not self._dsn:
            self._dsn = self._find_postgres(migrating=migrating, waiting_is_wrong=not migrating)
        return self._dsn

    def unmigrated_postgres(self) -> str:
        """The DSN of an existing database, which may have pending migrations. Raises NotFoundError."""
        return self._dsn or self._find_postgres(migrating=False, waiting_is_wrong=False)

    def _find_postgres(self, *, migrating: bool, waiting_is_wrong: bool) -> str:
        if self.settings.postgres.dsn:
            place, dsn = "the database of postgres.dsn", self.settings.postgres.dsn.get_secret_value()
        else:
            self._may_start("PostgreSQL", "postgres.dsn")
            folder = self.settings.data_dir.absolute()
            place = str(folder)
            if not has_cluster(folder):
                raise NotFoundError(self._no_log(folder))
            self._postgres = EmbeddedPostgres(
                self.settings.data_dir, self.settings.postgres.port, log_limits=self.log_limits
            )
            dsn = self._postgres.start().dsn
        with connect(dsn, autocommit=True, name="regraft-schema") as connection:
            waiting = pending(connection)
            if len(waiting) == len(migrations()):
                raise NotFoundError(f"There is no log in {place}: it has no tables. `regraft db migrate` makes them.")
            if waiting and waiting_is_wrong:
                raise UsageError(
                    f"The log in {place} was made by an older version of Regraft and lacks {len(waiting)} of this "
                    "version's migrations: `regraft upgrade` backs it up and applies them."
                )
            if waiting and migrating:
                migrate(connection)
        return dsn

    def _no_log(self, folder: Path) -> str:
        """Where a log was searched for, what named that place, and what makes one."""
        config = config_file(self._config)
        if os.environ.get("REGRAFT_DATA_DIR"):
            why = "which REGRAFT_DATA_DIR names"
        elif config is not None:
            why = f"the data folder of {config}"
        else:
            why = f"and neither a {DATA_FOLDER} nor a {CONFIG_FILE} in a folder above it"
        return (
            f"There is no log in {folder}, {why}. `regraft up`, `regraft import FILE` or `regraft demo` makes one "
            "there. To read another log run this command in its folder, or name it with --config or REGRAFT_DATA_DIR."
        )

    def dagster_dsn(self) -> str:
        """The DSN of Dagster's own database: the configured one, else one beside the truth on the embedded server."""
        if self.settings.dagster.dsn:
            return self.settings.dagster.dsn.get_secret_value()
        self.postgres()
        if self._postgres is None:
            raise ConfigError("Dagster needs a database of its own beside that of postgres.dsn: set dagster.dsn.")
        return self._postgres.start().admin_dsn("dagster")

    def own_dagster_dsn(self) -> str | None:
        """The DSN of Dagster's database where it is ours, on the embedded server; it may have no tables."""
        return self._postgres.start().admin_dsn("dagster") if self._postgres is not None else None

    def nats(self) -> str:
        """The URL of the stream."""
        if self.settings.nats.url:
            return self.settings.nats.url.get_secret_value()
        self._may_start("NATS", "nats.url")
        if self._nats is None:
            self._nats = EmbeddedNats(self.settings.data_dir, self.settings.nats.port, self.log_limits)
        return self._nats.start().url

    def model(self) -> ModelEndpoint | None:
        """The local model; None when upstreams are configured."""
        if self.settings.upstreams:
            return None
        self._may_start("the local model", "[upstreams.NAME] base_url")
        if self._model is None:
            section = self.settings.model
            self._model = EmbeddedModel(
                self.settings.data_dir,
                section.port,
                section.threads,
                section.context,
                withheld=self.settings.key_variables,
                log_limits=self.log_limits,
            )
        return self._model.start()

    def gateway_url(self) -> str:
        """The address of the gateway, running or not."""
        if self.settings.client.gateway_url:
            return self.settings.client.gateway_url
        return _url(self.settings.gateway.host, self.settings.gateway.port)

    def web_url(self) -> str:
        """The address of the web API, running or not."""
        return _url(self.settings.web.host, self.settings.web.port)

    def dagster_url(self) -> str:
        """The address of Dagster's page, running or not."""
        return _url(self.settings.dagster.host, self.settings.dagster.port)

    def metrics_url(self) -> str:
        """The address of ``regraft metrics``, running or not."""
        return _url(self.settings.metrics.host, self.settings.metrics.port)

    def running_nats(self) -> str | None:
        """The URL of the stream where it runs already; nothing is started."""
        if self.settings.nats.url:
            return self.settings.nats.url.get_secret_value()
        return EmbeddedNats(self.settings.data_dir, self.settings.nats.port).running_url()

    def gateway(self) -> str:
        """The gateway's URL, with the gateway running; one that is elsewhere is not looked at."""
        if self.settings.client.gateway_url or not self.settings.start_services:
            return self.gateway_url()
        gateway = self.settings.gateway
        self.run(GATEWAY, port=gateway.port, port_setting="gateway.port", health=f"{self.gateway_url()}/healthz")
        return self.gateway_url()

    def gateway_endpoint(self) -> GatewayEndpoint:
        """The gateway, running, with the key that our own calls show there. Raises ConfigError for a lost key."""
        from regraft.infra.gateway_endpoint import GatewayEndpoint

        key = self.settings.client.api_key()
        return GatewayEndpoint(self.gateway(), key)

    def ingest(self) -> None:
        """Make sure that ingest is running, unless services are started by something else."""
        if self.settings.start_services:
            self.run(INGEST)

    def run(
        self,
        name: str,
        *,
        port: int | None = None,
        port_setting: str = "",
        health: str | None = None,
        start_timeout: float = 60.0,
    ) -> EmbeddedProgram:
        """Make sure that ``regraft NAME`` runs in the background."""
        if name not in self._programs:
            argv = ["regraft", *(["--config", str(self._config)] if self._config else []), name]
            env = {"REGRAFT_DATA_DIR": str(self.settings.data_dir.resolve())}
            self._programs[name] = EmbeddedProgram(
                self.settings.data_dir,
                name,
                argv,
                port=port,
                port_setting=port_setting,
                health=health,
                env=env,
                withheld=self._withheld(name),
                start_timeout=start_timeout,
                stop_timeout=self._stop_timeout(name),
                log_limits=self.log_limits,
            )
        self._programs[name].start()
        return self._programs[name]

    def _stop_timeout(self, name: str) -> float:
        """Seconds that a program gets to end: the gateway lets calls finish first."""
        gateway = self.settings.gateway
        return STOP_TIMEOUT + (gateway.drain_notice + gateway.drain_seconds if name == GATEWAY else 0.0)

    def _withheld(self, name: str) -> Set[str]:
        """Keys that a program does not need. Dagster's runs ask models and tools, and may start the gateway; the web
        process replays, for which it asks the gateway, and tools where they are live. Ingest and the web process export
        traces."""
        keys, used = self.settings.key_variables, self.settings.gateway_variables
        if name == DAGSTER:
            return frozenset()
        if name == WEB:
            return used - self.settings.tool_variables
        if name == INGEST:
            return keys - self.settings.trace_variables
        return keys - used if name == GATEWAY else keys

    def _may_start(self, what: str, setting: str) -> None:
        """Raises ConfigError where nothing may be started here."""
        if not self.settings.start_services:
            raise ConfigError(f"start_services is false, so {what} is not started here: set {setting}.")

    @property
    def log_limits(self) -> LogLimits:
        """How large logs of what runs in the background become."""
        return LogLimits(self.settings.logs.max_mib << 20, self.settings.logs.keep)

    def programs(self) -> list[EmbeddedProgram]:
        """Our own processes, in the order in which they were started."""
        return list(self._programs.values())

    def keep_servers(self) -> None:
        """Start again any embedded server that was started here and has ended."""
        for server in (self._postgres, self._nats, self._model):
            if server is not None:
                server.start()

    def close(self) -> None:
        """Stop what was started here: clients before their servers."""
        for program in reversed(self._programs.values()):
            program.stop()
        for server in (self._model, self._nats, self._postgres):
            if server is not None:
                server.stop()
        self._programs, self._model, self._nats, self._postgres, self._dsn = {}, None, None, None, ""


def _url(host: str, port: int) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}"
