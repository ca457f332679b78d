"""A row as canonical JSON: what digests of rows are made of.

The text is that of ``canonical_json`` (sorted keys, no blanks), written key by key. A row has few keys and many texts,
so that this costs a fifth of sorting dicts of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from json.encoder import encode_basestring as _text

from regraft.domain.datasets.kinds import KINDS
from regraft.domain.datasets.messages import Message
from regraft.domain.datasets.rows import Row
from regraft.domain.ids import canonical_json, without_lone_surrogates

_CERTIFICATE = ("label", "negative", "evidence", "stratum")  # texts that the first snapshots did not have


def row_line(row: Row, split: str | None = None) -> bytes:
    """A row with its certificate as canonical JSON, and with its split where that is given."""
    members = {
        "anchor": _optional(row.anchor),
        "label_source": _optional(row.label_source),
        "margin": f'"{row.margin!r}"',
        "row_id": _text(row.row_id),
        "score": f'"{row.score!r}"',
        "session_id": _text(row.session_id),
        "sources": _list(f"[{_text(one.part)},{_text(one.node_id)},{_text(one.turn_id)}]" for one in row.sources),
        "tools": _optional(row.tools),
        "tools_digest": _optional(row.tools_digest),
    }
    for name in KINDS[row.kind].columns:
        members[name] = _list(map(message_text, getattr(row, name)))
    for name in _CERTIFICATE:
        if value := getattr(row, name):
            members[name] = _text(value)
    if row.notes:
        members["notes"] = _list(map(_text, row.notes))
    if row.agreement is not None:
        members["agreement"] = f'"{row.agreement!r}"'
    if split is not None:
        members["split"] = _text(split)
    line = ",".join([f'"{name}":{members[name]}' for name in sorted(members)])
    return without_lone_surrogates(f"{{{line}}}").encode()


def message_text(message: Message) -> str:
    """A canonical message without the added keys that hold nothing, as canonical JSON."""
    text = f'{{"content":{_optional(message["content"])},"name":{_optional(message["name"])},'
    if message["parts"] is not None:
        text += f'"parts":{_list(map(_text, message["parts"]))},'
    if message["reasoning"] is not None:
        text += f'"reasoning":{_text(message["reasoning"])},'
    calls = canonical_json(message["tool_calls"]) if message["tool_calls"] else "[]"
    text += f'"role":{_text(message["role"])},"tool_call_id":{_optional(message["tool_call_id"])},"tool_calls":{calls}'
    return text + (f',"weight":{message["weight"]!r}}}' if message["weight"] is not None else "}")


def _optional(text: str | None) -> str:
    return "null" if text is None else _text(text)


def _list(members: Iterable[str]) -> str:
    return f"[{','.join(members)}]"
