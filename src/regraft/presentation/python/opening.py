"""Which log is opened: by a config file, by the address of its database, or by its data folder."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr, ValidationError

from regraft.domain.errors import UsageError
from regraft.infra.config.mistakes import config_error
from regraft.infra.config.servers import PostgresSection
from regraft.infra.embedded.stack import Stack
from regraft.infra.settings import Settings, load_settings
from regraft.presentation.python.log import Log


def open_log(
    config: str | Path | None, *, dsn: str | None, warehouse: str | None, data_dir: str | Path | None, create: bool
) -> Log:
    """The log that these name. Raises ConfigError, UsageError or NotFoundError; no server is started yet."""
    if config is not None and (dsn is not None or data_dir is not None):
        raise UsageError("Name a log by its config file or by its address, not by both.")
    file = Path(config) if config is not None else None
    settings = load_settings(file) if dsn is None else _settings_of_the_environment()
    changes: dict[str, object] = {}
    if dsn is not None:
        changes["postgres"] = PostgresSection(dsn=SecretStr(dsn))
        changes["warehouse"] = warehouse
    elif warehouse is not None:
        changes["warehouse"] = warehouse
    if data_dir is not None:
        changes["data_dir"] = Path(data_dir)
    settings = settings.model_copy(update=changes)
    # The measurements of another log may lie in the default data folder: they are not this one's.
    unnamed = dsn is not None and data_dir is None
    return Log(
        Stack(settings, file),
        workbench=None if unnamed else settings.workbench_path,
        warehouse=warehouse if unnamed else settings.warehouse_path,
        place=_place(settings, file),
        create=create,
    )


def _settings_of_the_environment() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        raise config_error(error, Settings, "the REGRAFT_* environment") from error


def _place(settings: Settings, file: Path | None) -> str:
    """How a log is shown: never with the address of its database, which may hold a password."""
    if file is not None:
        return str(file)
    return "dsn=…" if settings.postgres.dsn is not None else str(settings.data_dir)
