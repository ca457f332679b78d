"""The version of Regraft, apart from the package itself, which holds the public Python API."""

from __future__ import annotations

__version__ = "0.1.0"
