"""Dagster's home in the data folder, and how to start Dagster there."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from regraft.infra.settings import CONFIG_VARIABLE

MODULE = "regraft.presentation.dagster.definitions"
_MARK = "# Written by regraft at each start. Delete this line to keep your own changes.\n"

# Dagster hands its configuration on in command lines, which anyone can read: the password stays in the environment.
STORAGE_VARIABLE = "REGRAFT_DAGSTER_STORAGE"

# Both for every process of Dagster: one INSERT for a thousand events, one planned event for a range of partitions.
BATCHING = {"DAGSTER_EVENT_BATCH_SIZE": "1000", "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS": "1"}


def home_of(data_dir: Path) -> Path:
    """Where Dagster lives."""
    return data_dir.resolve() / "dagster"


def is_own(home: Path) -> bool:
    """Whether the home's configuration is the user's own, which we leave alone."""
    file = home / "dagster.yaml"
    return file.exists() and not file.read_text("utf-8").startswith(_MARK)


def write_home(home: Path) -> None:
    """Write ``dagster.yaml``, which keeps what Dagster knows in the database that ``environment`` names."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = home / "dagster.yaml.new"
    draft.write_text(_MARK + _configuration(home), "utf-8")
    draft.replace(home / "dagster.yaml")


def storage_url(dsn: str) -> str:
    """A libpq connection string as a URL for SQLAlchemy; the driver is named, since Dagster needs psycopg2."""
    from psycopg.conninfo import conninfo_to_dict
    from sqlalchemy.engine import URL

    given = {key: str(value) for key, value in conninfo_to_dict(dsn).items() if value is not None}
    user, password, database = (given.pop(key, None) for key in ("user", "password", "dbname"))
    # Host and port go as parameters: they may be a socket's folder, or several.
    url = URL.create("postgresql+psycopg2", username=user, password=password, database=database, query=given)
    return url.render_as_string(hide_password=False)


def _configuration(home: Path) -> str:
    def text(value: object) -> str:
        return json.dumps(str(value))  # a JSON string is a YAML string

    return f"""\
storage:
  postgres:
    postgres_url:
      env: {STORAGE_VARIABLE}
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config:
    dequeue_interval_seconds: 1
    max_concurrent_runs: 2
    tag_concurrency_limits:
      - key: regraft/pipeline
        value:
          applyLimitPerUniqueValue: true
        limit: 1
run_monitoring:
  enabled: true
  start_timeout_seconds: 300
compute_logs:
  module: dagster.core.storage.local_compute_log_manager
  class: LocalComputeLogManager
  config:
    base_dir: {text(home / "compute_logs")}
local_artifact_storage:
  module: dagster.core.storage.root
  class: LocalArtifactStorage
  config:
    base_dir: {text(home)}
retention:
  sensor:
    purge_after_days:
      skipped: 1
      failure: 30
      success: 30
code_servers:
  local_startup_timeout: 180
telemetry:
  enabled: false
"""


def environment(
    home: Path, dsn: str, storage: str | None, data_dir: Path, config: Path | None = None
) -> Mapping[str, str]:
    """The environment of Dagster and of all that it starts. ``storage``: the DSN of Dagster's own database."""
    return {
        **os.environ,
        **BATCHING,
        **({CONFIG_VARIABLE: str(config.resolve())} if config else {}),
        **({STORAGE_VARIABLE: storage_url(storage)} if storage else {}),
        "PYTHONWARNINGS": "ignore",  # Dagster warns of its own command and of its own beta features
        "DAGSTER_HOME": str(home),
        "REGRAFT_POSTGRES__DSN": dsn,
        "REGRAFT_DATA_DIR": str(data_dir.resolve()),
    }


def command(port: int, host: str) -> list[str]:
    """Dagster's page, guarded, and its daemon, in the foreground."""
    return [sys.executable, "-m", "regraft.presentation.dagster.dev", "dev", "-m", MODULE, "-h", host, "-p", str(port)]
