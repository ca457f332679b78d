"""Trees are read from either side of their links; missing, duplicate and contradictory links are reported."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.capture.importers import conversations, importer_of
from regraft.domain.capture.importers.conversation import RefusedConversation, UnreadableConversationError
from regraft.domain.capture.importers.links import NO_CHILD, NO_PARENT, by_id, link, tree_of
from regraft.domain.capture.importers.records import JsonRecord
from support.chat_export import chatgpt, claude, node, one, webui


def links(**given):
    return {key: link(parent, children) for key, (parent, children) in given.items()}


WHOLE = links(u=(None, ["a", "b"]), a=("u", ["v"]), b=("u", []), v=("a", []))
PARENTS = {"u": None, "a": "u", "b": "u", "v": "a"}


@pytest.mark.parametrize(
    "given_links",
    [
        WHOLE,
        {key: link(each.parent) for key, each in WHOLE.items()},
        {key: link(None, list(each.children)) for key, each in WHOLE.items()},
    ],
)
def test_parents_alone_and_children_alone_make_the_same_tree(given_links):
    tree = tree_of(given_links)
    assert tree.parents == PARENTS
    assert tree.left_out() == ()


@given(st.lists(st.integers(0, 30), min_size=1, max_size=12), st.randoms())
def test_any_tree_is_read_from_either_side_in_any_order(choices, random):
    parents = {str(at): (None if at == 0 else str(choice % at)) for at, choice in enumerate(choices)}
    order = list(parents)
    random.shuffle(order)
    below = {key: [child for child in parents if parents[child] == key] for key in parents}
    for made in (
        {key: link(parents[key]) for key in order},
        {key: link(None, below[key]) for key in order},
        {key: link(parents[key], below[key]) for key in order},
    ):
        found = tree_of(made)
        assert found.parents == parents
        seen = set()
        for key, parent in found.parents.items():
            assert parent is None or parent in seen
            seen.add(key)


def test_a_parent_that_is_not_there_is_named_and_its_child_begins_nothing():
    tree = tree_of(links(u=(None, ["a"]), a=("u", ["gone"]), v=("gone", ["b"]), b=("v", [])))
    assert tree.parents["v"] is None
    assert tree.missing == {"v": "gone"}
    assert tree.left_out() == (RefusedConversation("v", NO_PARENT),)
    assert tree_of(links(u=(None, ["gone"]))).left_out() == (RefusedConversation("gone", NO_CHILD),)


@pytest.mark.parametrize("nobody", ["", "00000000-0000-0000-0000-000000000000", "00000000-0000-4000-8000-000000000000"])
def test_an_id_that_means_nobody_is_no_missing_parent(nobody):
    assert tree_of(links(u=(nobody, None))).missing == {}


@pytest.mark.parametrize(
    ("given_links", "reason"),
    [
        (links(u=(None, ["x"]), v=(None, ["x"]), x=(None, [])), "two parents"),
        (links(u=(None, ["x"]), v=(None, []), x=("v", [])), "two parents"),
        (links(a=("b", []), b=("a", [])), "circle"),
        (links(a=(None, ["b"]), b=(None, ["a"])), "circle"),
        (links(a=("a", [])), "circle"),
    ],
)
def test_links_that_contradict_each_other_are_refused(given_links, reason):
    with pytest.raises(UnreadableConversationError, match=reason):
        tree_of(given_links)


def test_one_id_of_two_messages_is_refused_and_the_same_message_twice_is_one():
    assert by_id([("a", 1), ("a", 1)]) == {"a": 1}
    with pytest.raises(UnreadableConversationError, match="same id"):
        by_id([("a", 1), ("a", 2)])


def test_a_chatgpt_export_without_children_keeps_what_was_thought_with_its_answer():
    thoughts = {"content_type": "thoughts", "thoughts": [{"content": "six by seven"}]}
    value = chatgpt(
        node("u", None, [], "user", ["q"]),
        node("t", "u", [], "assistant", content=thoughts),
        node("a", "t", [], "assistant", ["42"]),
    )
    for each in value["mapping"].values():
        del each["children"]
    _, talk = one(value)
    assert [said.message for said in talk.said] == [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "42", "reasoning_content": "six by seven"},
    ]


def test_a_chatgpt_turn_whose_parent_is_missing_says_so():
    _, talk = one(
        chatgpt(
            node("u", None, ["a"], "user", ["one"]),
            node("a", "u", ["gone"], "assistant", ["1"]),
            node("v", "gone", ["b"], "user", ["two"]),
            node("b", "v", [], "assistant", ["2"]),
        )
    )
    assert [(said.key, said.missing_parent) for said in talk.said if said.missing_parent] == [("v", "gone")]
    assert talk.left_out == (RefusedConversation("v", NO_PARENT),)


def test_an_open_webui_answer_without_its_parent_is_found_by_the_questions_children():
    _, talk = one(
        webui(
            [
                {"id": "u", "parentId": None, "childrenIds": ["a"], "role": "user", "content": "q"},
                {"id": "a", "parentId": None, "childrenIds": ["v"], "role": "assistant", "content": "x"},
                {"id": "v", "parentId": "a", "childrenIds": ["b"], "role": "user", "content": "r"},
                {"id": "b", "childrenIds": [], "role": "assistant", "content": "y"},
            ]
        )
    )
    assert [(said.message["content"], said.parent) for said in talk.said] == [("q", None), ("x", 0), ("r", 1), ("y", 2)]


@pytest.mark.parametrize("linked", [False, True])
def test_an_older_open_webui_chat_is_a_list(linked):
    messages = [
        {"id": "u", "role": "user", "content": "q"},
        {"id": "a", "role": "assistant", "content": "x", **({"parentId": "u"} if linked else {})},
    ]
    form, talk = one({"id": "w", "chat": {"messages": messages}})
    assert form == "open_webui"
    assert [(said.message["content"], said.parent) for said in talk.said] == [("q", None), ("x", 0)]


def test_what_follows_a_message_without_words_whose_parent_is_missing_begins_nothing_either():
    _, talk = one(
        webui(
            [
                {"id": "u", "parentId": None, "role": "user", "content": "q"},
                {"id": "v", "parentId": "gone", "role": "assistant", "output": [{"type": "message", "content": []}]},
                {"id": "w", "parentId": "v", "role": "user", "content": "r"},
            ]
        )
    )
    assert [(said.message["content"], said.missing_parent) for said in talk.said] == [("q", ""), ("r", "gone")]


def test_missing_parents_of_claude_librechat_and_open_webui_are_named_and_no_system_prompt_is_put_before_them():
    said = {"uuid": "b", "sender": "human", "text": "q", "parent_message_uuid": "gone"}
    _, talk = one(claude({"uuid": "a", "sender": "human", "text": "p", "parent_message_uuid": None}, said))
    assert [each.missing_parent for each in talk.said] == ["", "gone"]
    _, talk = one(
        webui(
            [
                {"id": "u", "parentId": None, "role": "user", "content": "q"},
                {"id": "v", "parentId": "gone", "role": "user", "content": "r"},
            ],
            system="Be brief.",
        )
    )
    assert [(each.parent, each.missing_parent) for each in talk.said] == [(None, ""), (0, ""), (None, "gone")]
    messages = [
        {
            "messageId": "u",
            "parentMessageId": "00000000-0000-0000-0000-000000000000",
            "isCreatedByUser": True,
            "text": "q",
        },
        {"messageId": "v", "parentMessageId": "gone", "isCreatedByUser": True, "text": "r"},
    ]
    _, talk = one({"conversationId": "c", "options": {"promptPrefix": "Be brief."}, "messages": messages})
    assert [(each.parent, each.missing_parent) for each in talk.said] == [(None, ""), (0, ""), (None, "gone")]
    assert [each.reason for each in talk.left_out] == [NO_PARENT]


@pytest.mark.parametrize("form", ["claude", "librechat"])
def test_two_messages_with_one_id_are_refused_by_name(form):
    two = ("one", "two")
    if form == "claude":
        value = claude(*({"uuid": "h", "sender": "human", "text": said} for said in two))
    else:
        value = {
            "conversationId": "c2",
            "messages": [{"messageId": "h", "isCreatedByUser": True, "text": said} for said in two],
        }
    _, refused = one(value)
    assert refused == RefusedConversation("c2", "two messages with the same id")
    assert refused.place == "h"


def flat(*messages):
    found = [JsonRecord(at, each) for at, each in enumerate(messages)]
    return [each for _, each in conversations(importer_of("oasst_messages"), found)]


def test_a_flat_message_whose_parent_is_missing_opens_a_tree_that_says_so():
    (talk,) = flat(
        {"message_id": "b", "parent_id": "v", "role": "assistant", "text": "x"},
        {"message_id": "v", "parent_id": "gone", "role": "prompter", "text": "q"},
    )
    assert [each.missing_parent for each in talk.said] == ["gone", ""]
    assert [each.reason for each in talk.left_out] == [NO_PARENT]


def test_a_flat_tree_in_which_two_messages_have_one_id_is_refused_and_the_others_are_read():
    root, other = ({"message_id": key, "role": "prompter", "text": "q"} for key in "ux")
    answers = [{"message_id": "a", "parent_id": "u", "role": "assistant", "text": text} for text in "12"]
    refused, talk = flat(root, *answers, other)
    assert refused == RefusedConversation("u", "two messages with the same id")
    assert talk.key == "x"
