"""From a file that is still being written, only final content is imported."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.capture.importers.conversation import Conversation, ImportedMessage
from regraft.domain.capture.importers.growing import settled, whole_lines


def talk(*said):
    return Conversation(key="c", said=list(said), named=True)


def user(words, parent):
    return ImportedMessage(message={"role": "user", "content": words}, parent=parent)


def model(words, parent, finish="stop"):
    message = {"role": "assistant", "content": words}
    return ImportedMessage(message=message, parent=parent, answered=True, finish_reason=finish)


def words(conversation):
    return None if conversation is None else [(each.message["content"], each.parent) for each in conversation.said]


def test_a_question_waits_for_its_answer():
    growing = talk(user("q", None), model("a", 0), user("r", 1))
    assert words(settled(growing, "written")) == words(settled(growing, "settled")) == [("q", None), ("a", 0)]
    assert settled(talk(user("q", None)), "settled") is None


def test_a_last_answer_waits_until_it_says_why_it_ended_or_nothing_was_written_for_long():
    growing = talk(user("q", None), model("a", 0, None))
    assert settled(growing, "written") is None
    assert words(settled(growing, "settled")) == [("q", None), ("a", 0)]
    ended = talk(user("q", None), model("a", 0))
    assert settled(ended, "fresh") is None
    assert words(settled(ended, "written")) == [("q", None), ("a", 0)]


def test_an_answer_that_something_follows_is_whole():
    growing = talk(user("q", None), model("a", 0, None), user("r", 1), model("b", 2, None))
    assert words(settled(growing, "fresh")) == [("q", None), ("a", 0)]


def test_branches_keep_their_places():
    growing = talk(user("q", None), user("x", 0), model("a", 0), user("y", 2), model("b", 2))
    assert words(settled(growing, "written")) == [("q", None), ("a", 0), ("b", 1)]


@given(st.lists(st.text(alphabet="a\n", max_size=5), max_size=8))
def test_half_a_line_is_left_out(pieces):
    text = "".join(pieces)
    assert "".join(whole_lines(pieces)) == text[: text.rfind("\n") + 1]
