"""The settings of the gateway and of redaction."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from regraft.infra.config.listening import require_host_names
from regraft.infra.config.section import Section
from regraft.infra.host_policy import is_loopback


class RedactSection(Section):
    """Removes content from calls before they are stored. The request to the model server does not change."""

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
                raise ValueError(f"has {pattern!r}, which is not a regular expression: {error}") from error
        return value


class GatewaySection(Section):
    """The OpenAI-compatible gateway."""

    host: str = Field("127.0.0.1", description="address to listen on; loopback unless you open it yourself")
    port: int = Field(4700, ge=1, le=65535, description="port to listen on")
    require_keys: bool | None = Field(None, description="whether calls need a virtual key; if unset: beyond loopback")
    keys_file: Path | None = Field(None, description="the file of virtual keys; <data_dir>/keys.json if unset")
    hosts: list[str] = Field(
        [], description="host names it answers to beside loopback ones, e.g. llm.example.com; needed beyond loopback"
    )
    origins: list[str] = Field(
        [], description="web pages that may call it, e.g. https://app.example.com or http://localhost:*"
    )
    body_memory: int = Field(
        256, ge=1, description="MiB of large bodies in flight that a process holds in memory; more are in files"
    )
    workers: int = Field(1, ge=1, le=64, description="gateway processes on the port")
    drain_notice: float = Field(
        0.0,
        ge=0,
        le=600,
        description="seconds after SIGTERM in which new calls are still taken while /readyz answers 503, so that a "
        "load balancer sends no more; Ctrl-C waits for none",
    )
    drain_seconds: float = Field(
        30.0,
        ge=0,
        le=3600,
        description="seconds that calls in flight have to end after a stop; then they are cut, and captured as far as "
        "they came",
    )
    redact: RedactSection = Field(RedactSection(), description="what is removed from calls before they are stored")

    @model_validator(mode="after")
    def _names_its_hosts(self) -> Self:
        require_host_names(self.host, self.hosts)
        return self

    @property
    def needs_keys(self) -> bool:
        """Whether every call needs a virtual key."""
        if self.require_keys is not None:
            return self.require_keys
        return not is_loopback(self.host)
