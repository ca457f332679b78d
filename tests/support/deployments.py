"""A separate data folder with a running gateway and ingest, in which tests run commands."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from regraft.flows.capture.waiting import wait_until_stored
from regraft.flows.lineage import build as lineage
from regraft.infra.embedded.nats import EmbeddedNats
from regraft.infra.embedded.postgres import PostgresEndpoint
from regraft.infra.embedded.stack import GATEWAY, Stack
from regraft.infra.postgres.pool import connect
from regraft.infra.settings import load_settings
from support.gateways import Upstream, free_port
from support.regraft_command import clean_environment, regraft_command
from support.scripted_upstream import Script, Seen, plain


class Numbered:
    """A scripted model server: every answer says its number, or what was ``asked`` to be planned is planned."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def __call__(self, seen: Seen) -> Script:
        """Nine tokens: seven of prompt, two of the answer."""
        asked = json.loads(seen.body)
        self.asked.append(asked)
        reply = {
            "id": "x",
            "model": asked["model"],
            "system_fingerprint": "fp",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": self.text(len(self.asked))},
                }
            ],
            "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
        }
        return plain(200, json.dumps(reply).encode())

    def text(self, number: int) -> str:
        """The text of the answer with this number."""
        return f"answer {number}"


class Deployment:
    """``folder`` is where commands are given; ``asked`` what the model server was asked."""

    def __init__(self, folder: Path, dsn: str, port: int, model: Numbered, stack: Stack) -> None:
        self.folder, self.dsn, self.port, self.model, self.stack = folder, dsn, port, model, stack
        self.url = f"http://127.0.0.1:{port}"

    def regraft(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Give a command."""
        return regraft_command(*arguments, cwd=self.folder, environment=clean_environment(**variables))

    def begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Give a command and go on; it leads a process group of its own."""
        command = [sys.executable, "-m", "regraft", *arguments]
        quiet, clean = subprocess.DEVNULL, clean_environment()
        return subprocess.Popen(command, cwd=self.folder, env=clean, stdout=quiet, stderr=quiet, start_new_session=True)

    def told(self, *arguments: str, **variables: str) -> Any:
        """The JSON output of a command that succeeds."""
        done = self.regraft(*arguments, "--json", **variables)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def node(self, text: str, headers: dict[str, str] | None = None, **settings: Any) -> UUID:
        """The node of a call."""
        body = json.dumps({"model": "small", "messages": [{"role": "user", "content": text}], **settings})
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            sent = {"Content-Type": "application/json", **(headers or {})}
            connection.request("POST", "/v1/chat/completions", body, sent)
            response = connection.getresponse()
            assert response.status == 200, response.read()
            turn = UUID(response.headers["x-regraft-turn"])
            response.read()
        wait_until_stored(self.dsn, [turn])
        lineage.build(self.dsn)
        (row,) = self.ask("SELECT node_id FROM session_turn WHERE turn_id = %(turn)s", turn=turn)
        return UUID(str(row["node_id"]))

    def ask(self, query: str, **values: Any) -> list[dict[str, Any]]:
        """Rows of the truth."""
        with connect(self.dsn) as connection:
            return connection.execute(query.encode(), values).fetchall()


@contextlib.contextmanager
def deployed(
    folder: Path, postgres: PostgresEndpoint, config: str = "", model: Numbered | None = None
) -> Iterator[Deployment]:
    """A deployment with its own database and stream. ``config`` is more of its TOML."""
    name, port, model = f"regraft_{uuid.uuid4().hex[:12]}", free_port(), model or Numbered()
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE regraft_template".encode())
    dsn, nats = postgres.admin_dsn(name), EmbeddedNats(folder / "nats")
    try:
        with Upstream(model) as upstream:
            servers = {
                "postgres": f"dsn = {json.dumps(dsn)}",
                "nats": f"url = {json.dumps(nats.start().url)}",
                "upstreams.main": f"base_url = {json.dumps(upstream.base_url)}",
            }
            tables = "\n".join(f"[{table}]\n{line}" for table, line in servers.items())
            data = json.dumps(str(folder / "data"))
            (folder / "regraft.toml").write_text(f"data_dir = {data}\ngateway.port = {port}\n{config}\n{tables}\n")
            settings = load_settings(folder / "regraft.toml")
            stack = Stack(settings, folder / "regraft.toml")
            try:
                stack.run(GATEWAY, port=port, port_setting="gateway.port", health=f"{stack.gateway_url()}/healthz")
                stack.ingest()
                yield Deployment(folder, dsn, port, model, stack)
            finally:
                stack.close()
    finally:
        nats.stop()
        with psycopg.connect(postgres.dsn, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def fails(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """One clear line on standard error, this exit code, and no traceback."""
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr
