"""Which host names a server accepts, and which web pages may call it.

A page that a browser shows can send requests to servers on the same machine, and by changing what its own name resolves
to (DNS rebinding) it can read their answers. So a server accepts only known host names, and requests of scripts only
from allowed origins."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from fnmatch import fnmatchcase

ANY = "*"


class HostPolicy:
    """``hosts`` are names, ``origins`` are like ``https://app.example.com``; both may be globs, ``*`` allows all.

    Loopback names are always accepted, and so is the address ``bind`` on which the server listens.
    """

    def __init__(self, hosts: Iterable[str] = (), origins: Iterable[str] = (), bind: str = "") -> None:
        self._hosts = tuple(host_name(each) if each != ANY else ANY for each in (*hosts, *((bind,) if bind else ())))
        self._origins = tuple(each.lower().rstrip("/") for each in origins)

    def accepts(self, host: str) -> bool:
        """Whether a Host header names this server. An empty one is for the caller to judge."""
        name = host_name(host)
        if not name:
            return False
        return is_loopback(name) or any(fnmatchcase(name, each) for each in self._hosts)

    def allows(self, origin: str) -> bool:
        """Whether pages of this origin may call."""
        origin = origin.strip().lower()
        return any(each == ANY or fnmatchcase(origin, each) for each in self._origins)


def host_name(host: str) -> str:
    """The name in a Host header, without its port; empty when it is malformed."""
    host = host.strip().lower()
    if host.startswith("["):
        name, closed, port = host[1:].partition("]")
        port = port.removeprefix(":") if port[:1] in ("", ":") else "no port"
        host = name if closed else ""
    elif host.count(":") > 1:
        return host  # an address without brackets, as settings have it
    else:
        host, _, port = host.partition(":")
    return host.rstrip(".") if not port or port.isdigit() else ""


def is_address(host: str) -> bool:
    """Whether a Host header is an IP address, to which no name was resolved."""
    try:
        ipaddress.ip_address(host_name(host))
    except ValueError:
        return False
    return True


def is_loopback(name: str) -> bool:
    """Whether a name or address can only be this machine."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
