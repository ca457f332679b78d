"""Ids and digests: canonical JSON, BLAKE2b-256, and the ids that are cut from a digest.

Content decides identity: the same bytes give the same id on every machine and in every run. Only a captured call
has an id that is made (by the gateway, from its clock), because two equal calls are still two calls.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass
from typing import Any, NewType
from uuid import UUID

Digest = NewType("Digest", bytes)  # 32 bytes, BLAKE2b-256
EventId = NewType("EventId", UUID)
TurnId = NewType("TurnId", UUID)
NodeId = NewType("NodeId", UUID)
SessionId = NewType("SessionId", UUID)

DIGEST_BYTES = 32
MAX_NESTING = 256  # arrays and objects within one another; deeper JSON is refused everywhere
_DIGITS = re.compile(r"[0-9]{1,9}\Z")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Number:
    """A JSON number with a fraction or an exponent, as it was written (``1.0``, ``1e-999``): never rounded or folded.

    It is no ``float`` on purpose: the fast encoder then stops at it, instead of writing a rounded value.
    """

    literal: str

    def __float__(self) -> float:
        return float(self.literal)


def _integer(literal: str) -> int | Number:
    # Python refuses to read integers of more than 4,300 digits, for the time that it takes.
    return int(literal) if len(literal) < 4000 else Number(literal)


def _not_a_number(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


class NonFinite(str):
    """A number that JSON does not have but Python and JavaScript servers write: ``NaN``, ``Infinity``, ``-Infinity``.

    It is stored as a text of that name, as the JSON form of protocol buffers does.
    """

    __slots__ = ()


TOO_DEEP = f"JSON is nested too deeply (over {MAX_NESTING} levels)"
_DECODE = json.JSONDecoder(parse_float=Number, parse_int=_integer, parse_constant=_not_a_number).decode
_DECODE_ALL = json.JSONDecoder(parse_float=Number, parse_int=_integer, parse_constant=NonFinite).decode


def parse_json(text: bytes | str, *, non_finite: bool = False) -> Any:
    """Parse JSON without losing anything: number literals, NUL and lone surrogates survive.

    ``non_finite`` takes ``NaN`` and infinities, each as a NonFinite. Raises ValueError when ``text`` is not JSON (they
    are not), or nested deeper than ``MAX_NESTING``.
    """
    if isinstance(text, bytes):
        text = text.removeprefix(_BYTE_ORDER_MARK).decode()
    try:
        value = _DECODE_ALL(text) if non_finite else _DECODE(text)
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error
    # Few texts hold that many brackets, and counting them costs next to nothing.
    if text.count("[") + text.count("{") > MAX_NESTING and nested_too_deeply(value):
        raise ValueError(TOO_DEEP)
    return value


def nested_too_deeply(value: Any) -> bool:
    """Whether a JSON value is nested deeper than ``MAX_NESTING``."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_NESTING):
        inner = [one for each in level for one in (each.values() if isinstance(each, dict) else each)]
        level = [one for one in inner if isinstance(one, dict | list)]
        if not level:
            return False
    return True


# A value that contains itself is not JSON, and looking for one takes half of the time that writing a message does.
_ENCODE = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, sort_keys=True, separators=(",", ":")
).encode


def canonical_json(value: Any) -> str:
    """JSON text with sorted keys, no blanks, non-ASCII kept, lone surrogates escaped and number literals as written.

    The text is always encodable as UTF-8 and PostgreSQL's ``json`` type accepts it (NUL stays ``\\u0000``).
    """
    try:
        text = _ENCODE(value)
    except TypeError:
        text = _encode_with_literals(value)
    return without_lone_surrogates(text)


def without_lone_surrogates(text: str) -> str:
    """JSON text with lone surrogates escaped, which UTF-8 cannot encode."""
    if not text.isascii() and _LONE_SURROGATE.search(text):
        text = _LONE_SURROGATE.sub(lambda match: f"\\u{ord(match.group()):04x}", text)
    return text


def _encode_with_literals(value: Any) -> str:
    if isinstance(value, Number):
        return value.literal
    if isinstance(value, dict):
        return "{" + ",".join(f"{_ENCODE(key)}:{_encode_with_literals(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_encode_with_literals, value)) + "]"
    return _ENCODE(value)


def plain(value: Any) -> Any:
    """The same value with each Number as a ``float``, or as text where that would be infinite: for settings and
    measures, never for messages."""
    if isinstance(value, Number):
        number = float(value)
        return number if math.isfinite(number) else value.literal
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def whole_number(value: Any) -> int | None:
    """The whole number that a JSON value is, also as text or with a fraction of zero; None for anything else."""
    if isinstance(value, Number):
        number = float(value)
        return int(number) if number.is_integer() else None
    if isinstance(value, str) and _DIGITS.match(value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def digest(*parts: bytes) -> Digest:
    """BLAKE2b-256 over length-prefixed parts, so that no two lists of parts run together."""
    hasher = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        hasher.update(len(part).to_bytes(8, "big"))
        hasher.update(part)
    return Digest(hasher.digest())


def further(hasher: hashlib.blake2b, part: bytes) -> hashlib.blake2b:
    """A copy of a hasher with one more part: its digest is that of all parts so far."""
    longer = hasher.copy()
    longer.update(len(part).to_bytes(8, "big") + part)
    return longer


def no_parts() -> hashlib.blake2b:
    """The hasher whose digest is ``digest()``."""
    return hashlib.blake2b(digest_size=DIGEST_BYTES)


def digest_json(value: Any) -> Digest:
    """The digest of a value's canonical JSON."""
    return digest(canonical_json(value).encode())


def uuid_of(content: Digest) -> UUID:
    """A version 8 UUID (RFC 9562, section 5.8) from the first 16 bytes of a digest: readable in psql, half the size."""
    raw = bytearray(content[:16])
    raw[6] = (raw[6] & 0x0F) | 0x80
    raw[8] = (raw[8] & 0x3F) | 0x80
    return UUID(bytes=bytes(raw))


def time_ordered_uuid(unix_ms: int, randomness: bytes) -> UUID:
    """A version 7 UUID (RFC 9562, section 5.7) from milliseconds since 1970 and 10 random bytes."""
    raw = bytearray(unix_ms.to_bytes(6, "big") + randomness[:10])
    raw[6] = (raw[6] & 0x0F) | 0x70
    raw[8] = (raw[8] & 0x3F) | 0x80
    return UUID(bytes=bytes(raw))
