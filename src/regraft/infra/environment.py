"""The environment of child processes: keys are passed only to those that use them."""

from __future__ import annotations

import os
from collections.abc import Set

# Variables that our Python programs need to start and to print.
_NAMES = frozenset({"PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "VIRTUAL_ENV"})
_STARTS = ("PYTHON", "LC_", "LD_", "DYLD_", "SSL_")


def environment_without(variables: Set[str]) -> dict[str, str]:
    """Our environment without these variables."""
    return {name: value for name, value in os.environ.items() if name not in variables}


def plain_environment() -> dict[str, str]:
    """The environment variables that a started program needs: none of Regraft's settings, and no key."""
    return {name: value for name, value in os.environ.items() if is_plain(name)}


def is_plain(name: str) -> bool:
    """Whether a variable is one that every program has, and so no key."""
    return name in _NAMES or name.startswith(_STARTS)
