"""The servers behind Regraft: PostgreSQL and NATS, our own or others', and secrets for them that lie in files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from regraft.infra.config.secrets import secret_file
from regraft.infra.config.section import Section
from regraft.infra.nats.servers import server_urls, split_servers


class DatabaseSection(Section):
    """A PostgreSQL database and, where it is not part of the DSN, the file of its password."""

    dsn: SecretStr | None = Field(None, description="PostgreSQL to use, e.g. postgresql://user@host/regraft")
    password_file: Path | None = Field(None, description="the file of the password, where the dsn has none")

    @model_validator(mode="before")
    @classmethod
    def _read_password(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or not given.get("password_file") or not given.get("dsn"):
            return given
        return {**given, "dsn": with_password(_plain(given["dsn"]), secret_file(Path(given["password_file"])))}


class PostgresSection(DatabaseSection):
    """The truth. Without a ``dsn`` Regraft starts a separate server in the data folder."""

    port: int | None = Field(None, ge=1, le=65535, description="port of the embedded server; a free one if unset")


class NatsSection(Section):
    """The stream. Without a ``url`` Regraft starts a separate server in the data folder."""

    url: SecretStr | None = Field(
        None,
        description="NATS with JetStream, e.g. nats://127.0.0.1:4222; the servers of a cluster separated by commas",
    )
    token_file: Path | None = Field(None, description="the file of its token, where the url has none")
    replicas: Literal[1, 3, 5] | None = Field(
        None, description="servers of the cluster that store each call; as many as before if unset, 1 at first"
    )
    port: int | None = Field(None, ge=1, le=65535, description="port of the embedded server; a free one if unset")

    @model_validator(mode="before")
    @classmethod
    def _read_token(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or not given.get("token_file") or not given.get("url"):
            return given
        return {**given, "url": with_token(_plain(given["url"]), secret_file(Path(given["token_file"])))}

    @field_validator("url")
    @classmethod
    def _names_servers(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            server_urls(url.get_secret_value())
        return url

    @model_validator(mode="after")
    def _has_servers(self) -> Self:
        if self.url is None and (self.replicas or 1) > 1:
            raise ValueError("the embedded server is a single one: several replicas need the url of a cluster")
        return self


def with_password(dsn: str, password: str) -> str:
    """A DSN with the password in it; one that has a password is left as it is."""
    if "://" not in dsn:
        word = password.replace("\\", "\\\\").replace("'", "\\'")
        return dsn if "password=" in dsn else f"{dsn} password='{word}'"
    parts = urlsplit(dsn)
    user = parts.netloc.rpartition("@")[0]
    if ":" in user or "password=" in parts.query:
        return dsn
    return f"{dsn}{'&' if parts.query else '?'}password={quote(password, safe='')}"


def with_token(url: str, token: str) -> str:
    """The URL of a server, or several with commas between them, with the token in each that has none."""
    return ",".join(_with_token(each, token) for each in split_servers(url))


def _with_token(url: str, token: str) -> str:
    scheme, mark, place = url.rpartition("://")
    return url if "@" in place else f"{scheme or 'nats'}{mark or '://'}{quote(token, safe='')}@{place}"


def _plain(value: str | SecretStr) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else value
