"""MCP tool servers (Model Context Protocol), through the official SDK: processes that we start, and servers at URLs.

A tool is run for real only by ``ToolServers.call``.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO
from urllib.parse import urlsplit

from regraft.domain.errors import ConfigError, UnavailableError
from regraft.domain.ids import canonical_json, parse_json, plain
from regraft.infra.config.tool_server import ToolServerSection
from regraft.version import __version__

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import CallToolResult, ContentBlock, Tool

_PAGES = 100  # of a server's list of tools
_SHOWN = 500  # characters of a server's last words


class ToolServerError(UnavailableError):
    """A tool server failed."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of a tool: ``content`` is that of a chat message with the role ``tool``, a text or a list of parts.

    ``is_error``: the tool failed, or there is no such tool, or it took too long; the content says so, for the model to
    read. ``seconds`` is how long it took.
    """

    content: str | list[dict[str, Any]]
    is_error: bool
    seconds: float


class ToolServers:
    """Use as ``async with``: every server is started or connected to, and ended with the block.

    Calls may be made from any task of the same loop, and at the same time.
    """

    def __init__(self, configs: Mapping[str, ToolServerSection]) -> None:
        self._servers = [_Server(name, config) for name, config in configs.items()]
        self._of_tool: dict[str, _Server] = {}
        self._definitions: list[dict[str, Any]] = []

    async def __aenter__(self) -> Self:
        """Raises ToolServerError when a server does not start, ConfigError when two have a tool of one name."""
        try:
            ends = await asyncio.gather(*(server.start() for server in self._servers), return_exceptions=True)
            if failure := next((end for end in ends if end is not None), None):
                raise failure
            for server in self._servers:
                for tool in server.tools:
                    self._take(server, tool)
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _stop(self) -> None:
        await asyncio.gather(*(server.stop() for server in self._servers))

    def _take(self, server: _Server, tool: Tool) -> None:
        other = self._of_tool.setdefault(tool.name, server)
        if other is not server:
            raise ConfigError(
                f"The tool servers {other.name} and {server.name} both have a tool {tool.name}. Name the tools that "
                f"each is asked for: tools.{server.name}.only = [...]."
            )
        self._definitions.append(_definition(tool))

    def definitions(self) -> list[dict[str, Any]]:
        """The servers' tools as a chat request lists them under ``tools``, in the order of the configuration."""
        return list(self._definitions)

    def has(self, name: str) -> bool:
        """Whether a server offers a tool of this name."""
        return name in self._of_tool

    async def call(self, name: str, arguments: Any) -> ToolResult:
        """Run a tool. ``arguments`` are a JSON object, or its text as a chat answer holds it.

        Errors of the model and of the tool are results with ``is_error``. Raises ToolServerError when the
        server is gone.
        """
        began = time.perf_counter()
        server = self._of_tool.get(name)
        if server is None:
            known = ", ".join(self._of_tool) or "none"
            return _failed(f"There is no tool {name}. The tools are: {known}.", began)
        read = _read_arguments(arguments)
        if read is None:
            return _failed(f"The arguments of {name} are not a JSON object.", began)
        return await server.call(name, read, began)


