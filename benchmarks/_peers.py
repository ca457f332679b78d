"""Other gateways for comparison: each is installed below ~/.cache/regraft-bench, outside the repository.

A peer that cannot be installed is skipped with a message. LiteLLM is pinned to a release that predates the tampering
with its packages. TensorZero is the gateway inside its Python wheel; it would record calls in ClickHouse, which is not
available. No peer records calls here, which is to their advantage."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import Request, urlopen

CACHE = Path.home() / ".cache" / "regraft-bench"
START_SECONDS = 120

TENSORZERO = """
import sys, time
from tensorzero.tensorzero import _start_http_gateway
gateway = _start_http_gateway(config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None,
                              async_setup=False)
print(gateway.base_url, flush=True)
while True:
    time.sleep(60)
"""
TENSORZERO_CONFIG = """
[gateway]
observability.enabled = false
[models.m]
routing = ["p"]
[models.m.providers.p]
type = "openai"
model_name = "m"
api_base = "http://127.0.0.1:{port}/v1/"
api_key_location = "none"
"""
LITELLM_CONFIG = """
model_list:
  - model_name: m
    litellm_params: {{model: openai/m, api_base: "http://127.0.0.1:{port}/v1", api_key: k}}
litellm_settings: {{telemetry: false}}
"""
NGINX_CONFIG = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  keepalive_requests 100000000;
  upstream model {{ server 127.0.0.1:{port}; keepalive 256; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{own};
    location / {{
      proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    }}
  }}
}}
"""


@dataclass(frozen=True)
class Contender:
    """A running gateway: where it listens, its first process, and what its API wants to hear."""

    name: str
    port: int
    pid: int
    path: str = "/v1/chat/completions"
    model: str = "m"
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    streams: bool = True


class AbsentError(Exception):
    """The peer cannot be had here."""


def run(*command: str, cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise AbsentError(f"{' '.join(command[:3])} failed: {(done.stderr or done.stdout).strip()[-200:]}")


def venv_with(name: str, *packages: str) -> Path:
    """The Python of a virtual environment that has the packages."""
    home = CACHE / name
    ready = home / ".ready"
    if not ready.exists() or ready.read_text() != " ".join(packages):
        print(f"installing {name} ...", flush=True)
        run(sys.executable, "-m", "venv", str(home))
        run(str(home / "bin" / "python"), "-m", "pip", "install", "-q", *packages)
        ready.write_text(" ".join(packages))
    return home / "bin" / "python"


@contextlib.contextmanager
def process(*command: str, env: dict[str, str] | None = None, **more: object) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, **(env or {})}
    )
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def until_answers(child: subprocess.Popen[str], one: Contender, body: bytes) -> Contender:
    """Wait until a call goes through, whole."""
    deadline = time.monotonic() + START_SECONDS
    headers = {name.decode(): value.decode() for name, value in one.headers} | {"content-type": "application/json"}
    why = ""
    while time.monotonic() < deadline and child.poll() is None:
        try:
            with urlopen(Request(f"http://127.0.0.1:{one.port}{one.path}", body, headers), timeout=5) as answer:
                if b"choices" in answer.read():
                    return one
        except OSError as error:
            why = str(error)
        time.sleep(0.2)
    raise AbsentError(f"it does not answer ({why or 'it ended'})")


@contextlib.contextmanager
def nginx(server_port: int, own_port: int, body: bytes) -> Iterator[Contender]:
    binary = CACHE / "nginx" / "usr" / "sbin" / "nginx"
    if not binary.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        run("apt-get", "download", "nginx", cwd=CACHE)
        package = max(CACHE.glob("nginx_*.deb"))
        run("dpkg", "-x", str(package), str(CACHE / "nginx"))
    folder = CACHE / "nginx-run"
    folder.mkdir(exist_ok=True)
    config = folder / "nginx.conf"
    config.write_text(NGINX_CONFIG.format(folder=folder, port=server_port, own=own_port))
    with process(str(binary), "-c", str(config), "-e", str(folder / "error.log")) as child:
        yield until_answers(child, Contender("nginx", own_port, child.pid), body)


@contextlib.contextmanager
def tensorzero(server_port: int, own_port: int, body: bytes) -> Iterator[Contender]:
    python = venv_with("tensorzero", "tensorzero==2026.6.0")
    config = CACHE / "tensorzero.toml"
    config.write_text(TENSORZERO_CONFIG.format(port=server_port))
    with process(str(python), "-c", TENSORZERO, str(config)) as child:
        assert child.stdout is not None
        url = next((line for line in child.stdout if line.startswith("http://")), "")
        if not url:
            raise AbsentError("its embedded gateway did not start")
        port = int(url.split(":")[2].split("/")[0])
        model = "tensorzero::model_name::m"
        one = Contender("TensorZero", port, child.pid, "/openai/v1/chat/completions", model)
        yield until_answers(child, one, body.replace(b'"m"', b'"%b"' % model.encode(), 1))


@contextlib.contextmanager
def litellm(server_port: int, own_port: int, body: bytes) -> Iterator[Contender]:
    python = venv_with("litellm", "litellm[proxy]==1.80.0")
    config = CACHE / "litellm.yaml"
    config.write_text(LITELLM_CONFIG.format(port=server_port))
    command = [str(python.parent / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(own_port)]
    with process(*command, env={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}) as child:
        yield until_answers(child, Contender("LiteLLM", own_port, child.pid), body)


@contextlib.contextmanager
def portkey(server_port: int, own_port: int, body: bytes) -> Iterator[Contender]:
    home = CACHE / "portkey"
    script = home / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    if not script.exists():
        print("installing portkey ...", flush=True)
        home.mkdir(parents=True, exist_ok=True)
        run("npm", "install", "--no-audit", "--no-fund", "--prefix", str(home), "@portkey-ai/gateway@1.15.2")
    headers = [
        (b"x-portkey-provider", b"openai"),
        (b"x-portkey-custom-host", f"http://127.0.0.1:{server_port}/v1".encode()),
    ]
    env = {"TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost", "NODE_ENV": "production"}
    with process("node", str(script), f"--port={own_port}", "--headless", env=env) as child:
        yield until_answers(child, Contender("Portkey", own_port, child.pid, headers=headers, streams=False), body)


PEERS = {"nginx": nginx, "TensorZero": tensorzero, "LiteLLM": litellm, "Portkey": portkey}
