"""How long a server asks its callers to wait."""

from __future__ import annotations

from regraft.infra.llm.upstream import Headers


def retry_after(headers: Headers) -> float | None:
    """The seconds of ``Retry-After-Ms`` or ``Retry-After``. Dates are not read: they depend on two clocks."""
    named = {name.lower(): value for name, value in headers}
    for name, unit in ((b"retry-after-ms", 1000.0), (b"retry-after", 1.0)):
        try:
            return max(0.0, float(named.get(name, b"")) / unit)
        except ValueError:
            continue
    return None
