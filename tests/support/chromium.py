"""Debian's Chromium for the browser tests: where it is, and how it is started."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

VARIABLE = "REGRAFT_CHROMIUM"
FOREIGN = "evil.test"  # a name of another site; it is this machine
HOW = f"no Chromium found: install it (Debian: apt-get install chromium), or name one in {VARIABLE}"
ARGUMENTS = (
    "--no-sandbox",  # the tests may run as root, in a container
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
    # No name but those of this machine is found, so that a request to elsewhere fails wherever the tests run.
    f"--host-resolver-rules=MAP {FOREIGN} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)


def find_chromium() -> Path | None:
    """The program that REGRAFT_CHROMIUM names, else the one of the system."""
    if named := os.environ.get(VARIABLE):
        return Path(named) if Path(named).is_file() else None
    usual = Path("/usr/bin/chromium")
    if usual.is_file():
        return usual
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    return Path(found) if found else None
