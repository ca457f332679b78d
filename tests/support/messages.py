"""Messages of a chat, as short as a test needs them."""

from __future__ import annotations

import json


def system(text):
    return {"role": "system", "content": text}


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def calling(identity, name="read", **arguments):
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": identity, "type": "function", "function": function}],
    }


def told(identity, text="ok"):
    return {"role": "tool", "tool_call_id": identity, "content": text}
