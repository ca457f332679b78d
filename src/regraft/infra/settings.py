"""Every setting, typed, once: a TOML file, and over it ``REGRAFT_*`` variables (``REGRAFT_GATEWAY__PORT=4711``)."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from regraft.domain.capture.clients import ClientTable
from regraft.domain.errors import ConfigError
from regraft.infra.client_table import KnownClientSection, SideCallSection, client_table
from regraft.infra.config.document import read_toml
from regraft.infra.config.mistakes import config_error
from regraft.infra.config.section import Section
from regraft.infra.environment import is_plain
from regraft.infra.host_policy import host_name, is_loopback

CONFIG_VARIABLE = "REGRAFT_CONFIG"
KEY_VARIABLE = "REGRAFT_API_KEY"
_PREFIX = "REGRAFT_"
_NOT_SETTINGS = frozenset({CONFIG_VARIABLE, "REGRAFT_CORPUS", "REGRAFT_DAGSTER_STORAGE", KEY_VARIABLE})
DEFAULT_FILE = "regraft.toml"
_EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 named so that it can be refused


def _require_names(host: str, hosts: list[str]) -> None:
    if host_name(host) in _EVERYWHERE and not hosts:
        raise ValueError(
            f'listens on every address ({host}), so that hosts must name what it answers to, e.g. ["llm.example.com"];'
            ' ["*"] is any name'
        )


class PostgresSection(Section):
    """The truth. Without a ``dsn`` Regraft starts a server of its own in the data folder."""

    dsn: SecretStr | None = Field(None, description="PostgreSQL to use, e.g. postgresql://user@host/regraft")
    port: int | None = Field(None, ge=1, le=65535, description="port of the embedded server; a free one if unset")


class NatsSection(Section):
    """The stream. Without a ``url`` Regraft starts a server of its own in the data folder."""

    url: SecretStr | None = Field(None, description="NATS with JetStream to use, e.g. nats://127.0.0.1:4222")
    port: int | None = Field(None, ge=1, le=65535, description="port of the embedded server; a free one if unset")


class ModelSection(Section):
    """The local open-weight model that answers when no upstream is configured."""

    port: int | None = Field(None, ge=1, le=65535, description="port of the model server; a free one if unset")
    threads: int = Field(1, ge=1, description="threads; 1 is fastest whenever anything else runs")
    context: int = Field(4096, ge=256, description="tokens of prompt and answer together")


class UpstreamSection(Section):
    """One model server behind the gateway."""

    base_url: str = Field(description="where its API starts, e.g. http://127.0.0.1:11434/v1")
    api_key_env: str | None = Field(None, description="the environment variable that holds its key")
    api_key_file: Path | None = Field(None, description="the file that holds its key")
    auth: Literal["bearer", "x-api-key", "api-key"] = Field("bearer", description="the header that its key is sent in")
    models: list[str] = Field(["*"], description="globs of the model names that it serves")
    alias: dict[str, str] = Field({}, description="clients' names for its models: name -> its model")
    pin: str = Field("", description="what pins its build, e.g. a digest; part of every run's model snapshot")
    connect_timeout: float = Field(10.0, gt=0, description="seconds")
    read_timeout: float = Field(600.0, gt=0, description="seconds without a byte")
    retries: int = Field(0, ge=0, le=10, description="tries after the first, on 429, 5xx and no connection")
    fallback: list[str] = Field([], description="upstreams to try after that, in this order")
    max_concurrency: int = Field(0, ge=0, description="calls at once; 0: as many as come")
    queue: int = Field(100, ge=0, description="calls that wait when there are more; beyond that the answer is 429")
    queue_seconds: float = Field(30.0, gt=0, description="seconds that a call waits at most")

    @field_validator("base_url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if self.api_key_env and self.api_key_file:
            raise ValueError("takes api_key_env or api_key_file, not both")
        return self

    def api_key(self) -> str | None:
        """The key, read now. Raises ConfigError when it is named but not there."""
        if self.api_key_env:
            if key := os.environ.get(self.api_key_env):
                return key
            raise ConfigError(f"The variable {self.api_key_env} for the upstream at {self.base_url} is not set.")
        if self.api_key_file:
            try:
                return self.api_key_file.read_text("utf-8").strip()
            except OSError as error:
                raise ConfigError(f"The key file {self.api_key_file} cannot be read: {error.strerror}.") from error
        return None


class ToolServerSection(Section):
    """One MCP server: a ``command`` that is started and spoken to on its standard input, or a ``url``.

    It is given few of our own variables (HOME, PATH and the like), and those that are named.
    """

    command: str | None = Field(None, description="the program that is the server, e.g. uvx")
    args: list[str] = Field([], description="its arguments")
    env: dict[str, str] = Field({}, description="environment variables for it; no secrets, they would be in this file")
    pass_env: list[str] = Field([], description="variables of ours that it is given too, e.g. one that holds a key")
    env_files: dict[str, Path] = Field({}, description="variables that it is given, each read from a file")
    url: str | None = Field(None, description="a server that runs already (streamable HTTP)")
    api_key_env: str | None = Field(None, description="the environment variable that holds the key for the url")
    api_key_file: Path | None = Field(None, description="the file that holds the key for the url")
    only: list[str] = Field(["*"], description="globs of those of its tools that are offered")
    timeout: float = Field(60.0, gt=0, description="seconds that a tool may take")
    start_timeout: float = Field(60.0, gt=0, description="seconds to wait for its list of tools")

    @field_validator("url")
    @classmethod
    def _is_http(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        if value is not None and "@" in value.split("//", 1)[1].partition("/")[0]:
            raise ValueError("must not hold a password: name it with api_key_env or api_key_file")
        return value

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if bool(self.command) == bool(self.url):
            raise ValueError("takes a command or a url")
        if self.url and (self.args or self.env or self.pass_env or self.env_files):
            raise ValueError("has a url: args, env, pass_env and env_files are for a command")
        if self.command and (self.api_key_env or self.api_key_file):
            raise ValueError("has a command, which is given its key with pass_env or env_files")
        if self.api_key_env and self.api_key_file:
            raise ValueError("takes api_key_env or api_key_file, not both")
        return self

    def api_key(self) -> str | None:
        """The key for the url, read now. Raises ConfigError when it is named but not there."""
        if self.api_key_env:
            return _variable(self.api_key_env, f"the tool server at {self.url}")
        return _secret(self.api_key_file) if self.api_key_file else None

    def environment(self) -> dict[str, str]:
        """What the command is given beside the usual variables, read now. Raises ConfigError when one is not there."""
        passed = {name: _variable(name, f"the tool server {self.command}") for name in self.pass_env}
        return {**self.env, **passed, **{name: _secret(path) for name, path in self.env_files.items()}}


def _variable(name: str, user: str) -> str:
    if value := os.environ.get(name):
        return value
    raise ConfigError(f"The variable {name} for {user} is not set.")


def _secret(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The key file {path} cannot be read: {error}.") from error


class RuleSection(Section):
    """A rule of your own for cutting requests into plans of subtasks."""

    instructions: str = Field(min_length=1, description="the system prompt that asks for a plan as JSON")
    repair: str = Field("", description="the follow-up message after an invalid plan, with {problems} in it")
    max_subtasks: int = Field(8, ge=1, le=64, description="subtasks that a plan may have")
    description: str = Field("", description="what it is for")

    @field_validator("repair")
    @classmethod
    def _names_the_problems(cls, value: str) -> str:
        if value and "{problems}" not in value:
            raise ValueError("must contain {problems}")
        return value


class OrchestratorSection(Section):
    """One `orchestrator/NAME`: a plan, workers that carry it out, and one answer."""

    model: str = Field(min_length=1, description="the model that plans and writes the answer")
    workers: dict[str, str] = Field(min_length=1, description="workers that a plan may name: name -> model")
    rule: str = Field("default", description="the taskify rule: `default`, or one of `rules`")
    synthesis: str = Field("", description="the system prompt of the last call; a built-in one if empty")
    max_steps: int = Field(8, ge=1, le=64, description="subtasks that a plan may have; the rule may allow fewer")
    concurrency: int = Field(4, ge=1, le=64, description="steps at the same time")
    timeout: float = Field(
        120.0, gt=0, description="seconds for the plan, for each step with its tools, for the answer"
    )
    retries: int = Field(1, ge=0, le=10, description="tries of a call after the first")
    max_tokens: int | None = Field(None, ge=1, description="longest result of a step; also of the answer by default")
    on_failure: Literal["continue", "cancel"] = Field(
        "continue", description="after a failed step: go on without it, or end the whole call"
    )
    tools: list[str] = Field([], description="tool servers, of `tools`, that workers may use")


class RedactSection(Section):
    """What is taken out of calls before they are kept. What the model server is sent stays as it is."""

    identities: list[Literal["session", "parent_node", "replay_node", "theme", "task", "variant", "plan"]] = Field(
        [], description="X-Regraft values to drop"
    )
    fields: dict[str, str] = Field(
        {}, description="paths in JSON bodies, e.g. metadata.user_email or messages.*.name, and what replaces them"
    )
    texts: dict[str, str] = Field({}, description="regular expressions on texts, and their replacements")

    @field_validator("texts")
    @classmethod
    def _are_patterns(cls, value: dict[str, str]) -> dict[str, str]:
        for pattern, replacement in value.items():
            try:
                re.compile(pattern).sub(replacement, "")
            except re.error as error:
                raise ValueError(f"has {pattern!r}, which is no regular expression: {error}") from error
        return value


class GatewaySection(Section):
    """The OpenAI-compatible gateway."""

    host: str = Field("127.0.0.1", description="address to listen on; loopback unless you open it yourself")
    port: int = Field(4700, ge=1, le=65535, description="port to listen on")
    require_keys: bool | None = Field(None, description="whether calls need a virtual key; if unset: beyond loopback")
    keys_file: Path | None = Field(None, description="the file of virtual keys; <data_dir>/keys.json if unset")
    hosts: list[str] = Field(
        [], description="names it answers to beside loopback ones, e.g. llm.example.com; needed beyond loopback"
    )
    origins: list[str] = Field(
        [], description="web pages that may call it, e.g. https://app.example.com or http://localhost:*"
    )
    body_memory: int = Field(
        256, ge=1, description="MiB of large request bodies that a process holds in memory; more are in files"
    )
    workers: int = Field(1, ge=1, le=64, description="gateway processes on the port")
    redact: RedactSection = Field(RedactSection(), description="what is taken out of calls before they are kept")

    @model_validator(mode="after")
    def _names_its_hosts(self) -> Self:
        _require_names(self.host, self.hosts)
        return self

    @property
    def needs_keys(self) -> bool:
        """Whether every call needs a virtual key."""
        if self.require_keys is not None:
            return self.require_keys
        return not is_loopback(self.host)


class ClientSection(Section):
    """What our own commands show the gateway, where it needs keys: replays, plans, embeddings, the demo."""

    api_key_env: str | None = Field(
        None, description="the environment variable that holds a virtual key; REGRAFT_API_KEY if unset"
    )
    api_key_file: Path | None = Field(None, description="the file that holds it")

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if self.api_key_env and self.api_key_file:
            raise ValueError("takes api_key_env or api_key_file, not both")
        return self

    def api_key(self) -> str:
        """The key, read now; empty: none. Raises ConfigError when it is named but not there, or can be no key."""
        if self.api_key_env:
            key = _variable(self.api_key_env, "the gateway")
        else:
            key = _secret(self.api_key_file) if self.api_key_file else os.environ.get(KEY_VARIABLE, "")
        if not (key.isascii() and key.isprintable() and " " not in key):
            place = self.api_key_env or self.api_key_file or KEY_VARIABLE
            raise ConfigError(f"What {place} holds is no virtual key: it has characters that no key has.")
        return key


class PriceSection(Section):
    """What a model costs, in money of any currency, for a million tokens."""

    prompt: float = Field(ge=0, description="tokens that it reads")
    completion: float = Field(ge=0, description="tokens that it writes")


class IngestSection(Section):
    """From the stream to the execution log."""

    patience: float = Field(
        3600.0,
        ge=0,
        description="seconds that a call waits for the one it goes on from; then it is placed without it",
    )


class EmbeddingSection(Section):
    """What turns conversations into vectors. Without a ``model`` a table of word vectors does it, without a server."""

    model: str = Field("", description="an embedding model as the gateway knows it; none: the built-in table of words")


class WebSection(Section):
    """The web API."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(4701, ge=1, le=65535, description="port to listen on")
    hosts: list[str] = Field([], description="names it answers to beside loopback ones; needed beyond loopback")
    token: SecretStr | None = Field(
        None,
        min_length=16,
        description="a bearer token that reads everything; it or tokens_file: needed beyond loopback",
    )
    tokens_file: Path | None = Field(
        None, description="the file of tokens, which each request then needs; <data_dir>/web-tokens.json if unset"
    )

    @model_validator(mode="after")
    def _may_be_reached(self) -> Self:
        _require_names(self.host, self.hosts)
        if self.token is None and self.tokens_file is None and not is_loopback(self.host):
            raise ValueError(
                f"listens beyond loopback ({self.host}), so that it needs a token, best from the environment:"
                " REGRAFT_WEB__TOKEN; or a tokens_file, with tokens of `regraft web-token create`"
            )
        return self


