"""The servers behind Regraft: PostgreSQL and NATS, our own or others', and secrets for them that lie in files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr, model_validator

from regraft.infra.config.secrets import secret_file
from regraft.infra.config.section import Section


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
    """The truth. Without a ``dsn`` Regraft starts a server of its own in the data folder."""

    port: int | None = Field(None, ge=1, le=65535, description="port of the embedded server; a free one if unset")


class NatsSection(Section):
    """The stream. Without a ``url`` Regraft starts a server of its own in the data folder."""

    url: SecretStr | None = Field(None, description="NATS with JetStream to use, e.g. nats://127.0.0.1:4222")
    token_file: Path | None = Field(None, description="the file of its token, where the url has none")
    port: int | None = Field(None, ge=1, le=65535, description="port of the embedded server; a free one if unset")

    @model_validator(mode="before")
    @classmethod
    def _read_token(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or not given.get("token_file") or not given.get("url"):
            return given
        return {**given, "url": with_token(_plain(given["url"]), secret_file(Path(given["token_file"])))}


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
    return ",".join(_with_token(each.strip(), token) for each in url.split(","))


def _with_token(url: str, token: str) -> str:
    scheme, mark, place = url.rpartition("://")
    return url if "@" in place else f"{scheme or 'nats'}{mark or '://'}{quote(token, safe='')}@{place}"


def _plain(value: str | SecretStr) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else value
