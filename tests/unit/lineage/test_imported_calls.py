"""Imported trees become captured calls: one an answer, the same ids whenever they are imported."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from regraft.domain.capture.answer import Answer, Choice
from regraft.domain.capture.importers.conversation import Conversation, ImportedMessage, Judgement
from regraft.domain.capture.request import Request
from regraft.domain.lineage.imported_calls import Projections, calls, feedback_ids, steps
from regraft.domain.lineage.message import store_message
from regraft.domain.lineage.turn import capture
from support.chains import chain


def say(text, role="user"):
    return {"role": role, "content": text}


def tree(*messages: tuple[dict, int | None], **more) -> Conversation:
    said = [
        ImportedMessage(message=message, parent=parent, key=str(at), answered=message["role"] == "assistant")
        for at, (message, parent) in enumerate(messages)
    ]
    return Conversation(**{"key": "k", "said": said, **more})


def made(conversation, scope="s", position=0):
    return list(calls(conversation, steps(conversation, "f", scope), "f", scope, position, Projections()))


BRANCHING = (
    (say("be brief", "system"), None),
    (say("one"), 0),
    (say("1", "assistant"), 1),
    (say("uno", "assistant"), 1),
    (say("two"), 2),
    (say("2", "assistant"), 4),
    (say("and?"), 3),
)


def history(conversation: Conversation, at: int | None) -> list[dict]:
    found: list[dict] = []
    while at is not None:
        found.insert(0, conversation.said[at].message)
        at = conversation.said[at].parent
    return found


def test_each_answer_is_a_call_made_with_all_that_is_before_it():
    conversation = tree(*BRANCHING)
    found = made(conversation)
    assert [len(call.capture.turns) for call in found] == [1, 1, 1, 0]  # the last one is a question without an answer
    assert [call.capture.contexts[-1].depth for call in found] == [2, 2, 4, 4]
    assert {call.exchange.identity.purpose for call in found} == {"import"}
    assert {call.exchange.upstream for call in found} == {"import:f"}


def test_every_message_and_every_prefix_is_stored_once():
    conversation = tree(*BRANCHING)
    contexts = [context for call in made(conversation) for context in call.capture.contexts[:-1]]
    messages = [message for call in made(conversation) for message in call.capture.messages]
    assert len(contexts) == len(messages) == len(conversation.said)
    expected = {
        context.context_id
        for at in range(len(conversation.said))
        for context in chain("s", ((m.message_id, m.projection) for m in map(store_message, history(conversation, at))))
    }
    assert {context.context_id for context in contexts} == expected


@pytest.mark.parametrize("named", [False, True])
def test_a_call_is_what_capturing_it_would_have_made(named):
    conversation = tree(*BRANCHING, named=named)
    answered = [at for at, said in enumerate(conversation.said) if said.answered]
    found = [call for call in made(conversation) if call.capture.turns]
    for at, call in zip(answered, found, strict=True):
        request = Request(
            model="", messages=history(conversation, conversation.said[at].parent), tools={}, sampling={}, other={}
        )
        choice = Choice(index=0, message=conversation.said[at].message, finish_reason=None)
        live = capture(
            call.exchange,
            request,
            Answer(choices=[choice], model=None, usage=None, error=None, rest={}),
            lambda _: None,
        )
        assert call.capture.turns == live.turns
        assert (call.capture.session_id, call.capture.session_name) == (live.session_id, live.session_name)
        assert call.capture.session_evidence == live.session_evidence
        assert call.capture.contexts[-1] == live.contexts[-1]


def ids(found: Iterable) -> list:
    return [call.exchange.event_id for call in found]


def test_ids_depend_on_the_format_the_source_the_conversation_the_tenant_and_the_place_alone():
    first = ids(made(tree(*BRANCHING)))
    assert len(set(first)) == 4
    assert ids(made(tree(*BRANCHING, rest={"x": 1}, model="m", started_ns=5), position=9)) == first
    for other in (tree(*BRANCHING, key="other"), tree(*BRANCHING, source="other")):
        assert not set(ids(made(other))) & set(first)
    assert not set(ids(made(tree(*BRANCHING), scope="t"))) & set(first)


def test_equal_answers_to_one_question_are_two_calls_and_one_node():
    twice = tree((say("q"), None), (say("a", "assistant"), 0), (say("a", "assistant"), 0))
    first, second = made(twice)
    assert first.exchange.event_id != second.exchange.event_id
    assert first.capture.turns[0].node_id == second.capture.turns[0].node_id


def test_a_conversation_that_begins_with_an_answer_is_named_by_its_key_and_the_greeting_is_no_call():
    talks = [tree((say("hi", "assistant"), None), (say("q"), 0), (say("a", "assistant"), 1), key=key) for key in "xy"]
    (first,), (second,) = map(made, talks)
    assert first.capture.session_id != second.capture.session_id
    assert first.capture.session_name == "f:x"
    assert [len(call.capture.turns) for call in made(tree((say("hi", "assistant"), None)))] == [0]


def test_times_that_a_file_lacks_follow_the_order_of_the_file():
    linear = ((say("q"), None), (say("a", "assistant"), 0), (say("r"), 1), (say("b", "assistant"), 2))
    assert [call.exchange.started_ns for call in made(tree(*linear), position=7)] == [7_001_000_000, 7_003_000_000]
    began = tree(*linear, started_ns=10**18)
    assert [call.exchange.started_ns - 10**18 for call in made(began)] == [1_000_000, 3_000_000]
    assert made(tree(*linear, started_ns=-5), position=1)[0].exchange.started_ns == 1_001_000_000


def test_judgements_of_answers_are_of_turns_and_those_of_questions_of_the_session():
    rank = Judgement(name="rank", value=1.0, source="people")
    said = [
        ImportedMessage(message=say("q"), parent=None, key="u", judgements=(rank,)),
        ImportedMessage(message=say("a", "assistant"), parent=0, key="a", answered=True, judgements=(rank,)),
    ]
    conversation = Conversation(key="k", said=said)
    (call,) = made(conversation)
    question, answer = call.feedback
    assert (answer.turn_id, answer.session_id, answer.name) == (call.capture.turns[0].turn_id, None, "rank")
    assert (question.turn_id, question.session_id) == (None, call.capture.session_id)
    assert (question.name, question.comment, question.source) == ("user_message_rank", "message u", "people")
    assert feedback_ids(conversation, steps(conversation, "f", "s")) == [each.feedback_id for each in call.feedback]