class DagsterSection(Section):
    """Dagster, which materialises the assets and shows their lineage."""

    enabled: bool = Field(True, description="whether `regraft up` starts it")
    port: int = Field(4702, ge=1, le=65535, description="port of its page, on loopback")
    hosts: list[str] = Field([], description="names its page answers to beside loopback ones, e.g. of a reverse proxy")


class Settings(BaseSettings):
    """All settings. Paths are relative to the working directory."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    data_dir: Path = Field(Path(".regraft"), description="where the embedded servers, the workbench and the spool live")
    warehouse: str | None = Field(None, description="folder or URL of frozen snapshots; <data_dir>/warehouse if unset")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")
    postgres: PostgresSection = PostgresSection()
    nats: NatsSection = NatsSection()
    model: ModelSection = ModelSection()
    gateway: GatewaySection = GatewaySection()
    client: ClientSection = ClientSection()
    ingest: IngestSection = IngestSection()
    embedding: EmbeddingSection = EmbeddingSection()
    web: WebSection = WebSection()
    dagster: DagsterSection = DagsterSection()
    upstreams: dict[str, UpstreamSection] = Field({}, description="model servers by name; none: the local model")
    prices: dict[str, PriceSection] = Field({}, description="what models cost, by name: for budgets of replays")
    tools: dict[str, ToolServerSection] = Field({}, description="MCP tool servers by name")
    rules: dict[str, RuleSection] = Field({}, description="taskify rules by name, beside the built-in `default`")
    orchestrators: dict[str, OrchestratorSection] = Field({}, description="orchestrators by name")
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
        return self.gateway_variables | own

    @property
    def workbench_path(self) -> Path:
        """The DuckDB file."""
        return self.data_dir / "workbench.duckdb"

    @property
    def warehouse_path(self) -> str:
        """Where frozen snapshots live."""
        return self.warehouse or str((self.data_dir / "warehouse").resolve())


def load_settings(file: Path | None = None) -> Settings:
    """Settings from ``file``, else ``$REGRAFT_CONFIG``, else ``regraft.toml`` here, else the defaults.

    Raises ConfigError with a line for each mistake, naming the file, the setting and the nearest known name.
    """
    named = file or (Path(os.environ[CONFIG_VARIABLE]) if os.environ.get(CONFIG_VARIABLE) else None)
    path = named or Path(DEFAULT_FILE)
    document = read_toml(path) if named or path.exists() else {}
    _check_variables()
    try:
        return Settings(**document)
    except ValidationError as error:
        source = str(path) if document else "the REGRAFT_* environment"
        raise config_error(error, Settings, source) from error


def _check_variables() -> None:
    known = sorted(f"{_PREFIX}{name.upper()}" for name in Settings.model_fields)
    for variable in sorted(os.environ):
        name = variable.upper().partition("__")[0]
        if name.startswith(_PREFIX) and name not in known and variable not in _NOT_SETTINGS:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]}{variable[len(name) :]}?" if near else f"Known: {', '.join(known)}."
            raise ConfigError(f"The variable {variable} is not a setting. {hint}")
