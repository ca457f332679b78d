"""Label values from outside, such as the name of a model that a client asked for: only so many become series."""

from __future__ import annotations

OTHER = "other"
_LONGEST = 100  # characters


class BoundedLabels:
    """Gives the first ``limit`` distinct values as they are, and ``other`` for every further one.

    Without it a client that invents names could fill the memory of Prometheus.
    """

    def __init__(self, limit: int = 100) -> None:
        self._limit = limit
        self._known: dict[str, str] = {}

    def __call__(self, value: str) -> str:
        """The label for a value; empty for an empty one."""
        known = self._known.get(value)
        if known is None:
            if not value:
                return ""
            if len(self._known) >= self._limit:
                return OTHER
            known = self._known[value] = _printable(value)
        return known


def _printable(value: str) -> str:
    text = "".join(each if each.isprintable() else "?" for each in value[:_LONGEST])
    return text.encode("utf-8", "replace").decode()
