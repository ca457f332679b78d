"""The table of known clients and their side calls: the package's two files, and the additions of a config."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from regraft.domain.capture.clients import ClientTable, KnownClient, NameSource
from regraft.domain.capture.side_calls import SideCallRule
from regraft.infra.config.section import Section

_SECRET = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "x-goog-api-key"})


def _check_header(name: str) -> str:
    if name.lower() in _SECRET:
        raise ValueError(f"must not name {name}: it holds a secret, which is never kept")
    return name.lower()


class NameSourceSection(Section):
    """A place where a client puts a name."""

    header: str = Field("", description="a request header, e.g. x-my-session")
    field: str = Field("", description="a field of the JSON body, e.g. metadata.session_id")
    after: str = Field("", description="a mark in the text there, after which the name begins")
    key: str = Field("", description="a key, where the text there is a JSON object")

    @field_validator("header")
    @classmethod
    def _is_no_secret(cls, value: str) -> str:
        return _check_header(value)

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if bool(self.header) == bool(self.field):
            raise ValueError("takes a header or a field")
        return self


class KnownClientSection(Section):
    """How one client names its sessions: the first place that holds a name counts."""

    session: list[NameSourceSection] = Field(min_length=1, description="where it names the session")
    agent: list[NameSourceSection] = Field([], description="where it names the agent that calls, if not the main one")
    parent_agent: list[NameSourceSection] = Field([], description="where it names the agent that started this one")


class SideCallSection(Section):
    """A rule for one kind of side call: all given conditions must hold; case does not matter."""

    purpose: str = Field(
        pattern=r"^[a-z][a-z0-9_]{0,40}$", description="what it is for; stored, and named in recipes, as side:PURPOSE"
    )
    system_starts: list[str] = Field([], description="beginnings of the system prompt; any of them")
    system_has: list[list[str]] = Field([], description="texts in the system prompt; all of any list")
    user_is: list[str] = Field([], description="the user's last message; any of them")
    user_starts: list[str] = Field([], description="beginnings of the user's last message; any of them")
    user_has: list[list[str]] = Field([], description="texts in the user's last message; all of any list")
    user_lacks: list[str] = Field([], description="texts that the user's last message must not contain")
    max_tokens: int | None = Field(None, ge=1, description="the longest answer that is asked for, at most")
    messages: int | None = Field(None, ge=1, description="messages at most, without system prompts")
    tools: bool | None = Field(None, description="whether tools are offered")
    models: list[str] = Field([], description="globs of the model's name; any of them")
    headers: dict[str, str] = Field({}, description="globs of request headers; all of them")

    @field_validator("headers")
    @classmethod
    def _are_no_secrets(cls, value: dict[str, str]) -> dict[str, str]:
        return {_check_header(name): glob for name, glob in value.items()}

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        said = (self.system_starts, self.system_has, self.user_is, self.user_starts, self.user_has, self.headers)
        if not any((*said, self.models)):
            raise ValueError("needs a condition on texts, models or headers")
        if not all(text for texts in (*self.system_has, *self.user_has) for text in texts):
            raise ValueError("must not look for an empty text")
        return self


def client_table(clients: Mapping[str, KnownClientSection], side_calls: Mapping[str, SideCallSection]) -> ClientTable:
    """The package's table with a config's additions, which are tried first; the same name replaces."""
    own_clients, own_rules = _built_in()
    known = {**clients, **{name: one for name, one in own_clients.items() if name not in clients}}
    rules = {**side_calls, **{name: one for name, one in own_rules.items() if name not in side_calls}}
    return ClientTable(
        clients=tuple(_client(name, one) for name, one in known.items()),
        side_calls=tuple(_rule(name, one) for name, one in rules.items()),
    )


@lru_cache(maxsize=1)
def built_in_table() -> ClientTable:
    """The package's table alone."""
    return client_table({}, {})


@lru_cache(maxsize=1)
def _built_in() -> tuple[dict[str, KnownClientSection], dict[str, SideCallSection]]:
    clients, rules = _document("clients.toml"), _document("side_calls.toml")
    return (
        {name: KnownClientSection.model_validate(one) for name, one in clients.items()},
        {name: SideCallSection.model_validate(one) for name, one in rules.items()},
    )


def _document(name: str) -> dict[str, Any]:
    return tomllib.loads(resources.files("regraft.domain.capture").joinpath(name).read_text("utf-8"))


def _client(name: str, one: KnownClientSection) -> KnownClient:
    return KnownClient(
        name=name, session=_sources(one.session), agent=_sources(one.agent), parent_agent=_sources(one.parent_agent)
    )


def _sources(sections: list[NameSourceSection]) -> tuple[NameSource, ...]:
    return tuple(NameSource(**each.model_dump()) for each in sections)


def _rule(name: str, one: SideCallSection) -> SideCallRule:
    def lower(texts: list[str]) -> tuple[str, ...]:
        return tuple(text.lower() for text in texts)

    return SideCallRule(
        name=name,
        purpose=one.purpose,
        system_starts=lower(one.system_starts),
        system_has=tuple(lower(texts) for texts in one.system_has),
        user_is=tuple(text.strip() for text in lower(one.user_is)),
        user_starts=lower(one.user_starts),
        user_has=tuple(lower(texts) for texts in one.user_has),
        user_lacks=lower(one.user_lacks),
        max_tokens=one.max_tokens,
        messages=one.messages,
        tools=one.tools,
        models=tuple(one.models),
        headers=tuple(sorted(one.headers.items())),
    )
