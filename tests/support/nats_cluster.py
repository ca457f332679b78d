"""A cluster of real NATS servers on this machine, each of which a test may kill and start again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from regraft.domain.errors import UnavailableError
from regraft.infra.nats.stream import CallStream
from support.gateways import free_port
from support.waiting import until


class ClusterServer:
    """One of them. It fsyncs what it acknowledges, as each server of a real cluster should."""

    def __init__(self, home: Path, name: str) -> None:
        self.name = name
        self.home = home / name
        self.home.mkdir()
        self.port, self.route, self.monitor = free_port(), free_port(), free_port()
        self.url = f"nats://user:pass,word@127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def configure(self, routes: list[int]) -> None:
        others = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
        (self.home / "nats.conf").write_text(
            f'server_name: {self.name}\nlisten: "127.0.0.1:{self.port}"\nhttp: "127.0.0.1:{self.monitor}"\n'
            'max_payload: 8MB\nauthorization { user: user, password: "pass,word" }\n'
            f'jetstream {{ store_dir: "{self.home / "jetstream"}", sync_interval: always }}\n'
            f'cluster {{ name: calls, listen: "127.0.0.1:{self.route}", routes: [{others}] }}\n'
        )

    def start(self) -> None:
        command = [str(Path(sys.executable).parent / "nats-server"), "-c", str(self.home / "nats.conf")]
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log)

    def kill(self) -> None:
        """As a machine that loses its power does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def is_healthy(self) -> bool:
        """Whether it has caught up with the others."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.monitor}/healthz", timeout=2) as response:
                return json.load(response)["status"] == "ok"
        except OSError:
            return False


class NatsCluster:
    """Three servers."""

    def __init__(self, home: Path) -> None:
        self.servers = [ClusterServer(home, name) for name in ("one", "two", "three")]
        for server in self.servers:
            server.configure([each.route for each in self.servers])

    @property
    def url(self) -> str:
        """The setting ``nats.url``."""
        return ",".join(server.url for server in self.servers)

    def __enter__(self) -> NatsCluster:
        for server in self.servers:
            server.start()
        self.until_healthy()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            server.kill()

    def until_healthy(self) -> None:
        running = [server for server in self.servers if server.process is not None]
        until(lambda: all(server.is_healthy() for server in running), 60)

    def leader(self) -> ClusterServer:
        """The server that takes what is published."""
        name = asyncio.run(self._leader())
        return next(server for server in self.servers if server.name == name)

    async def _leader(self) -> str:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(UnavailableError):
                async with await CallStream.connect(self.url) as stream:
                    found = (await stream.replication()).leader
                    if found:
                        return found
            await asyncio.sleep(0.2)
        raise AssertionError("the stream has no leader")
