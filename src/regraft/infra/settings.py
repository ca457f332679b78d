"""Every setting, typed, once: a TOML file, and over it ``REGRAFT_*`` variables (``REGRAFT_GATEWAY__PORT=4711``)."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from regraft.domain.capture.clients import ClientTable
from regraft.domain.errors import ConfigError
from regraft.infra.client_table import KnownClientSection, SideCallSection, client_table
from regraft.infra.config.client_key import KEY_VARIABLE, ClientSection
from regraft.infra.config.clusters import ClustersSection
from regraft.infra.config.document import read_toml
from regraft.infra.config.gateway import GatewaySection
from regraft.infra.config.listening import require_host_names
from regraft.infra.config.logs import LogsSection
from regraft.infra.config.mistakes import config_error
from regraft.infra.config.orchestrator import OrchestratorSection
from regraft.infra.config.otel import OtelSection
from regraft.infra.config.place import DATA_FOLDER, anchored, find_config, find_data_folder
from regraft.infra.config.retention import RetentionSection
from regraft.infra.config.review import ReviewSection
from regraft.infra.config.rule import RuleSection
from regraft.infra.config.section import Section
from regraft.infra.config.servers import DatabaseSection, NatsSection, PostgresSection
from regraft.infra.config.tool_server import ToolServerSection
from regraft.infra.config.upstream import UpstreamSection
from regraft.infra.environment import is_plain
from regraft.infra.host_policy import is_loopback

CONFIG_VARIABLE = "REGRAFT_CONFIG"
_PREFIX = "REGRAFT_"
_NOT_SETTINGS = frozenset({CONFIG_VARIABLE, "REGRAFT_CORPUS", "REGRAFT_DAGSTER_STORAGE", "REGRAFT_KEPT", KEY_VARIABLE})


class ModelSection(Section):
    """The local open-weight model that answers when no upstream is configured."""

    port: int | None = Field(None, ge=1, le=65535, description="port of the model server; a free one if unset")
    threads: int = Field(1, ge=1, description="threads; 1 is fastest whenever anything else runs")
    context: int = Field(4096, ge=256, description="tokens of prompt and answer together")


class PriceSection(Section):
    """What a model costs, in money of any currency, for a million tokens."""

    prompt: float = Field(ge=0, description="tokens that it reads")
    completion: float = Field(ge=0, description="tokens that it writes")


class IngestSection(Section):
    """From the stream to the execution log."""

    patience: float = Field(
        3600.0,
        ge=0,
        description="seconds that a call waits for the call that it continues; then it is placed without it",
    )
    metrics_host: str = Field("127.0.0.1", min_length=1, description="address that its /metrics listens on")
    metrics_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="port of its /metrics, which holds no content; it has none if unset",
    )


class EmbeddingSection(Section):
    """What turns conversations into vectors: a built-in model, which needs no server, or one of an upstream."""

    model: str = Field(
        "minilm",
        description="`minilm`, `static` (a table of word vectors: faster, but blind to word order; '' means the same),"
        " or an embedding model as the gateway knows it",
    )


class WebSection(Section):
    """The web UI and its API."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(4701, ge=1, le=65535, description="port to listen on")
    hosts: list[str] = Field([], description="host names it answers to beside loopback ones; needed beyond loopback")
    token: SecretStr | None = Field(
        None,
        min_length=16,
        description="a token that may do everything; it or tokens_file: needed beyond loopback",
    )
    tokens_file: Path | None = Field(
        None, description="the file of tokens, which each request then needs; <data_dir>/web-tokens.json if unset"
    )
    https: bool = Field(
        False, description="browsers come by https alone, through a proxy: their cookies are sent over https only"
    )
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="port of a /metrics that asks for no token; that of web.port does"
    )
    metrics_host: str = Field("127.0.0.1", min_length=1, description="address that this /metrics listens on")
    session_days: int = Field(7, ge=1, le=30, description="days without use after which a browser is signed out")

    @model_validator(mode="after")
    def _may_be_reached(self) -> Self:
        require_host_names(self.host, self.hosts)
        if self.token is None and self.tokens_file is None and not is_loopback(self.host):
            raise ValueError(
                f"listens beyond loopback ({self.host}), so it needs a token, preferably from the environment:"
                " REGRAFT_WEB__TOKEN; or a tokens_file, with tokens of `regraft web-token create`"
            )
        return self


