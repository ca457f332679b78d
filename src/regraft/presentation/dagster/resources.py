"""The servers and folders that assets, sensors and checks use, and Regraft's errors as Dagster failures."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dagster import ConfigurableResource, Failure, InitResourceContext
from pydantic import PrivateAttr

from regraft.domain.errors import RegraftError
from regraft.infra.embedded.stack import Stack
from regraft.infra.gateway_endpoint import GatewayEndpoint
from regraft.infra.settings import Settings, load_settings
from regraft.infra.telemetry.emitter import publishing_facts
from regraft.infra.telemetry.tracer import exporting_spans


class Servers(ConfigurableResource[None]):
    """The servers and folders that the settings name.

    A DSN in ``REGRAFT_POSTGRES__DSN`` or in the config file is used as it is; without one the data folder's own server
    is adopted, or started for the time of the run.
    """

    config: str = ""

    _settings: Settings | None = PrivateAttr(default=None)
    _stack: Stack | None = PrivateAttr(default=None)
    _telling: ExitStack | None = PrivateAttr(default=None)

    @property
    def settings(self) -> Settings:
        """The settings, read when first needed."""
        if self._settings is None:
            self._settings = load_settings(Path(self.config) if self.config else None)
        return self._settings

    @property
    def dsn(self) -> str:
        """The DSN of PostgreSQL."""
        if self.settings.postgres.dsn:
            return self.settings.postgres.dsn.get_secret_value()
        if self._stack is None:
            self._stack = Stack(self.settings)
        return self._stack.postgres()

    def gateway(self) -> GatewayEndpoint:
        """The running gateway, with the key that Regraft's own calls use."""
        if self._stack is None:
            self._stack = Stack(self.settings)
        return self._stack.gateway_endpoint()

    def ingest(self) -> None:
        """Start ingest unless it runs."""
        if self._stack is None:
            self._stack = Stack(self.settings)
        self._stack.ingest()

    @property
    def workbench(self) -> Path:
        """The DuckDB file."""
        return self.settings.workbench_path

    @property
    def warehouse(self) -> str:
        """Where frozen snapshots live."""
        return self.settings.warehouse_path

    def setup_for_execution(self, context: InitResourceContext) -> None:
        """Publish the facts of this process from now on, and export its spans where traces are on."""
        traces = self.settings.otel.settings()
        self._telling = ExitStack()
        self._telling.enter_context(publishing_facts(lambda: Stack(self.settings).running_nats()))
        self._telling.enter_context(exporting_spans(traces, "regraft-dagster"))

    def teardown_after_execution(self, context: InitResourceContext) -> None:
        """Publish the last facts, and stop what was started here."""
        if self._telling is not None:
            self._telling.close()
            self._telling = None
        if self._stack is not None:
            self._stack.close()
            self._stack = None


@contextmanager
def regraft_failures() -> Iterator[None]:
    """Turn a RegraftError into a Dagster failure with the same message; only retryable errors are retried."""
    try:
        yield
    except RegraftError as error:
        raise Failure(description=str(error), allow_retries=error.retryable) from error
