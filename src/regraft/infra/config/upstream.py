"""The settings of one model server behind the gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from regraft.infra.config.secrets import secret_file, secret_variable
from regraft.infra.config.section import Section


class UpstreamSection(Section):
    """One model server behind the gateway."""

    base_url: str = Field(description="where its API starts, e.g. http://127.0.0.1:11434/v1")
    api_key_env: str | None = Field(None, description="the environment variable that holds its key")
    api_key_file: Path | None = Field(None, description="the file that holds its key")
    auth: Literal["bearer", "x-api-key", "api-key"] = Field("bearer", description="the header that its key is sent in")
    models: list[str] = Field(["*"], description="globs of the model names that it serves")
    alias: dict[str, str] = Field({}, description="clients' names for its models: name -> its model")
    pin: str = Field("", description="an identifier of its build, e.g. a digest; stored with every run")
    connect_timeout: float = Field(10.0, gt=0, description="seconds")
    read_timeout: float = Field(600.0, gt=0, description="seconds without a byte")
    retries: int = Field(0, ge=0, le=10, description="further attempts, on 429, 5xx and no connection")
    fallback: list[str] = Field([], description="upstreams to try after that, in this order")
    max_concurrency: int = Field(0, ge=0, description="concurrent calls; 0: no limit")
    queue: int = Field(
        100,
        ge=0,
        description="calls that wait for a free place in each gateway worker; further ones are answered with 429",
    )
    queue_seconds: float = Field(30.0, gt=0, description="longest wait in the queue, in seconds")

    @field_validator("base_url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        if "@" in value.split("//", 1)[1].partition("/")[0]:
            raise ValueError("must not hold a password: name it with api_key_env or api_key_file")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if self.api_key_env and self.api_key_file:
            raise ValueError("takes api_key_env or api_key_file, not both")
        return self

    def api_key(self) -> str | None:
        """The key, read now. Raises ConfigError when it is named but not there."""
        if self.api_key_env:
            return secret_variable(self.api_key_env, f"the upstream at {self.base_url}")
        return secret_file(self.api_key_file) if self.api_key_file else None
