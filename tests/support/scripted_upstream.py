"""A real HTTP server that replays scripted wire traffic byte for byte, and can misbehave on purpose."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait between two writes, in seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Script:
    """What to write for one request: bytes and pauses, then keep the connection, ``close`` it or ``reset`` it."""

    steps: tuple[bytes | Pause, ...]
    then: str = "keep"


@dataclass(slots=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes
    connection: int

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)


def plain(
    status: int,
    body: bytes,
    content_type: str = "application/json",
    headers: tuple[tuple[str, str], ...] = (),
    then: str = "keep",
) -> Script:
    """An answer with a content-length, in one write."""
    return Script((_head(status, content_type, (*headers, ("Content-Length", str(len(body))))) + body,), then)


def chunked(
    status: int,
    pieces: list[bytes],
    content_type: str = "text/event-stream",
    headers: tuple[tuple[str, str], ...] = (),
    pause: float = 0.0,
    end: bool = True,
    then: str = "keep",
) -> Script:
    """A chunked answer, one write a piece; without ``end`` the terminating chunk is missing."""
    steps: list[bytes | Pause] = [_head(status, content_type, (*headers, ("Transfer-Encoding", "chunked")))]
    for piece in pieces:
        if pause:
            steps.append(Pause(pause))
        steps.append(b"%x\r\n%b\r\n" % (len(piece), piece))
    if end:
        steps.append(b"0\r\n\r\n")
    return Script(tuple(steps), then)


def _head(status: int, content_type: str, headers: tuple[tuple[str, str], ...]) -> bytes:
    lines = [f"HTTP/1.1 {status} Scripted", f"Content-Type: {content_type}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@dataclass(slots=True)
class ScriptedUpstream:
    """Use as ``async with``. ``answer`` chooses the script for each request; ``seen`` keeps what came."""

    answer: Callable[[Seen], Script]
    tls: ssl.SSLContext | None = None
    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    dropped: int = 0  # connections that the other side closed while we were still answering
    connections: int = 0
    written: int = 0  # steps that were written and left our buffers
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def base_url(self) -> str:
        return f"http{'s' if self.tls else ''}://localhost:{self.port}/v1"

    async def __aenter__(self) -> ScriptedUpstream:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, ssl=self.tls, limit=1 << 26)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        number = self.connections
        try:
            while (seen := await self._request(reader, number)) is not None:
                self.seen.append(seen)
                script = self.answer(seen)
                for step in script.steps:
                    if isinstance(step, Pause):
                        await self._pause(reader, step.seconds)
                    else:
                        writer.write(step)
                        await writer.drain()
                        self.written += 1
                if script.then == "reset":  # no lingering: the other side gets an RST, not an end
                    sock = writer.get_extra_info("socket")
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    writer.transport.abort()
                if script.then != "keep":
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            self.dropped += 1
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _pause(self, reader: asyncio.StreamReader, seconds: float) -> None:
        """Sleep, but notice at once when the other side hangs up."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0:
            await asyncio.sleep(min(left, 0.01))
            if reader.at_eof():
                raise ConnectionResetError

    async def _request(self, reader: asyncio.StreamReader, number: int) -> Seen | None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        method, path, _ = first.split(" ", 2)
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        length = int(next((value for name, value in headers if name.lower() == "content-length"), "0"))
        return Seen(method, path, headers, await reader.readexactly(length), number)
