"""Lines of exports, read as an import reads them; and the messages of a small conversation."""

from __future__ import annotations

import json

from regraft.domain.capture.importers import conversations, detected
from regraft.domain.capture.importers.conversation import Conversation, RefusedConversation
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.ids import parse_json


def read(value, **where):
    record = JsonRecord(0, parse_json(json.dumps(value)), **where)
    importer = detected(record)
    found = [each for _, each in conversations(importer, [record])]
    calls = [each for each in found if isinstance(each, Conversation)]
    return importer.form, calls, [each for each in found if isinstance(each, RefusedConversation)]


USER, ANSWER = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c", "content": "1"}
