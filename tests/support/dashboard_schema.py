"""The JSON Schema of a dashboard, generated from Grafana's own types by the program in ``deploy/grafana/schema``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

_REPOSITORY = Path(__file__).parents[2]
_SOURCE = _REPOSITORY / "deploy" / "grafana" / "schema"
_BUILT = _REPOSITORY / "build" / "dashboard-schema"
_FILES = ("package.json", "package-lock.json", ".npmrc", "tsconfig.json", "dashboard.ts")


def dashboard_schema() -> dict[str, Any]:
    """The schema. It is made once and again when its sources change.

    Skips the test where there is no Node, or its packages cannot be installed; fails it in CI.
    """
    _BUILT.mkdir(parents=True, exist_ok=True)
    with (_BUILT / "lock").open("w") as lock:
        flock(lock, LOCK_EX)
        fresh = {name: (_SOURCE / name).read_bytes() for name in _FILES}
        made = _BUILT / "schema.json"
        if not made.is_file() or any(not _holds(_BUILT / name, text) for name, text in fresh.items()):
            made.unlink(missing_ok=True)
            for name, text in fresh.items():
                (_BUILT / name).write_bytes(text)
            made.write_text(_generate())
        found: dict[str, Any] = json.loads(made.read_text("utf-8"))
        return found


def _holds(file: Path, text: bytes) -> bool:
    return file.is_file() and file.read_bytes() == text


def _generate() -> str:
    node = subprocess.run(
        [sys.executable, str(_REPOSITORY / "ui" / "node.py"), "--bin"], capture_output=True, text=True, check=False
    )
    found = (
        node.stdout.strip() if node.returncode == 0 else shutil.which("npm") and str(Path(shutil.which("npm")).parent)
    )
    if not found:
        _impossible(f"there is no Node: {node.stderr.strip()}")
    environment = {**os.environ, "PATH": f"{found}{os.pathsep}{os.environ['PATH']}"}
    for command in (("npm", "ci", "--ignore-scripts"), ("npx", "tsc"), ("npm", "run", "--silent", "schema")):
        done = subprocess.run(command, cwd=_BUILT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0 and command[1] == "ci":
            _impossible(f"its packages cannot be installed: {done.stderr.strip()[-400:]}")
        assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _impossible(reason: str) -> None:
    message = f"the schema of dashboards cannot be generated: {reason}"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def panel_schemas(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The schema of each kind of panel, so that an error names only that kind."""
    definitions = schema["definitions"]
    kinds = _resolved(definitions, _resolved(definitions, schema)["properties"]["panels"]["items"])["anyOf"]
    found = [_resolved(definitions, each) for each in kinds]
    return {each["properties"]["type"]["const"]: {**each, "definitions": definitions} for each in found}


def _resolved(definitions: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = definitions[unquote(schema["$ref"].removeprefix("#/definitions/"))]
    return schema
