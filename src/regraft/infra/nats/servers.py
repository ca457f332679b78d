"""The setting ``nats.url``: one server, or several of a cluster, separated by commas."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

# A comma inside a password is none between servers: after one of those comes a scheme, or no password any more.
_BETWEEN = re.compile(r"\s*,\s*(?=(?:nats|tls|wss?)://|[^@]*$)")


def split_servers(url: str) -> list[str]:
    """Split at the commas."""
    return _BETWEEN.split(url.strip())


def server_urls(url: str) -> list[str]:
    """The URL of each server. Raises ValueError, without quoting it, when one of them is not an address."""
    found = split_servers(url)
    for each in found:
        scheme, _, rest = each.rpartition("://")
        place = rest.rpartition("@")[2]
        try:
            named = urlsplit(f"{scheme or 'nats'}://{place}")
            good = bool(named.hostname) and (named.port is None or named.port > 0) and "," not in place
        except ValueError:
            good = False
        if not good:
            raise ValueError(
                f"{place!r} is not the address of a NATS server, e.g. nats://10.0.0.1:4222. Separate several by "
                "commas: nats://10.0.0.1:4222,nats://10.0.0.2:4222"
            )
    return found


def without_passwords(url: str) -> str:
    """The servers, for people to read."""
    return ",".join(_without_password(each) for each in split_servers(url))


def _without_password(url: str) -> str:
    scheme, _, rest = url.rpartition("://")
    return f"{scheme or 'nats'}://{rest.rpartition('@')[2]}"
