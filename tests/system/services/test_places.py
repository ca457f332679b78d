"""Names and addresses that come from outside: none is used as a path, and none leads to another host."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from pydantic import ValidationError

from regraft.domain.datasets.formats import format_named
from regraft.domain.errors import ConfigError, UnavailableError, UsageError
from regraft.infra.config.tool_server import ToolServerSection
from regraft.infra.config.upstream import UpstreamSection
from regraft.infra.files.recipes import parse_recipe
from regraft.infra.mcp.servers import ToolServerError, ToolServers
from regraft.infra.nats.stream import CallStream
from regraft.infra.settings import Settings
from regraft.presentation.gateway.settings import GatewaySettings, UpstreamSettings
from support.gateways import Gateway, Upstream, free_port, spooled
from support.scripted_upstream import plain

ELSEWHERE = ("file:///etc/passwd", "ftp://host/x", "gopher://host/x", "unix:///run/x", "//host/x", "host:80", "")


class Asked(BaseHTTPRequestHandler):
    """Sends everyone to the server's ``target``, and counts them."""

    def _answer(self) -> None:
        self.server.count += 1  # type: ignore[attr-defined]
        self.send_response(307)
        self.send_header("Location", self.server.target)  # type: ignore[attr-defined]
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815 the names that the library calls

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def secret_place() -> Iterator[HTTPServer]:
    """A server that no one is to reach."""
    server = HTTPServer(("127.0.0.1", 0), Asked)
    server.target, server.count = "/", 0  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def behind(tmp_path: Path, base_url: str, **more: str) -> GatewaySettings:
    return GatewaySettings(
        upstreams={"main": UpstreamSettings(base_url=base_url, **more)},  # type: ignore[arg-type]
        spool=tmp_path / "spool",
        nats_url="nats://127.0.0.1:1",
        port=free_port(),
    )


@pytest.mark.parametrize("url", [*ELSEWHERE, "http://me:secret@host/v1"])
def test_addresses_of_model_and_tool_servers_are_http_and_hold_no_password(url: str) -> None:
    for section in (lambda: UpstreamSection(base_url=url), lambda: ToolServerSection(url=url)):
        with pytest.raises(ValidationError):
            section()


def test_an_orchestrator_has_no_address_of_its_own() -> None:
    orchestrator = {"model": "m", "workers": {"a": "m"}, "base_url": "http://169.254.169.254/"}
    with pytest.raises(ValidationError, match="base_url"):
        Settings(orchestrators={"o": orchestrator})  # type: ignore[arg-type]


def test_a_tool_server_that_sends_us_elsewhere_is_not_followed(secret_place: HTTPServer) -> None:
    with_redirect = HTTPServer(("127.0.0.1", 0), Asked)
    with_redirect.target, with_redirect.count = f"http://localhost:{secret_place.server_port}/mcp", 0  # type: ignore[attr-defined]
    thread = threading.Thread(target=with_redirect.serve_forever)
    thread.start()

    async def start() -> None:
        url = f"http://127.0.0.1:{with_redirect.server_port}/mcp"
        async with ToolServers({"own": ToolServerSection(url=url, start_timeout=5)}):
            pass

    try:
        with pytest.raises(ToolServerError):
            asyncio.run(start())
    finally:
        with_redirect.shutdown()
        thread.join()
        with_redirect.server_close()
    assert with_redirect.count > 0  # type: ignore[attr-defined]
    assert secret_place.count == 0  # type: ignore[attr-defined]


def test_a_model_server_that_sends_us_elsewhere_is_not_followed(tmp_path: Path, secret_place: HTTPServer) -> None:
    target = f"http://127.0.0.1:{secret_place.server_port}/v1/chat/completions"
    with (
        Upstream(lambda seen: plain(307, b"", headers=(("Location", target),))) as upstream,
        Gateway(behind(tmp_path, upstream.base_url)) as gateway,
    ):
        assert gateway.call()[0] == 307
    assert secret_place.count == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "..", "C:\\x", "trl/../../x", "x\0"])
def test_a_name_that_would_be_a_path_is_no_format_no_dataset_and_no_split(name: str) -> None:
    with pytest.raises(UsageError, match="There is no format"):
        format_named(name)
    shown = name.replace("\\", "\\\\").replace("\0", "\\u0000")
    for text in (f'name = "{shown}"\nkind = "sft"', f'name = "a"\nkind = "sft"\n[splits]\n"{shown}" = 1.0'):
        with pytest.raises(ConfigError, match="lower-case letters"):
            parse_recipe(text)


def test_a_theme_that_looks_like_a_path_is_a_name_and_makes_no_file(tmp_path: Path) -> None:
    with Upstream(lambda seen: plain(200, b"{}")) as upstream, Gateway(behind(tmp_path, upstream.base_url)) as gateway:
        for theme in ("../../theme-x", "/tmp/theme-x"):
            assert gateway.call(headers={"X-Regraft-Theme": theme})[0] == 200
    assert [each.identity.theme for each in spooled(tmp_path / "spool")] == ["../../theme-x", "/tmp/theme-x"]
    assert list(tmp_path.parent.rglob("*theme-x*")) == []


def test_keys_of_client_and_server_are_in_no_captured_call_and_in_no_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    own, server = "sk-client-1234567890", "sk-server-1234567890"
    settings = behind(tmp_path, "http://127.0.0.1:1/v1", api_key=server)
    with Upstream(lambda seen: plain(200, b"{}")) as upstream:
        for each in (behind(tmp_path, upstream.base_url, api_key=server), settings):
            with Gateway(each) as gateway:
                for header in ("Authorization", "x-api-key", "api-key", "x-goog-api-key", "Cookie"):
                    gateway.call(headers={header: f"Bearer {own}" if header == "Authorization" else own})
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert len(spooled(tmp_path / "spool")) > 0
    for secret in (own, server):
        assert secret.encode() not in kept
        assert secret not in caplog.text
        assert secret not in repr(settings)


@pytest.mark.parametrize("userinfo", ["a-token-4711", "user:a-token-4711"])
def test_an_unreachable_stream_is_named_without_its_token(userinfo: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(UnavailableError) as refused:
        asyncio.run(CallStream.connect(f"nats://{userinfo}@127.0.0.1:1"))
    assert "127.0.0.1:1" in str(refused.value)
    assert "a-token-4711" not in str(refused.value) + caplog.text
