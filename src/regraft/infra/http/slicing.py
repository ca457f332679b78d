"""A JSON request split into the texts of its fields and messages, without parsing them: most were parsed before."""

from __future__ import annotations

import msgspec

_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_MESSAGES = msgspec.json.Decoder(list[msgspec.Raw])


def cut(body: bytes) -> tuple[dict[str, bytes], list[bytes]] | None:
    """The text of each field but ``messages``, and the text of each message.

    None where the body is not an object with a list of messages that holds any: the full parser says why. The texts
    have the right brackets and are not checked further.
    """
    try:
        fields = _FIELDS.decode(body)
        messages = _MESSAGES.decode(fields.pop("messages"))
    except (msgspec.MsgspecError, KeyError, RecursionError, UnicodeError):
        return None
    if not messages:
        return None
    return {name: bytes(text) for name, text in fields.items()}, [bytes(text) for text in messages]