class MetricsSection(Section):
    """`regraft metrics`: series made of facts, and gauges of the stores, for Prometheus."""

    enabled: bool = Field(False, description="whether `regraft up` starts it")
    host: str = Field("127.0.0.1", description="address to listen on; it has no access control")
    port: int = Field(4703, ge=1, le=65535, description="port to listen on")
    facts: bool = Field(True, description="whether it counts facts; false where Vector does")


class DagsterSection(DatabaseSection):
    """Dagster, which materialises the assets and shows their lineage."""

    enabled: bool = Field(True, description="whether `regraft up` starts it")
    host: str = Field("127.0.0.1", description="address its page listens on; the page has no sign-in")
    port: int = Field(4702, ge=1, le=65535, description="port of its page")
    hosts: list[str] = Field([], description="names its page answers to beside loopback ones, e.g. of a reverse proxy")
    dsn: SecretStr | None = Field(
        None, description="a database of its own; if unset, one beside the truth on the embedded server"
    )

    @model_validator(mode="after")
    def _names_its_hosts(self) -> Self:
        require_host_names(self.host, self.hosts)
        return self


class Settings(BaseSettings):
    """All settings. Paths in a config file are relative to it, those in variables to the working directory."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    data_dir: Path = Field(
        Path(DATA_FOLDER),
        description="where the embedded servers, the workbench and the spool live; if unset, `.regraft` beside the "
        "config file, else the nearest one in the working directory or above it",
    )
    warehouse: str | None = Field(None, description="folder or URL of frozen snapshots; <data_dir>/warehouse if unset")
    start_services: bool = Field(
        True,
        description="whether commands start what they need and find not running: PostgreSQL, NATS, the local model, the"
        " gateway, ingest; false where something else runs them, e.g. in containers",
    )
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")
    postgres: PostgresSection = PostgresSection()
    nats: NatsSection = NatsSection()
    model: ModelSection = ModelSection()
    gateway: GatewaySection = GatewaySection()
    client: ClientSection = ClientSection()
    ingest: IngestSection = IngestSection()
    embedding: EmbeddingSection = EmbeddingSection()
    review: ReviewSection = ReviewSection()
    clusters: ClustersSection = ClustersSection()
    web: WebSection = WebSection()
    dagster: DagsterSection = DagsterSection()
    otel: OtelSection = OtelSection()
    metrics: MetricsSection = MetricsSection()
    logs: LogsSection = LogsSection()
    retention: RetentionSection = RetentionSection()
    upstreams: dict[str, UpstreamSection] = Field({}, description="model servers by name; none: the local model")
    prices: dict[str, PriceSection] = Field({}, description="what models cost, by name: for budgets of replays")
    tools: dict[str, ToolServerSection] = Field({}, description="MCP tool servers by name")
    rules: dict[str, RuleSection] = Field({}, description="taskify rules by name, beside the built-in `default`")
    orchestrators: dict[str, OrchestratorSection] = Field({}, description="orchestrators by name")
    judges: Path = Field(Path("judges"), description="folder of judge files, beside the built-in judges")
    backups: Path | None = Field(
        None, description="folder of the backups that `regraft upgrade` makes; <data_dir>/backups if unset"
    )
    recipes: Path = Field(Path("recipes"), description="folder of recipes of datasets, beside the built-in ones")
    taxonomy: Path | None = Field(None, description="file of categories for paths; the built-in seven if unset")
    clients: dict[str, KnownClientSection] = Field(
        {}, description="clients that name their sessions, beside known ones"
    )
    side_calls: dict[str, SideCallSection] = Field(
        {}, description="rules that tell side calls, before the built-in ones"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Variables win over the file; nothing else is read."""
        return env_settings, init_settings

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        if value.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise ValueError("must be DEBUG, INFO, WARNING or ERROR")
        return value.upper()

    @property
    def client_table(self) -> ClientTable:
        """The known clients and the rules for side calls, with those of this config."""
        return client_table(self.clients, self.side_calls)

    @property
    def gateway_variables(self) -> frozenset[str]:
        """The environment variables with keys that the gateway uses: those of model servers and of tools."""
        named = {name for upstream in self.upstreams.values() if (name := upstream.api_key_env)}
        return frozenset(named) | self.tool_variables

    @property
    def tool_variables(self) -> frozenset[str]:
        """The environment variables that tool servers are given, or shown."""
        tools = self.tools.values()
        passed = {name for tool in tools for name in tool.pass_env if not is_plain(name)}
        return frozenset(passed | {name for tool in tools if (name := tool.api_key_env)})

    @property
    def key_variables(self) -> frozenset[str]:
        """The environment variables with keys: of model servers, of tools, and of the gateway itself."""
        own = {KEY_VARIABLE, self.client.api_key_env or KEY_VARIABLE}
        return self.gateway_variables | own | self.trace_variables

    @property
    def trace_variables(self) -> frozenset[str]:
        """The environment variable with headers for the receiver of traces."""
        return frozenset({self.otel.headers_env} if self.otel.headers_env else ())

    @property
    def workbench_path(self) -> Path:
        """The DuckDB file."""
        return self.data_dir / "workbench.duckdb"

    @property
    def backups_path(self) -> Path:
        """Where `regraft upgrade` puts its backups."""
        return self.backups or self.data_dir / "backups"

    @property
    def warehouse_path(self) -> str:
        """Where frozen snapshots live."""
        return self.warehouse or str((self.data_dir / "warehouse").resolve())


