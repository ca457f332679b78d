"""The gateway's listening socket."""

from __future__ import annotations

import errno
import socket

from regraft.domain.errors import ConfigError, PortInUseError

BACKLOG = 2048


def listen(host: str, port: int, shared: bool = False) -> socket.socket:
    """A bound socket. ``shared``: other processes bind the same port, and the kernel spreads connections over them."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(
                f"Port {port} on {host} is in use: stop what listens there, or choose another"
            ) from error
        raise ConfigError(f"The gateway cannot listen on {host}:{port}: {error.strerror}") from error
    return listener
