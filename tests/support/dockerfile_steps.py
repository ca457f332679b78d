"""The steps of the Dockerfile, carried out in folders: COPY of what `.dockerignore` lets through, and RUN.

Each stage has a folder, and the absolute paths of its commands lead into it. The base image is this machine, with its
Python. The last stage's RUN makes accounts and is left out.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

_OWN = ("src", "opt", "data", "stream")  # folders below / that stages make
_INDEX = ("pip_", "npm_config", "node_", "ssl_", "requests_")  # how this machine reaches package indexes


def context_files(repository: Path) -> list[str]:
    """What git knows of or would add, without what `.dockerignore` keeps out: as the last rule that fits says."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    lines = (repository / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    return [file for file in listed if (repository / file).is_file() and not _ignored(file, rules)]


def _ignored(file: str, rules: list[str]) -> bool:
    parts = file.split("/")
    places = ["/".join(parts[: number + 1]) for number in range(len(parts))]
    ignored = False
    for rule in rules:
        pattern = rule.removeprefix("!")
        anywhere = pattern.startswith("**/") and any(fnmatchcase(part, pattern[3:]) for part in parts)
        if anywhere or any(fnmatchcase(place, pattern) for place in places):
            ignored = not rule.startswith("!")
    return ignored


class DockerfileSteps:
    """``build`` gives the folder of the last stage, which represents the image's root."""

    def __init__(self, repository: Path, folder: Path) -> None:
        self._repository = repository
        self._folder = folder
        self._files = context_files(repository)
        self._stages: dict[str, Path] = {}
        self._stage = folder
        self._workdir = "/"
        self._variables: dict[str, str] = {}

    def build(self) -> Path:
        """Carry out every stage. Raises CalledProcessError for a command that fails."""
        text = (self._repository / "Dockerfile").read_text().replace("\\\n", " ")
        stages = re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]
        for number, stage in enumerate(stages):
            first, *steps = stage.splitlines()
            self._begin(first.partition(" AS ")[2].strip() or str(number))
            for step in steps:
                word, _, rest = step.partition(" ")
                if word == "WORKDIR":
                    self._workdir = rest
                    self._at("").mkdir(parents=True, exist_ok=True)
                elif word == "ENV":
                    self._variables |= dict(pair.split("=", 1) for pair in shlex.split(rest))
                elif word == "COPY":
                    self._copy(rest.split())
                elif word == "RUN" and number < len(stages) - 1:
                    self._run(rest)
        return self._stage

    def _begin(self, name: str) -> None:
        self._stage = self._folder / name
        self._stage.mkdir(parents=True)
        self._stages[name] = self._stage
        self._workdir, self._variables = "/", {}

    def _at(self, path: str) -> Path:
        return self._stage / (path if path.startswith("/") else f"{self._workdir}/{path}").lstrip("/")

    def _copy(self, words: list[str]) -> None:
        source = words.pop(0).removeprefix("--from=") if words[0].startswith("--from=") else None
        *what, target = words
        for name in what:
            if source is not None:
                shutil.copytree(self._stages[source] / name.lstrip("/"), self._at(target), symlinks=True)
                continue
            found = [file for file in self._files if file == name or file.startswith(f"{name}/")]
            if not found:
                raise FileNotFoundError(f"COPY {name}: .dockerignore lets nothing of it through")
            for file in found:
                inside = file.removeprefix(name).lstrip("/") or (Path(name).name if target.endswith("/") else "")
                place = self._at(target) / inside
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self._repository / file, place)

    def _run(self, command: str) -> None:
        own = "|".join(_OWN)
        moved = re.sub(rf"(?<![\w./])/({own})\b", lambda found: f"{self._stage}/{found[1]}", command)
        reach = {name: value for name, value in os.environ.items() if name.lower().startswith(_INDEX)}
        programs = f"{Path(sys.base_prefix) / 'bin'}{os.pathsep}/usr/local/bin{os.pathsep}/usr/bin{os.pathsep}/bin"
        given = {"PATH": programs, "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8", **reach}
        subprocess.run(["sh", "-ec", moved], cwd=self._at(""), env={**given, **self._variables}, check=True)