class _Server:
    """One server, held open by its own task, so that its end never cancels a caller."""

    def __init__(self, name: str, config: ToolServerSection) -> None:
        self.name = name
        self.tools: list[Tool] = []
        self._config = config
        self._client: Client | None = None
        self._ready = asyncio.Event()
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._words = ""

    async def start(self) -> None:
        self._task = asyncio.create_task(self._hold(), name=f"tool server {self.name}")
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait(
                {ready, self._task}, timeout=self._config.start_timeout, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            ready.cancel()
        if self._ready.is_set():
            return
        if not self._task.done():
            await self.stop()
            raise ToolServerError(
                f"The tool server {self.name} ({self._place()}) was not ready after {self._config.start_timeout:g} "
                f"seconds.{self._words}"
            )
        error = self._task.exception()
        if isinstance(error, ConfigError):
            raise error
        raise ToolServerError(
            f"The tool server {self.name} ({self._place()}) cannot be used: {_why(error)}.{self._words}"
        ) from error

    async def stop(self) -> None:
        if self._task is None:
            return
        self._ending.set()
        if not self._ready.is_set():
            self._task.cancel()
        await asyncio.wait({self._task})
        if not self._task.cancelled():
            self._task.exception()  # the calls that it ended have reported the error
        self._client = None

    async def _hold(self) -> None:
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
            try:
                async with self._connected(log) as client:
                    self.tools = await self._listed(client)
                    self._client = client
                    self._ready.set()
                    await self._ending.wait()
            finally:
                self._client = None
                self._words = _last_words(log)

    @asynccontextmanager
    async def _connected(self, log: TextIO) -> AsyncIterator[Client]:
        from mcp import Client, StdioServerParameters, stdio_client
        from mcp.client.streamable_http import streamable_http_client
        from mcp.shared._httpx_utils import create_mcp_http_client
        from mcp.types import Implementation

        config = self._config
        async with AsyncExitStack() as held:
            if config.command:
                process = StdioServerParameters(
                    command=config.command, args=config.args, env=config.environment(), encoding_error_handler="replace"
                )
                transport = stdio_client(process, errlog=log)
            else:
                key = config.api_key()
                headers = {"Authorization": f"Bearer {key}"} if key else None
                http = await held.enter_async_context(create_mcp_http_client(headers))
                transport = streamable_http_client(config.url or "", http_client=http)
            info = Implementation(name="regraft", version=__version__)
            yield await held.enter_async_context(
                Client(transport, client_info=info, cache=None, read_timeout_seconds=config.start_timeout)
            )

    async def _listed(self, client: Client) -> list[Tool]:
        found: list[Tool] = []
        cursor: str | None = None
        for _ in range(_PAGES):
            page = await client.list_tools(cursor=cursor)
            found += page.tools
            cursor = page.next_cursor
            if cursor is None:
                break
        return [tool for tool in found if any(fnmatchcase(tool.name, glob) for glob in self._config.only)]

    async def call(self, name: str, arguments: dict[str, Any], began: float) -> ToolResult:
        from mcp.shared.exceptions import MCPError
        from mcp.types import CONNECTION_CLOSED, REQUEST_TIMEOUT

        limit = self._config.timeout
        try:
            if self._client is None:
                raise ToolServerError(f"The tool server {self.name} ({self._place()}) has ended.{self._words}")
            async with asyncio.timeout(limit):
                result = await self._client.call_tool(name, arguments, read_timeout_seconds=limit)
        except TimeoutError:
            return _failed(f"The tool {name} gave no result in {limit:g} seconds.", began)
        except MCPError as error:
            if error.code == REQUEST_TIMEOUT:
                return _failed(f"The tool {name} gave no result in {limit:g} seconds.", began)
            if error.code == CONNECTION_CLOSED:
                raise ToolServerError(f"The tool server {self.name} ({self._place()}) is gone.") from error
            return _failed(f"The tool {name} failed: {error.message}", began)
        except (RuntimeError, ValueError) as error:  # a result that is not what the server promised of it
            return _failed(f"The result of the tool {name} cannot be used: {error}", began)
        return ToolResult(_content(result), bool(result.is_error), time.perf_counter() - began)

    def _place(self) -> str:
        """Its address without possible secrets: no arguments, no query."""
        if self._config.command:
            return self._config.command
        parts = urlsplit(self._config.url or "")
        return f"{parts.scheme}://{parts.netloc}{parts.path}"


def _failed(why: str, began: float) -> ToolResult:
    return ToolResult(why, True, time.perf_counter() - began)


def _read_arguments(arguments: Any) -> dict[str, Any] | None:
    if isinstance(arguments, str):
        try:
            arguments = parse_json(arguments) if arguments.strip() else {}
        except ValueError:
            return None
    read = plain({} if arguments is None else arguments)
    return read if isinstance(read, dict) else None


def _definition(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description or tool.title, "parameters": tool.input_schema}
    return {"type": "function", "function": {key: value for key, value in function.items() if value is not None}}


def _content(result: CallToolResult) -> str | list[dict[str, Any]]:
    """A result's blocks as parts of a chat message; one text where all of them are texts."""
    parts = [_part(block) for block in result.content]
    if not parts and result.structured_content is not None:
        return canonical_json(result.structured_content)
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def _part(block: ContentBlock) -> dict[str, Any]:
    if block.type == "text":
        return {"type": "text", "text": block.text}
    if block.type == "image":
        return {"type": "image_url", "image_url": {"url": _data_url(block.mime_type, block.data)}}
    if block.type == "audio":
        form = block.mime_type.rpartition("/")[2].removeprefix("x-")
        return {"type": "input_audio", "input_audio": {"data": block.data, "format": form}}
    if block.type == "resource_link":
        described = f": {block.description}" if block.description else ""
        return {"type": "text", "text": f"{block.title or block.name} <{block.uri}>{described}"}
    resource = block.resource
    text = getattr(resource, "text", None)
    if isinstance(text, str):
        return {"type": "text", "text": text}
    blob = _data_url(resource.mime_type or "application/octet-stream", str(getattr(resource, "blob", "")))
    return {"type": "file", "file": {"filename": resource.uri, "file_data": blob}}


def _data_url(mime_type: str, data: str) -> str:
    return f"data:{mime_type};base64,{data}"


def _why(error: BaseException | None) -> str:
    """The innermost reason: the SDK's tasks wrap it in groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return (str(error) or type(error).__name__).rstrip(".")


def _last_words(log: TextIO) -> str:
    """The last line that a server wrote to its standard error."""
    log.seek(0)
    lines: Iterable[str] = (line.strip() for line in log)
    last = ""
    for line in lines:
        last = line or last
    return f" Its last words: {last[-_SHOWN:]}" if last else ""
