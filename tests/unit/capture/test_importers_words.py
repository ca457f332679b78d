"""Words that an export keeps in parts of its own are text, reasoning, or kept beside the message."""

from __future__ import annotations

import pytest

from support.chat_export import chatgpt, claude, node, one


def asked(content, **more):
    """The message of a conversation in which only this was said."""
    _, talk = one(chatgpt(node("u", None, [], "user", content=content, **more)))
    return talk.said[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"content_type": "text", "parts": [None, "A five"]}, "A five"),
        ({"content_type": "text", "parts": None}, ""),
        (
            {
                "content_type": "multimodal_text",
                "parts": [
                    {"content_type": "audio_transcription", "text": "Hello there", "direction": "in"},
                    {"content_type": "audio_asset_pointer", "asset_pointer": "sediment://1"},
                ],
            },
            "Hello there",
        ),
        (
            {"content_type": "user_editable_context", "user_profile": "I sail.", "user_instructions": "Be brief."},
            "I sail.\n\nBe brief.",
        ),
        ({"content_type": "tether_browsing_display", "result": "found it", "summary": ""}, "found it"),
        ({"content_type": "system_error", "name": "Oops", "text": "it broke"}, "it broke"),
        ({"content_type": "a_later_kind", "text": "words of a later kind"}, "words of a later kind"),
    ],
)
def test_words_in_parts_of_chatgpts_own_are_the_text(content, words):
    assert asked(content).message["content"] == words


def test_sound_stays_a_part_where_nobody_wrote_down_what_was_said():
    sound = {"content_type": "audio_asset_pointer", "asset_pointer": "sediment://1"}
    said = asked({"content_type": "multimodal_text", "parts": [sound]})
    assert said.message["content"] == [{"type": "audio_asset_pointer", **sound}]


def test_citation_marks_are_what_was_shown_for_them_and_are_kept_beside_the_text():
    mark, other = "\ue200cite\ue202turn0search1\ue201", "\ue200cite\ue202turn0search2\ue201"
    shown = [{"matched_text": mark, "alt": "([Site](https://s))"}]
    _, talk = one(
        chatgpt(
            node("u", None, ["a"], "user", ["q"]),
            node(
                "a",
                "u",
                [],
                "assistant",
                [f"So {mark}, or{other} not【4†source】."],
                metadata={"content_references": shown},
            ),
        )
    )
    assert talk.said[1].message["content"] == "So ([Site](https://s)), or not."
    assert talk.said[1].rest["citation_marks"] == [mark, other, "【4†source】"]


def test_what_was_thought_without_an_answer_is_an_answer_that_was_interrupted():
    thoughts = {"content_type": "thoughts", "thoughts": [{"summary": "s", "content": "hm"}]}
    recap = {"content_type": "reasoning_recap", "content": "Thought for 2s"}
    _, talk = one(
        chatgpt(
            node("u", None, ["t"], "user", ["q"]),
            node("t", "u", ["r"], "assistant", content=thoughts),
            node("r", "t", ["v"], "assistant", content=recap),
            node("v", "r", ["w"], "user", ["again"]),
            node("w", "v", [], "assistant", content=thoughts),
        )
    )
    alone = {"role": "assistant", "content": None, "reasoning_content": "hm"}
    assert [said.message for said in talk.said] == [
        {"role": "user", "content": "q"},
        alone,
        {"role": "user", "content": "again"},
        alone,
    ]
    assert [said.status for said in talk.said] == ["ok", "interrupted", "ok", "interrupted"]
    assert "Thought for 2s" in str(talk.said[1].rest)


@pytest.mark.parametrize(
    "more",
    [
        {"status": "in_progress"},
        {"status": "finished_partial_completion"},
        {"metadata": {"is_complete": False}},
        {"metadata": {"finish_details": {"type": "max_tokens"}}},
        {"metadata": {"finish_details": {"type": "interrupted"}}},
        {"status": "an_ending_of_tomorrow"},
    ],
)
def test_an_answer_of_chatgpt_that_was_not_finished_is_not_ok(more):
    _, talk = one(chatgpt(node("u", None, ["a"], "user", ["q"]), node("a", "u", [], "assistant", ["half"], **more)))
    assert talk.said[1].status == "interrupted"


def test_an_export_without_titles_times_and_metadata_names_the_model_of_the_conversation():
    value = chatgpt(node("u", None, ["a"], "user", ["q"]), node("a", "u", [], "assistant", ["x"]))
    _, talk = one({"mapping": value["mapping"], "id": "c", "title": None, "default_model_slug": "m"})
    assert (talk.model, talk.started_ns, talk.said[1].status) == ("m", None, "ok")


def person(**more):
    return {"uuid": "h", "sender": "human", "text": "Read it", "content": [{"type": "text", "text": "Read it"}], **more}


def test_a_text_that_claude_made_an_attachment_of_is_text_of_the_message():
    paste = {"file_name": "paste.txt", "file_type": "txt", "extracted_content": "LONG PASTE"}
    _, talk = one(claude(person(attachments=[paste])))
    assert talk.said[0].message == {"role": "user", "content": "Read it\n\nLONG PASTE"}
    assert talk.said[0].rest["blocks"] == [{"type": "attachment", "file_name": "paste.txt", "file_type": "txt"}]


def test_a_paste_without_a_word_beside_it_is_the_message():
    empty = person(text="", content=[{"type": "text", "text": ""}], attachments=[{"extracted_content": "ONLY PASTE"}])
    _, talk = one(claude(empty))
    assert talk.said[0].message["content"] == "ONLY PASTE"


@pytest.mark.parametrize("joint", ["", "\n\n"])
def test_blocks_of_one_claude_answer_are_the_text_that_the_export_says_they_are(joint):
    blocks = [{"type": "text", "text": "One"}, {"type": "text", "text": "two", "citations": [{"url": "u"}]}]
    answer = {"uuid": "a", "sender": "assistant", "text": f"One{joint}two", "content": blocks}
    _, talk = one(claude(person(), answer))
    assert talk.said[1].message["content"] == f"One{joint}two"
    assert talk.said[1].rest["blocks"] == [{"type": "text", "citations": [{"url": "u"}]}]


def test_a_spoken_note_is_text_and_a_block_without_words_is_none():
    blocks = [{"type": "voice_note", "title": "t", "text": "Spoken words"}, {"type": "token_budget"}]
    _, talk = one(claude(person(text="", content=blocks)))
    assert talk.said[0].message["content"] == "Spoken words"


@pytest.mark.parametrize("more", [{"truncated": True}, {"stop_reason": "max_tokens"}, {"stop_reason": "unheard_of"}])
def test_an_answer_of_claude_that_was_cut_is_not_ok(more):
    answer = {"uuid": "a", "sender": "assistant", "text": "half", **more}
    _, talk = one(claude(person(), answer))
    assert talk.said[1].status == "interrupted"
