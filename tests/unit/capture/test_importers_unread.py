"""No content of a file is dropped: texts under unknown keys are kept or named, messages are refused."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from regraft.domain.capture.importers import IMPORTERS, conversations, importer_of
from regraft.domain.capture.importers.conversation import Conversation
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.ids import parse_json
from support.importer_records import RECORDS, places

WORDS = "words that stand nowhere else at all"
MESSAGES = [{"role": "user", "content": "hidden question"}, {"role": "assistant", "content": WORDS}]


def found(form: str, value: Any) -> list[Any]:
    record = JsonRecord(0, parse_json(json.dumps(value)))
    return [each for _, each in conversations(importer_of(form), [record])]


def objects(form: str) -> list[tuple]:
    """The places of all objects in a record of a format, but for those that its importer passes over."""
    aside = importer_of(form).aside or ()
    found = [path for path in places(RECORDS[form]) if isinstance(at(RECORDS[form], path), dict)]
    return [path for path in found if not set(path).intersection(aside)]


def at(value: Any, path: tuple) -> Any:
    for key in path:
        value = value[key]
    return value


@pytest.mark.parametrize("form", [importer.form for importer in IMPORTERS if importer.aside is not None])
@pytest.mark.parametrize("said", [WORDS, MESSAGES])
def test_what_stands_under_an_unknown_key_anywhere_is_kept_or_named(form, said):
    dropped = []
    for path in objects(form):
        value = copy.deepcopy(RECORDS[form])
        at(value, path)["unheard"] = said
        each = found(form, value)
        told = "\n".join(map(repr, each))
        if any(isinstance(one, Conversation) for one in each) and WORDS not in told and "unheard" not in told:
            dropped.append(path)
    assert dropped == []
