"""What assets, sensors and checks work with, and how our errors look to Dagster."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dagster import ConfigurableResource, Failure, InitResourceContext
from pydantic import PrivateAttr

from regraft.domain.errors import RegraftError
from regraft.infra.embedded.stack import Stack
from regraft.infra.llm.client import Door
from regraft.infra.settings import Settings, load_settings


class House(ConfigurableResource[None]):
    """The servers and folders that the settings name.

    A DSN in ``REGRAFT_POSTGRES__DSN`` or in the config file is used as it is; without one the data folder's own server
    is adopted, or started for the time of the run.
    """

    config: str = ""

    _settings: Settings | None = PrivateAttr(default=None)
    _stack: Stack | None = PrivateAttr(default=None)

    @property
    def settings(self) -> Settings:
        """The settings, read when first needed."""
        if self._settings is None:
            self._settings = load_settings(Path(self.config) if self.config else None)
        return self._settings

    @property
    def dsn(self) -> str:
        """The truth."""
        if self.settings.postgres.dsn:
            return self.settings.postgres.dsn.get_secret_value()
        if self._stack is None:
            self._stack = Stack(self.settings)
        return self._stack.postgres()

    def gateway(self) -> Door:
        """The gateway, running, with the key that our own calls show there."""
        if self._stack is None:
            self._stack = Stack(self.settings)
        return self._stack.door()

    def ingest(self) -> None:
        """Make sure that captured calls are being stored."""
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

    def teardown_after_execution(self, context: InitResourceContext) -> None:
        """Stop what was started here."""
        if self._stack is not None:
            self._stack.close()
            self._stack = None


@contextmanager
def told() -> Iterator[None]:
    """An error of ours as a failure with its one message; only what may pass by itself is tried again."""
    try:
        yield
    except RegraftError as error:
        raise Failure(description=str(error), allow_retries=error.retryable) from error
