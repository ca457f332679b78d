"""The settings of traces: where they go, what is sent along, and what is refused."""

from __future__ import annotations

import importlib.util

import pytest
from pydantic import ValidationError

from regraft.domain.errors import ConfigError
from regraft.infra.config.otel import OtelSection
from regraft.infra.embedded.stack import DAGSTER, GATEWAY, INGEST, WEB, Stack
from regraft.infra.settings import Settings


def test_nothing_is_traced_by_default():
    assert OtelSection().settings() is None


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:4318", "http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"]
)
def test_spans_go_below_the_endpoint(endpoint):
    found = OtelSection(endpoint=endpoint, sample_ratio=0.25).settings()
    assert (found.url, found.ratio, dict(found.headers)) == ("http://127.0.0.1:4318/v1/traces", 0.25, {})


def test_headers_come_from_a_variable_or_a_file_and_are_not_shown(monkeypatch, tmp_path):
    monkeypatch.setenv("OTLP_HEADERS", "Authorization=Bearer%20se%2Ccret , x-scope=a=b,")
    found = OtelSection(endpoint="https://otlp.example.com", headers_env="OTLP_HEADERS").settings()
    assert dict(found.headers) == {"authorization": "Bearer se,cret", "x-scope": "a=b"}
    assert "cret" not in repr(found)
    (tmp_path / "headers").write_text("authorization=Basic%20abc\n")
    found = OtelSection(endpoint="https://otlp.example.com", headers_file=tmp_path / "headers").settings()
    assert dict(found.headers) == {"authorization": "Basic abc"}


@pytest.mark.parametrize("text", ["no header", "=secret", "a b=c", "name=line%0Abreak", "name=\u00e9"])
def test_headers_that_cannot_be_sent_are_refused_without_being_shown(monkeypatch, text):
    monkeypatch.setenv("OTLP_HEADERS", text)
    with pytest.raises(ConfigError, match=r"^OTLP_HEADERS holds no valid headers: write name=value") as refused:
        OtelSection(endpoint="http://127.0.0.1:4318", headers_env="OTLP_HEADERS").settings()
    assert text not in str(refused.value)


def test_a_variable_that_is_not_set_is_named():
    with pytest.raises(ConfigError, match="The variable NO_SUCH_HEADERS for the OTLP receiver is not set"):
        OtelSection(endpoint="http://127.0.0.1:4318", headers_env="NO_SUCH_HEADERS").settings()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"endpoint": "127.0.0.1:4318"}, "must look like http://host:4318"),
        ({"endpoint": "http://"}, "must look like"),
        ({"endpoint": "http://user:key@host:4318"}, "must not hold a key"),
        ({"endpoint": "http://host:4318/?key=1"}, "must not hold a key"),
        ({"headers_env": "A", "headers_file": "b"}, "not both"),
        ({"sample_ratio": 1.5}, "less than or equal to 1"),
    ],
)
def test_a_mistake_is_said(given, said):
    with pytest.raises(ValidationError, match=said):
        OtelSection(**given)


def test_without_the_extra_the_error_says_what_to_install(monkeypatch):
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name.startswith("opentelemetry.exporter") else there(name)
    )
    with pytest.raises(ConfigError, match=r"pip install 'regraft\[otel\]'"):
        OtelSection(endpoint="http://127.0.0.1:4318").settings()


def test_the_headers_are_given_to_those_processes_that_export_alone(tmp_path):
    settings = Settings(
        data_dir=tmp_path, otel=OtelSection(endpoint="http://127.0.0.1:4318", headers_env="OTLP_HEADERS")
    )
    stack = Stack(settings)
    withheld = {name: "OTLP_HEADERS" in stack._withheld(name) for name in (GATEWAY, INGEST, WEB, DAGSTER)}
    assert withheld == {GATEWAY: True, INGEST: False, WEB: False, DAGSTER: False}
