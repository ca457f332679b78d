"""Readers of an imported conversation for tests, and the import of one record."""

from __future__ import annotations

import json

from regraft.domain.capture.importers import conversations, detected
from regraft.domain.capture.importers.conversation import Conversation
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.ids import parse_json


def path(talk, at=-1):
    """The history up to a message, as (role, content)."""
    at = len(talk.said) - 1 if at < 0 else at
    found = []
    while at is not None:
        said = talk.said[at]
        found.append((said.message["role"], said.message["content"]))
        at = said.parent
    return found[::-1]


def judged(talk, at=-1):
    """The judgements of a message: name -> (value, source)."""
    return {each.name: (each.value, each.source) for each in talk.said[at].judgements}


def found(form, value):
    """What a file of one record gives, which must be recognised as this format."""
    record = JsonRecord(0, parse_json(json.dumps(value)))
    importer = detected(record)
    assert importer is not None
    assert importer.form == form
    return [each for _, each in conversations(importer, [record])]


def one(form, value):
    """The only conversation among it."""
    talks = [each for each in found(form, value) if isinstance(each, Conversation)]
    assert len(talks) == 1
    return talks[0]