def config_file(file: Path | None = None) -> Path | None:
    """The config file that counts: ``file``, else ``$REGRAFT_CONFIG``, else the nearest ``regraft.toml`` in the working
    directory or above it; None when there is none."""
    if file is not None:
        return file
    named = os.environ.get(CONFIG_VARIABLE)
    return Path(named) if named else find_config(Path.cwd())


def load_settings(file: Path | None = None) -> Settings:
    """Settings from the config file that counts, and from the ``REGRAFT_*`` variables, which win over it.

    Raises ConfigError with a line for each mistake, naming the file, the setting and the nearest known name.
    """
    path = config_file(file)
    document = read_toml(path) if path else {}
    here = Path.cwd()
    folder = path.absolute().parent if path else None
    if folder is not None and folder != here:
        beside = {name: str(Settings.model_fields[name].default) for name in ("judges", "recipes")}
        document = anchored({**beside, **document}, folder)
    document.setdefault("data_dir", str(_data_folder(here, folder)))
    _check_variables()
    try:
        return Settings(**document)
    except ValidationError as error:
        source = str(path) if path else "the REGRAFT_* environment"
        raise config_error(error, Settings, source) from error


def _data_folder(here: Path, folder: Path | None) -> Path:
    """Where the data are when nothing names their folder."""
    found = folder / DATA_FOLDER if folder is not None else find_data_folder(here)
    return Path(DATA_FOLDER) if found is None or found.parent == here else found


def _check_variables() -> None:
    known = sorted(f"{_PREFIX}{name.upper()}" for name in Settings.model_fields)
    for variable in sorted(os.environ):
        name = variable.upper().partition("__")[0]
        if name.startswith(_PREFIX) and name not in known and variable not in _NOT_SETTINGS:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]}{variable[len(name) :]}?" if near else f"Known: {', '.join(known)}."
            raise ConfigError(f"The variable {variable} is not a setting. {hint}")
