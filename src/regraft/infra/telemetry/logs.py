"""Logging: one line an event on standard error. No message bodies, no headers, no secrets are ever passed to it."""

from __future__ import annotations

import logging
import sys


def configure_logging(level: str) -> None:
    """Log to standard error from ``level`` on; libraries from WARNING on."""
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )
    logging.getLogger("regraft").setLevel(level)
