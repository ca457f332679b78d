"""The virtual key that our own commands call the gateway with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from regraft.domain.errors import ConfigError
from regraft.infra.config.secrets import secret_file, secret_variable
from regraft.infra.config.section import Section

KEY_VARIABLE = "REGRAFT_API_KEY"


class ClientSection(Section):
    """How our own commands call the gateway: for replays, plans, embeddings, the demo."""

    gateway_url: str | None = Field(
        None, description="the gateway, e.g. http://gateway:4700; the one of gateway.host and gateway.port if unset"
    )
    api_key_env: str | None = Field(
        None, description="the environment variable that holds a virtual key; REGRAFT_API_KEY if unset"
    )
    api_key_file: Path | None = Field(None, description="the file that holds it")

    @field_validator("gateway_url")
    @classmethod
    def _is_http(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/").removesuffix("/v1") if value else None

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if self.api_key_env and self.api_key_file:
            raise ValueError("takes api_key_env or api_key_file, not both")
        return self

    def api_key(self) -> str:
        """The key, read now; empty: none. Raises ConfigError when it is named but not there, or is not usable as a
        key."""
        if self.api_key_env:
            key = secret_variable(self.api_key_env, "the gateway")
        else:
            key = secret_file(self.api_key_file) if self.api_key_file else os.environ.get(KEY_VARIABLE, "")
        if not (key.isascii() and key.isprintable() and " " not in key):
            place = self.api_key_env or self.api_key_file or KEY_VARIABLE
            raise ConfigError(f"{place} holds no valid virtual key: it has characters that no key can have.")
        return key
