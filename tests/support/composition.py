"""The services of ``deploy/compose.yaml`` as processes of this machine: the same commands, variables, files, checks.

Folders of the containers lie below a folder of the test, their names and ports are on loopback.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from regraft.infra.embedded.postgres import EmbeddedPostgres
from support.gateways import free_port
from support.sealed import ACCOUNT, sealed
from support.waiting import until

REPOSITORY = Path(__file__).parent.parent.parent
DEPLOY = REPOSITORY / "deploy"
_PLACES = ("/etc/regraft", "/etc/nats", "/run/secrets", "/data", "/stream", "/tmp")
_WRITABLE = ("/data", "/stream", "/tmp")
_PORTS = ("4222", "8222", "4700", "4701", "4702", "4703", "4704", "4705")
_LISTENING = {"gateway": "GATEWAY__PORT", "web": "WEB__PORT", "dagster": "DAGSTER__PORT", "metrics": "METRICS__PORT"}


def compose_file() -> dict[str, Any]:
    """The file as Compose reads it: anchors merged, variables with their defaults, `$$` as `$`."""
    read: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return _interpolated(read)


def _interpolated(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _interpolated(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_interpolated(each) for each in value]
    if isinstance(value, str):
        return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value).replace("$$", "$")
    return value


def image_variables() -> dict[str, str]:
    """The variables that the last stage of the Dockerfile sets."""
    last = (REPOSITORY / "Dockerfile").read_text().rpartition("\nFROM ")[2].replace("\\\n", " ")
    (line,) = re.findall(r"^ENV (.*)$", last, re.MULTILINE)
    return dict(word.split("=", 1) for word in line.split())


class Composition:
    """``folder`` can be reached by every account, so that an embedded PostgreSQL works in it. ``seal``: services have
    the account of the image, hold no rights, and write to their volumes alone. ``image`` represents the image's root:
    its programs are run, not those of this checkout."""

    def __init__(self, folder: Path, upstream: str, *, seal: bool = False, image: Path | None = None) -> None:
        self.folder = folder
        self._seal = seal
        self._image = image
        self.services: dict[str, Any] = compose_file()["services"]
        self.ports = {port: str(free_port()) for port in _PORTS}
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._postgres = EmbeddedPostgres(folder / "postgres")
        for place in _PLACES:
            self._moved_place(place).mkdir(parents=True)
        if seal:
            for place in _WRITABLE:
                os.chown(self._moved_place(place), ACCOUNT, ACCOUNT)
        deploy = folder / "deploy"
        deploy.mkdir()
        shutil.copy(DEPLOY / "make-secrets", deploy)
        subprocess.run([str(deploy / "make-secrets")], check=True, stdout=subprocess.DEVNULL)
        for secret in (deploy / "secrets").iterdir():
            shutil.copy(secret, self._moved_place("/run/secrets"))
        (self._moved_place("/etc/regraft") / "regraft.toml").write_text(f'[upstreams.main]\nbase_url = "{upstream}"\n')
        nats = self.moved((DEPLOY / "nats" / "nats.conf").read_text())
        (self._moved_place("/etc/nats") / "nats.conf").write_text(nats)

    def start_postgres(self) -> None:
        """PostgreSQL with the password of the secret; the database `dagster` is there too."""
        run = self.folder / "postgres" / "run"
        run.mkdir(parents=True)
        shutil.copy(self._moved_place("/run/secrets") / "postgres_password", run / "postgres.password")
        self.ports["5432"] = str(self._postgres.start().port)

    def start(self, name: str) -> None:
        """Start a service, and return when its health check passes."""
        service = self.services[name]
        entry = service.get("entrypoint", ["regraft"])
        self.running[name] = self._process(name, [*entry, *service.get("command", [])])
        test = service["healthcheck"]["test"][1:]
        until(lambda: self._process(f"{name}-health", test, variables=name).wait() == 0 or self._ended(name), 180)

    def run(self, name: str, *command: str) -> str:
        """What a command prints in the container of a service, which must succeed; without one the service's own."""
        words = command or (*self.services[name].get("entrypoint", ["regraft"]), *self.services[name]["command"])
        done = subprocess.run(
            self._words(words),
            cwd=self._moved_place("/data"),
            env=self.variables(name),
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, (name, words, done.stdout, done.stderr)
        return done.stdout

    def variables(self, name: str) -> dict[str, str]:
        """All variables of a service's process: none of this machine's but the path of our own code."""
        given = {**image_variables(), **self.services[name].get("environment", {})}
        if name in _LISTENING:
            (port,) = (each for each in _PORTS if f":{each}" in self.services[name]["healthcheck"]["test"][-1])
            given[f"REGRAFT_{_LISTENING[name]}"] = port
        moved = {key: self.moved(str(value)) for key, value in given.items()}
        ours = self._image / "opt/regraft/bin" if self._image else Path(sys.executable).parent
        programs = f"{ours}{os.pathsep}/usr/bin{os.pathsep}/bin"
        code = "" if self._image else os.environ.get("PYTHONPATH", "")
        own = {"HOME": str(self._moved_place("/data")), "TMPDIR": str(self._moved_place("/tmp"))}
        return {**moved, **own, "PATH": programs, "PYTHONPATH": code}

    def moved(self, text: str) -> str:
        """A text with the places, names and ports of this machine."""
        for name in ("postgres", "nats", "gateway"):
            text = re.sub(rf"\b{name}:(?=\d{{4}}\b)", "127.0.0.1:", text)
        text = text.replace("0.0.0.0", "127.0.0.1")
        places = "|".join(_PLACES)
        text = re.sub(rf"(?<![\w./])(?:{places})\b", lambda found: str(self._moved_place(found[0])), text)
        return re.sub(
            r"(?<=127\.0\.0\.1:)\d{4}\b|(?<=^)\d{4}(?=$)", lambda found: self.ports.get(found[0], found[0]), text
        )

    def stop(self, name: str) -> int:
        """SIGTERM, as a container runtime sends it; the exit status."""
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(60)

    def close(self) -> None:
        """Stop what runs."""
        for process in self.running.values():
            process.kill()
            process.wait()
        self._postgres.stop()

    def log(self, name: str) -> str:
        """What a service wrote."""
        return (self.folder / f"{name}.log").read_text("utf-8", "replace")

    def _process(self, log: str, words: list[str], variables: str = "") -> subprocess.Popen[bytes]:
        with (self.folder / f"{log}.log").open("ab") as written:
            return subprocess.Popen(
                self._words(words),
                cwd=self._moved_place("/data"),
                env=self.variables(variables or log),
                stdout=written,
                stderr=written,
            )

    def _words(self, words: Sequence[str]) -> list[str]:
        moved = [self.moved(word) for word in words]
        if not self._seal:
            return moved
        programs = [Path(sys.base_prefix), Path(sys.prefix).resolve(), self._image or REPOSITORY]
        return sealed(moved, map(self._moved_place, _WRITABLE), programs)

    def _ended(self, name: str) -> bool:
        if self.running[name].poll() is not None:
            raise RuntimeError(f"{name} ended:\n{self.log(name)[-4000:]}")
        return False

    def _moved_place(self, place: str) -> Path:
        return self.folder / "root" / place.lstrip("/")
