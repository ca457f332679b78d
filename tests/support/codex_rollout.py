"""Lines of a rollout of Codex, and their import."""

from __future__ import annotations

import json

from regraft.domain.capture.importers import conversations, detected
from regraft.domain.capture.importers.records import records

META = {"id": "s1", "cwd": "/w", "cli_version": "0.150.0", "originator": "codex_cli_rs", "source": "cli"}


def one(*lines):
    """The conversation of a rollout of these lines."""
    found = list(records([json.dumps({"timestamp": "2026-01-01T00:00:00Z", **line}) + "\n" for line in lines]))
    importer = detected(found[0])
    assert importer.form == "codex"
    ((_, talk),) = conversations(importer, found)
    return talk


def meta(**more):
    return {"type": "session_meta", "payload": {**META, **more}}


def item(kind, **more):
    return {"type": "response_item", "payload": {"type": kind, **more}}


def said(role, words):
    kind = "output_text" if role == "assistant" else "input_text"
    return item("message", role=role, content=[{"type": kind, "text": words}])


def event(kind, **more):
    return {"type": "event_msg", "payload": {"type": kind, **more}}


def call(key, name="shell"):
    return item("function_call", call_id=key, name=name, arguments='{"x":1}')


def output(key, words):
    return item("function_call_output", call_id=key, output=words)


def count(**usage):
    return event("token_count", info={"last_token_usage": usage})


CONTEXT = {"type": "turn_context", "payload": {"model": "gpt-x", "effort": "high", "cwd": "/w"}}
