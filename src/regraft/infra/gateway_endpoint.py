"""Where a gateway listens, and the virtual key to call it with."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class GatewayEndpoint:
    """``url`` without ``/v1``, such as ``http://127.0.0.1:4700``. ``key``: a virtual key, or empty for none."""

    url: str
    key: str = field(default="", repr=False)
