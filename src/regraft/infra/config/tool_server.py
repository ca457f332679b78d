"""The settings of one MCP tool server."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from regraft.infra.config.secrets import secret_file, secret_variable
from regraft.infra.config.section import Section


class ToolServerSection(Section):
    """One MCP server: a ``command`` that is started and spoken to on its standard input, or a ``url``.

    Its environment has only a few variables (HOME, PATH and similar), and those that are named here.
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
            return secret_variable(self.api_key_env, f"the tool server at {self.url}")
        return secret_file(self.api_key_file) if self.api_key_file else None

    def environment(self) -> dict[str, str]:
        """What the command is given beside the usual variables, read now. Raises ConfigError when one is not there."""
        passed = {name: secret_variable(name, f"the tool server {self.command}") for name in self.pass_env}
        return {**self.env, **passed, **{name: secret_file(path) for name, path in self.env_files.items()}}
