"""Lines of a transcript of Claude Code, and their import."""

from __future__ import annotations

import json

from regraft.domain.capture.importers import conversations, detected
from regraft.domain.capture.importers.conversation import Conversation
from regraft.domain.capture.importers.records import records


def read(*lines):
    """What a transcript of these lines holds, and the format that recognised its first line."""
    found = list(records([json.dumps(line) + "\n" for line in lines]))
    importer = detected(found[0])
    assert importer.form == "claude_code"
    return [each for _, each in conversations(importer, found)]


def talks(*lines):
    found = read(*lines)
    assert all(isinstance(each, Conversation) for each in found)
    return found


def line(key, parent, kind="user", **more):
    return {
        "parentUuid": parent, "isSidechain": False, "userType": "external", "cwd": "/w", "sessionId": "s1",
        "version": "2.1.0", "type": kind, "uuid": key, "timestamp": "2026-01-01T00:00:00.000Z", **more,
    }  # fmt: skip


def user(key, parent, content, **more):
    return line(key, parent, message={"role": "user", "content": content}, **more)


def result(key, parent, call, content, **more):
    return user(key, parent, [{"type": "tool_result", "tool_use_id": call, "content": content}], **more)


def model(key, parent, *blocks, answer="m1", stop="tool_use", request="r1", **more):
    message = {"id": answer, "role": "assistant", "model": "claude-x", "content": list(blocks), "stop_reason": stop}
    return line(key, parent, "assistant", requestId=request, message={**message, "usage": {"output_tokens": 3}}, **more)


def words(text):
    return {"type": "text", "text": text}


def call(key, **given):
    return {"type": "tool_use", "id": key, "name": "Read", "input": given}
