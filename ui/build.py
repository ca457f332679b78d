"""Build the page into the package, where it is missing or older than its sources. Run by ``make page`` and by wheels.

``--install-node`` installs the wheel with Node into this environment where the machine has none that is new enough.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has none: there it is not built twice at once
    fcntl = None

sys.path.insert(0, str(Path(__file__).parent))
from node import NodeMissing, node_folder

UI = Path(__file__).resolve().parent
PAGE = UI.parent / "src" / "regraft" / "presentation" / "web" / "static"
_STAMP = ".sources"
_SOURCES = ("*.html", "*.json", "*.ts", "src/**/*", "public/**/*")


def sources_digest() -> str:
    """A digest of all that the page is made from."""
    files = sorted({file for pattern in _SOURCES for file in UI.glob(pattern) if file.is_file()})
    whole = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        whole.update(f"{file.relative_to(UI).as_posix()} {len(content)}\n".encode() + content)
    return whole.hexdigest()


def is_current() -> bool:
    """Whether the built page is of these sources."""
    stamp = PAGE / _STAMP
    return stamp.is_file() and stamp.read_text() == sources_digest()


def build(*, install_node: bool = False) -> bool:
    """Build the page unless it is current; whether it was built. Raises NodeMissing or CalledProcessError.

    Only one process builds at a time: another would empty the folder under the first one's readers.
    """
    if is_current():
        return False
    with _alone():
        return False if is_current() else _build(install_node=install_node)


def _build(*, install_node: bool) -> bool:
    try:
        folder = node_folder()
    except NodeMissing:
        if not install_node:
            raise
        print("==> Installing Node (60 MB, once)", flush=True)
        requirements = UI.parent / "requirements-ui.txt"
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--no-deps", "--require-hashes"]
        subprocess.run([*pip, "-q", "-r", str(requirements)], check=True)
        folder = node_folder()
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"}
    digest = sources_digest()
    if _locked() != _installed():
        print("==> Installing what the page is made with (npm ci)", flush=True)
        _run(["npm", "ci", "--no-audit", "--no-fund"], environment)
        (UI / "node_modules" / ".lock-digest").write_text(_locked())
    print("==> Building the page", flush=True)
    _run(["npm", "run", "--silent", "build"], environment)
    (PAGE / _STAMP).write_text(digest)
    return True


@contextmanager
def _alone() -> Iterator[None]:
    lock = UI.parent / "build" / "page.lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as held:
        if fcntl is not None:
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _locked() -> str:
    return hashlib.sha256((UI / "package-lock.json").read_bytes()).hexdigest()


def _installed() -> str:
    stamp = UI / "node_modules" / ".lock-digest"
    return stamp.read_text() if stamp.is_file() else ""


def _run(command: list[str], environment: dict[str, str]) -> None:
    subprocess.run(command, cwd=UI, env=environment, check=True, stdin=subprocess.DEVNULL)


def main() -> int:
    """Exit status: 1 where the page could not be built."""
    try:
        built = build(install_node="--install-node" in sys.argv[1:])
    except (NodeMissing, subprocess.CalledProcessError, OSError) as error:
        print(f"The page of the web UI was not built: {error}", file=sys.stderr)
        print("Everything else works without it. To try again: make page", file=sys.stderr)
        return 1
    print(f"The page is {'built' if built else 'up to date'}: {PAGE.relative_to(UI.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
