"""Shapes beside the known ones: an answer under another name, a tree in a list, a call in one object, a thumb."""

from __future__ import annotations

import json

import pytest

from regraft.domain.capture.importers import conversations, detected
from regraft.domain.capture.importers.conversation import RefusedConversation
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.ids import parse_json


def read(line):
    record = JsonRecord(0, parse_json(json.dumps(line)))
    importer = detected(record)
    ((_, found),) = conversations(importer, [record])
    return importer.form, found


def turns(found):
    return [(each.parent, each.message["role"], each.message["content"]) for each in found.said]


MESSAGES = [
    {"id": "1", "role": "user", "content": "q"},
    {"id": "2", "role": "assistant", "content": "a", "parent_id": "1"},
    {"id": "3", "role": "assistant", "content": "b", "parent_id": "1"},
]


def test_messages_that_name_their_parents_are_the_tree_that_they_say():
    _, found = read({"messages": MESSAGES})
    assert turns(found) == [(None, "user", "q"), (0, "assistant", "a"), (0, "assistant", "b")]
    _, moved = read({"messages": [{**MESSAGES[0], "parent_id": None}, MESSAGES[2], MESSAGES[1]]})
    assert turns(moved) == [(None, "user", "q"), (0, "assistant", "b"), (0, "assistant", "a")]


def test_messages_of_which_some_name_no_parent_are_a_list():
    _, found = read({"messages": [*MESSAGES, {"id": "4", "role": "user", "content": "r"}]})
    assert [parent for parent, _, _ in turns(found)] == [None, 0, 1, 2]


@pytest.mark.parametrize(("parent", "reason"), [("9", "parent is not in the file"), ("3", "circle")])
def test_messages_whose_parents_are_missing_or_make_a_circle_are_refused(parent, reason):
    _, found = read({"messages": [*MESSAGES[:2], {**MESSAGES[2], "parent_id": parent}]})
    assert isinstance(found, RefusedConversation)
    assert reason in found.reason


@pytest.mark.parametrize("key", ["generated_text", "model_output", "prediction", "output_text", "reply"])
def test_an_answer_beside_a_prompt_is_one_under_each_of_its_names(key):
    _, found = read({"prompt": "q", key: "a"})
    assert turns(found) == [(None, "user", "q"), (0, "assistant", "a")]


def test_a_request_of_the_responses_api_with_its_output_in_one_object_is_a_call_with_its_ending():
    item = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "half"}]}
    line = {"model": "m", "instructions": "S", "input": "q", "output": [item], "status": "incomplete"}
    form, found = read({**line, "incomplete_details": {"reason": "max_output_tokens"}})
    assert (form, found.model) == ("calls", "m")
    assert turns(found) == [(None, "system", "S"), (0, "user", "q"), (1, "assistant", "half")]
    assert found.said[-1].finish_reason == "length"


@pytest.mark.parametrize(
    ("feedback", "vote"), [({"rating": "thumbs_down", "comment": "wrong"}, -1.0), ("thumbs-up", 1.0)]
)
def test_a_thumb_beside_messages_is_a_vote_on_the_answer(feedback, vote):
    _, found = read({"messages": MESSAGES[:2], "feedback": feedback, "rating": 4})
    (thumb, rating) = found.said[-1].judgements
    assert (thumb.name, thumb.value, thumb.source) == ("vote", vote, "openai")
    assert (rating.name, rating.value) == ("score:rating", 4.0)
    assert found.rest == {}


def test_feedback_that_says_more_than_a_thumb_is_kept_as_it_is():
    said = {"rating": "thumbs_down", "corrected_answer": "It is seven."}
    _, found = read({"messages": MESSAGES[:2], "feedback": said})
    assert found.rest == {"feedback": said}
    assert found.said[-1].judgements == ()
