"""One finding of ``regraft doctor``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """``level`` is ok, warning or wrong; ``mend`` says what to do."""

    level: str
    what: str
    mend: str = ""
