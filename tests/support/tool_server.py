"""An MCP server of the official SDK, run as a program: ``tool_server.py stdio`` or ``tool_server.py http PORT``."""

from __future__ import annotations

import os
import sys
import time

from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import AudioContent, BlobResourceContents, EmbeddedResource, ResourceLink, TextResourceContents

PROGRAM = __file__
server = MCPServer("tools of a test")
PIXEL = b"\x89PNG\r\n"


@server.tool()
def add(a: int, b: float) -> str:
    """Add two numbers."""
    return str(a + b)


@server.tool()
def fail() -> str:
    """Always fails."""
    raise ToolError("the database is closed")


@server.tool()
async def hang() -> str:
    """Never ends."""
    import anyio

    await anyio.sleep(3600)
    return "too late"


@server.tool()
def block() -> str:
    """Never ends, and lets nothing else run."""
    time.sleep(3600)
    return "too late"


@server.tool()
def picture() -> list[str | Image]:
    """A text and a picture."""
    return ["look:", Image(data=PIXEL, format="png")]


@server.tool(structured_output=False)
def papers() -> list[AudioContent | EmbeddedResource | ResourceLink]:
    """A sound, files, and a link."""
    return [
        AudioContent(data="AAAA", mime_type="audio/wav"),
        EmbeddedResource(resource=TextResourceContents(uri="file:///a.txt", text="words")),
        EmbeddedResource(resource=BlobResourceContents(uri="file:///b.pdf", mime_type="application/pdf", blob="AAAA")),
        ResourceLink(name="c", uri="file:///c.txt", description="the third"),
    ]


@server.tool()
def variable(name: str) -> str:
    """What the server was given."""
    return os.environ.get(name, "unset")


@server.tool()
def die() -> str:
    """Ends the server."""
    print("no memory left", file=sys.stderr, flush=True)
    os._exit(3)


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        server.run("stdio")
    elif sys.argv[1] == "http":
        server.run("streamable-http", port=int(sys.argv[2]))
    else:
        print(f"cannot serve {sys.argv[1]}", file=sys.stderr)
        if sys.argv[1] == "mute":
            time.sleep(3600)
        sys.exit(3)
