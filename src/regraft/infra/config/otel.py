"""Where traces go."""

from __future__ import annotations

from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

from pydantic import Field, field_validator, model_validator

from regraft.domain.errors import ConfigError
from regraft.infra.config.secrets import secret_file, secret_variable
from regraft.infra.config.section import Section
from regraft.infra.telemetry.span_exporter import TraceSettings, require_libraries

_TRACES = "/v1/traces"


class OtelSection(Section):
    """Traces of calls by OpenTelemetry's protocol, without content. They need `pip install 'regraft[otel]'`."""

    endpoint: str = Field(
        "", description="an OTLP receiver over HTTP, e.g. http://127.0.0.1:4318; empty: nothing is traced"
    )
    headers_env: str | None = Field(
        None, description="the environment variable that holds headers for it: name=value, with commas between them"
    )
    headers_file: Path | None = Field(None, description="the file that holds them")
    sample_ratio: float = Field(
        1.0, ge=0, le=1, description="share of the traces that begin here which is exported; others follow the client"
    )

    @field_validator("endpoint")
    @classmethod
    def _is_http(cls, value: str) -> str:
        if value:
            url = urlsplit(value)
            if url.scheme not in ("http", "https") or not url.hostname:
                raise ValueError("must look like http://host:4318")
            if url.username or url.password or url.query:
                raise ValueError("must not hold a key: name headers_env or headers_file")
        return value.rstrip("/").removesuffix(_TRACES)

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.headers_env and self.headers_file:
            raise ValueError("takes headers_env or headers_file, not both")
        return self

    def settings(self) -> TraceSettings | None:
        """Where spans go, with headers read now; None: nowhere.

        Raises ConfigError when they cannot be read, or the extra is not installed.
        """
        if not self.endpoint:
            return None
        require_libraries()
        text = ""
        if self.headers_env:
            text = secret_variable(self.headers_env, "the OTLP receiver")
        elif self.headers_file:
            text = secret_file(self.headers_file)
        place = f"{self.headers_env or self.headers_file}"
        return TraceSettings(url=self.endpoint + _TRACES, ratio=self.sample_ratio, headers=_headers(text, place))


def _headers(text: str, place: str) -> dict[str, str]:
    """Headers as OTEL_EXPORTER_OTLP_HEADERS has them: ``name=value,name=value``, with values percent-encoded."""
    found = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, equals, value = part.partition("=")
        name, value = name.strip().lower(), unquote(value.strip())
        if not equals or not name.replace("-", "").isalnum() or not (value.isascii() and value.isprintable()):
            raise ConfigError(f"{place} holds no valid headers: write name=value, with commas between them.")
        found[name] = value
    return found
