"""Whatever a file holds in place of what was expected, it is imported or refused by name, and the others continue."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regraft.domain.capture.importers import IMPORTERS, conversations, importer_of
from regraft.domain.capture.importers.conversation import Conversation, RefusedConversation
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.ids import parse_json
from regraft.domain.lineage.imported_calls import Projections, calls, steps
from support.importer_records import RECORDS, SAID, places

ODD: list[Any] = [None, True, 0, -1, 1.5, 10**400, "", "x", "[1", '{"a": {"b": []}}', "\x00", "\ud800", {}, {"type": 1}]
ODD += [[], [None], [[]], {"role": []}, {"role": "user", "content": [{"type": {}}]}, [SAID], {"function": {"name": {}}}]
JUNK = st.sampled_from(ODD)


def put(value: Any, path: tuple, junk: Any) -> Any:
    if not path:
        return junk
    changed = copy.deepcopy(value)
    at = changed
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = junk
    return changed


def test_every_format_is_here():
    assert set(RECORDS) == {importer.form for importer in IMPORTERS}


@pytest.mark.parametrize("form", RECORDS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_anything_in_any_place_is_imported_or_refused(form, data):
    value = RECORDS[form]
    for _ in range(data.draw(st.integers(1, 2))):
        value = put(value, data.draw(st.sampled_from(places(value))), data.draw(JUNK))
    record = JsonRecord(0, parse_json(json.dumps(value)))
    for _, found in conversations(importer_of(form), [record]):
        if isinstance(found, Conversation):
            list(calls(found, steps(found, form, "s"), form, "s", 0, Projections()))
        else:
            assert isinstance(found, RefusedConversation)
            assert found.reason
