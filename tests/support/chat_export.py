"""Records of exports of chat applications, and their import."""

from __future__ import annotations

import json

from regraft.domain.capture.importers import conversations, detected, importer_of
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.ids import parse_json


def read(value, form=None):
    """What a file of one record holds, and the format that recognised it."""
    record = JsonRecord(0, parse_json(json.dumps(value)))
    importer = importer_of(form) if form else detected(record)
    return importer.form, [each for _, each in conversations(importer, [record])]


def one(value):
    form, found = read(value)
    assert len(found) == 1
    return form, found[0]


def lines(conversation):
    """Each message as (role, content, place of the message before it)."""
    return [(said.message["role"], said.message["content"], said.parent) for said in conversation.said]


def node(key, parent, children, role=None, parts=None, **more):
    content = more.pop("content", {"content_type": "text", "parts": parts})
    message = {"id": key, "author": {"role": role, **more.pop("author", {})}, "content": content, **more}
    return {"id": key, "message": message if role else None, "parent": parent, "children": children}


def chatgpt(*nodes):
    return {"conversation_id": "c1", "title": "t", "create_time": 10, "mapping": {each["id"]: each for each in nodes}}


def claude(*messages):
    return {"uuid": "c2", "name": "t", "created_at": "2025-01-01T00:00:00Z", "chat_messages": list(messages)}


def webui(messages, **params):
    history = {"messages": {each["id"]: each for each in messages}, "currentId": "a"}
    return {"id": "c4", "title": "t", "created_at": 5, "chat": {"params": params, "history": history}}
