"""The call that a request path means, for any base URL of a client.

Clients put their own beginning before a call: none, ``/v1`` twice, an Azure deployment, Gemini's ``/v1beta/openai``.
Paths are compared in one spelling (RFC 3986, section 6.2.2): escapes of plain characters undone, dot segments removed,
empty segments dropped. A path that other software could read as a different one has no meaning here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote, unquote_to_bytes

CALLS = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings", "/v1/messages")
OLLAMA_CALLS = ("/api/chat", "/api/generate")
MODELS = "/v1/models"
COUNT_TOKENS = "count_tokens"
BATCHES = "batches"
OTHER = "other"

_CANONICAL = {path.encode(): path for path in CALLS}
_OLLAMA = {path.encode(): path for path in OLLAMA_CALLS}
_OLLAMA_BESIDE = frozenset({b"/api/tags", b"/api/version", b"/api/show", b"/api/ps", b"/api/embed", b"/api/embeddings"})
_COUNTS = frozenset({b"/v1/messages/count_tokens", b"/v1/responses/input_tokens"})
_BATCHES = (b"/v1/batches", b"/v1/messages/batches")
# What precedes a call on servers whose API does not start with ``/v1``.
_BASES = (
    *(b"/v1beta/openai", b"/openai", b"/api/openai", b"/api/v1", b"/api/paas/v4", b"/compatible-mode", b"/inference"),
    *(b"/anthropic", b"/api/anthropic"),
)
_ROOTS = frozenset(
    b"assistants audio batches chat completions containers conversations embeddings evals feedback files fine_tuning"
    b" images messages models moderations realtime rerank responses score threads tokenize uploads vector_stores"
    b" videos".split()
)
_DEPLOYMENT = re.compile(rb"/openai/deployments/([^/]+)(/.+)")
_PARAMETERS = re.compile(rb";[^/]*")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_UNESCAPING = 4  # how often software on the way may undo escapes; what has more layers is refused
_LONGEST_KNOWN = 512  # bytes of a path that is looked up in the memory of earlier ones


@dataclass(frozen=True, slots=True)
class Route:
    """What a path means. ``endpoint`` is a captured call's path or the name that other calls are counted under.

    ``path`` is the path in one spelling, as a server with the same layout knows it; ``standard`` is the same call under
    ``/v1`` (empty: it has none). ``deployment`` is the model that an Azure path names.
    """

    endpoint: str
    path: bytes
    standard: bytes
    captured: bool = False
    deployment: str = ""


def route_of(path: bytes) -> Route | None:
    """What a path without its query means; None: no call that is known here."""
    return _known_route(path) if len(path) <= _LONGEST_KNOWN else _route(path)


def normal_path(path: bytes) -> bytes | None:
    """The normalised path; None for an ambiguous or relative one."""
    if not path.startswith(b"/"):
        return None
    path = _ESCAPE.sub(_plain_character, path)
    if _hides_something(path):
        return None
    segments: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            if segments:
                segments.pop()
        elif segment not in (b"", b"."):
            segments.append(segment)
    return b"/" + b"/".join(segments)


def hint_for(path: bytes) -> str:
    """A suggestion for a client that requested this path; empty when no known path is similar."""
    tail = path.rstrip(b"/").rpartition(b"/")[2].lower()
    named = [call for call in (*CALLS, *OLLAMA_CALLS) if call.rpartition("/")[2].encode() == tail]
    if tail == b"completions":
        named = [call for call in named if ("chat" in call) == (b"chat" in path.lower())]
    return named[0] if named else ""


def _route(path: bytes) -> Route | None:
    normal = normal_path(path)
    if normal is None:
        return None
    if normal.startswith(b"/V1/"):
        normal = b"/v1/" + normal[4:]
    while normal.startswith(b"/v1/v1/"):
        normal = normal[3:]
    if normal.startswith(b"/v1/") and (normal[3:] in _OLLAMA or any(normal[3:].startswith(b + b"/") for b in _BASES)):
        normal = normal[3:]  # the client's base_url ends with /v1, and its paths start from the root
    if normal in _OLLAMA:
        return Route(_OLLAMA[normal], normal, b"", captured=True)
    if normal in _OLLAMA_BESIDE:
        return Route(OTHER, normal, b"")
    deployment = _DEPLOYMENT.fullmatch(normal)
    if deployment is not None:
        standard, model = b"/v1" + deployment[2], unquote(deployment[1].decode("latin-1"), errors="replace")
        endpoint = _CANONICAL.get(standard)
        if endpoint is not None:
            return Route(endpoint, normal, standard, captured=True, deployment=model)
        return Route(OTHER, normal, standard, deployment=model) if _is_api(deployment[2]) else None
    for base in _BASES:
        if normal.startswith(base + b"/") and _is_api(normal[len(base) :].removeprefix(b"/v1")):
            return _standard(b"/v1" + normal[len(base) :].removeprefix(b"/v1"), normal)
    if normal.startswith(b"/v1/"):
        return _standard(normal, normal)
    return _standard(b"/v1" + normal, b"/v1" + normal) if _is_api(normal) else None


_known_route = lru_cache(maxsize=1024)(_route)


def _standard(standard: bytes, native: bytes) -> Route:
    if standard in _CANONICAL:
        return Route(_CANONICAL[standard], native, standard, captured=True)
    loose = _PARAMETERS.sub(b"", unquote_to_bytes(standard)).lower().rstrip(b"/")
    if loose in _CANONICAL:  # servers differ in what they make of such a spelling; all of them know the usual one
        return Route(_CANONICAL[loose], loose, loose, captured=True)
    if standard in _COUNTS:
        return Route(COUNT_TOKENS, native, standard)
    if any(standard == each or standard.startswith(each + b"/") for each in _BATCHES):
        return Route(BATCHES, native, standard)
    return Route(MODELS if standard == MODELS.encode() else OTHER, native, standard)


def _is_api(path: bytes) -> bool:
    return path[1:].partition(b"/")[0] in _ROOTS


def _plain_character(escape: re.Match[bytes]) -> bytes:
    byte = int(escape[1], 16)
    return bytes((byte,)) if byte in _PLAIN else escape[0].upper()


def _hides_something(path: bytes) -> bool:
    """Whether undoing escapes, again and again, brings out a dot segment, a backslash or a control character.

    Dot segments in plain sight hide nothing, but with parameters (``..;x``) only some software takes them for what they
    are.
    """
    shown = path
    for step in range(_UNESCAPING):
        if any(byte < 0x20 or byte in (0x5C, 0x7F) for byte in shown):
            return True
        segments = [each for each in shown.split(b"/") if each.partition(b";")[0] in (b".", b"..")]
        if any(step or b";" in each for each in segments):
            return True
        before, shown = shown, unquote_to_bytes(shown)
        if shown == before:
            return False
    return True
