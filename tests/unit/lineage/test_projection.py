"""What a client does to a message between two calls must not fracture a conversation, and nothing else may merge."""

from __future__ import annotations

import copy
import json
import unicodedata

import pytest

from regraft.domain.capture.message import text_of
from regraft.domain.ids import canonical_json, parse_json
from regraft.domain.lineage.projection import message_digest, project, projection_digest, volatile_system_text


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


def call(arguments, name="search", identity="call_1", **more):
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def calling(*calls, content=None):
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


def joined(*messages):
    """Whether all of these are one message for joining, while storage distinguishes them."""
    assert len({message_digest(message) for message in messages}) == len(messages)
    return len({projection_digest(message) for message in messages}) == 1


def apart(*messages):
    """Whether no two of these are one message for joining."""
    return len({projection_digest(message) for message in messages}) == len(messages)


# Causes of fracture


@pytest.mark.parametrize("role", ["user", "tool", "function"])
@pytest.mark.parametrize(
    "tag",
    [
        "system-reminder",
        "environment_context",
        "command-name",
        "command-message",
        "command-args",
        "local-command-stdout",
        "local-command-caveat",
        "task-notification",
        "new-diagnostics",
    ],
)
def test_harness_text_injected_into_a_message_does_not_fracture(tag, role):
    injected = f"<{tag}>\nToday is\n\nMonday <b>.\n</{tag}>"
    with_attributes = f'<{tag} id="7">x</{tag}>'
    assert joined(
        {"role": role, "content": "Do it."},
        {"role": role, "content": f"{injected}\nDo it."},
        {"role": role, "content": f"Do it.\n\n{injected}"},
        {"role": role, "content": f"Do it.{with_attributes}{injected}"},
    )


def test_harness_text_as_a_part_of_its_own_does_not_fracture():
    reminder = {"type": "text", "text": "<system-reminder>be kind</system-reminder>"}
    assert joined(user("Do it."), user([reminder, {"type": "text", "text": "Do it."}]))


@pytest.mark.parametrize("role", ["system", "user", "assistant", "tool"])
def test_crlf_does_not_fracture(role):
    texts = ["a\nb\n\nc", "a\r\nb\r\n\r\nc", "a\rb\r\rc"]
    assert joined(*({"role": role, "content": text} for text in texts))


@pytest.mark.parametrize("role", ["system", "user", "assistant", "tool"])
def test_trailing_blanks_do_not_fracture(role):
    texts = ["a\nb", "a \nb", "a\t \nb\t", "a\nb\n", "\n \na\nb", "a \r\nb \r\n"]
    assert joined(*({"role": role, "content": text} for text in texts))


@pytest.mark.parametrize("role", ["system", "user", "assistant", "tool"])
def test_runs_of_blank_lines_do_not_fracture(role):
    texts = ["a\n\nb", "a\n\n\nb", "a\n \n\t\n\n\nb", "a\r\n\r\n\r\n\r\nb"]
    assert joined(*({"role": role, "content": text} for text in texts))


@pytest.mark.parametrize("role", ["system", "user", "assistant", "tool"])
def test_a_string_and_a_list_of_one_text_part_are_one_content(role):
    contents = [
        "hello",
        [{"type": "text", "text": "hello"}],
        [{"type": "input_text", "text": "hello"}],
        [{"type": "text", "text": "hello", "cache_control": {"type": "ephemeral"}}],
        [{"type": "text", "text": "hello"}, {"type": "text", "text": ""}],
    ]
    assert joined(*({"role": role, "content": content} for content in contents))


def test_the_key_order_of_tool_arguments_does_not_fracture():
    assert joined(calling(call('{"a":1,"b":{"c":2,"d":3}}')), calling(call('{"b":{"d":3,"c":2},"a":1}')))


def test_the_white_space_of_tool_arguments_does_not_fracture():
    assert joined(calling(call('{"a":[1,2]}')), calling(call('{ "a" : [1, 2] }\n')), calling(call({"a": [1, 2]})))


def test_null_defaults_of_tool_arguments_resent_or_dropped_do_not_fracture():
    assert joined(calling(call('{"a":1}')), calling(call('{"a":1,"limit":null}')))
    assert joined(calling(call("{}")), calling(call("")), calling(call(" ")), calling(call(None)))


def test_rewritten_tool_call_ids_do_not_fracture():
    assert joined(calling(call("{}")), calling(call("{}", identity="toolu_9")), calling(call("{}", index=0)))
    results = [{"role": "tool", "tool_call_id": identity, "content": "42"} for identity in ("call_1", "toolu_9")]
    assert joined(*results)


def test_content_null_and_empty_and_absent_are_one_content():
    without = calling(call("{}"))
    del without["content"]
    assert joined(without, calling(call("{}")), calling(call("{}"), content=""), calling(call("{}"), content=[]))


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning", "reasoning_details", "thinking_blocks"])
def test_a_reasoning_field_dropped_on_resend_does_not_fracture(key):
    assert joined(assistant("4"), assistant("4", **{key: "two and two"}))


@pytest.mark.parametrize("kind", ["thinking", "redacted_thinking", "reasoning"])
def test_a_reasoning_part_dropped_on_resend_does_not_fracture(kind):
    assert joined(assistant("4"), assistant([{"type": kind, "text": "hm"}, {"type": "text", "text": "4"}]))


@pytest.mark.parametrize("tag", ["think", "thinking"])
def test_reasoning_written_into_the_text_and_dropped_on_resend_does_not_fracture(tag):
    assert joined(assistant("4"), assistant(f"<{tag}>\ntwo\n\nand two\n</{tag}>\n\n4"))


def test_an_echo_with_extra_or_missing_fields_does_not_fracture():
    assert joined(
        assistant("4"),
        assistant("4", refusal=None),
        assistant("4", refusal=None, annotations=[], audio=None, function_call=None, tool_calls=None),
        assistant("4", tool_calls=[], name=None),
    )


def test_one_and_one_point_zero_are_one_argument():
    texts = ['{"x":1}', '{"x":1.0}', '{"x":1e0}', '{"x":10e-1}', '{"x":1.000}']
    assert joined(*(calling(call(text)) for text in texts))
    fractions = ['{"x":0.5}', '{"x":5e-1}', '{"x":0.50}']
    assert joined(*(calling(call(text)) for text in fractions))


def test_a_tiny_number_is_not_zero():
    texts = ['{"x":0}', '{"x":1e-999}', '{"x":1e-998}', '{"x":-1e-999}', '{"x":1e999}']
    assert apart(*(calling(call(text)) for text in texts))


def test_unicode_forms_are_left_alone():
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    assert apart(user(composed), user(decomposed))
    assert project(user(decomposed))["content"] == decomposed


@pytest.mark.parametrize("role", ["system", "developer"])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2025-06-01", "2026-12-31"),
        ("2025-06-01T10:00:00Z", "2026-12-31T23:59:59Z"),
        ("2025-06-01 10:00", "2026-12-31 11:30"),
        ("2025-06-01T10:00:00.123+02:00", "2026-12-31T23:59:59.9-0800"),
        ("10:00:00", "9:15:59"),
        ("2025-06-01 10:00:00 EST", "2026-12-31 9:00:01 EDT"),
        ("June 1, 2025", "Dec. 31st, 2026"),
        ("Sunday, June 1, 2025 at 10:00 AM", "Thu Dec 31 2026 23:59:59 GMT+0000 (Coordinated Universal Time)"),
        ("1 June 2025", "Thu, 31 Dec 2026 23:59:59 +0000"),
        ("Sun Jun  1 10:00:00 UTC 2025", "Thu Dec 31 23:59:59 UTC 2026"),
        ("06/01/2025", "2026/12/31 11:30 PM"),
        ("01.06.2025", "31.12.2026, 11:30"),
        ("2025-06-01 (Sunday)", "2026-12-31, Thursday"),
        ("Sunday, June 1", "Thu 31 Dec"),
        ("2025年6月1日 星期日", "2026年12月31日 10:00"),
    ],
)
def test_a_system_prompt_with_a_clock_is_matched_and_reported(role, one, other):
    first, second = ({"role": role, "content": f"You help. It is {clock} now."} for clock in (one, other))
    assert joined(first, second)
    assert volatile_system_text(first)
    assert not volatile_system_text({"role": role, "content": "You help."})


@pytest.mark.parametrize("role", ["system", "developer"])
def test_a_system_prompt_with_a_uuid_is_matched_and_reported(role):
    first, second = (
        {"role": role, "content": f"Session {identity}."}
        for identity in ("0190b0f3-1d3c-7c9e-9b1a-2f6f6f6f6f6f", "7D444840-9DC0-11D1-B245-5FFDCE74FAD2")
    )
    assert joined(first, second)
    assert volatile_system_text(first)


def test_what_is_no_clock_in_a_system_prompt_is_part_of_it():
    pairs = [
        ("Open from 9:00 to 18:00.", "Open from 10:00 to 18:00."),
        ("Version 1.2.3", "Version 1.2.4"),
        ("You may march 10 soldiers.", "You may march 20 soldiers."),
        ("Speak of July 4, 1776.", "Speak of July 14, 1789."),
        ("Answer in 2025 words.", "Answer in 2026 words."),
        ("Warranty: 12/24 months", "Warranty: 12/36 months"),
        ("Call 555-01-0199.", "Call 555-02-0199."),
        ("Come on Monday.", "Come on Friday."),
    ]
    for pair in pairs:
        assert apart(*({"role": "system", "content": text} for text in pair)), pair
        assert not any(volatile_system_text({"role": "system", "content": text}) for text in pair), pair


def test_version_one_looks_past_the_clocks_that_it_did():
    def digests(*texts):
        return {projection_digest({"role": "system", "content": text}, 1) for text in texts}

    assert len(digests("It is 2025-06-01 10:00:00.", "It is 2026-12-31 11:00:00.")) == 1
    assert len(digests("It is June 1, 2025.", "It is June 2, 2025.")) == 2


def test_a_clock_in_what_a_user_said_is_part_of_what_was_said():
    assert apart(user("Book 2025-06-01 10:00:00"), user("Book 2025-06-02 10:00:00"))
    assert not volatile_system_text(user("Book 2025-06-01"))


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x\udfff", "\0\ud83d"])
def test_nul_and_lone_surrogates_are_digested_and_kept(text):
    message = calling(call(json.dumps({"x": text})), content=text)
    assert parse_json(canonical_json(message)) == message
    canonical_json(message).encode()
    assert joined(message, {**message, "refusal": None})
    assert apart(user(text), user(text + "x"), user(text.encode("ascii", "ignore").replace(b"\0", b"").decode()))


# False merges


def test_different_texts_do_not_merge():
    assert apart(*map(user, ["a b", "a  b", "ab", "A b", "a\nb", "a\n\nb", "a b.", ""]))


def test_roles_do_not_merge():
    assert apart(*({"role": role, "content": "x"} for role in ("system", "developer", "user", "assistant", "tool")))


def test_two_texts_do_not_merge_with_one():
    texts = [[{"type": "text", "text": text} for text in pair] for pair in (("ab", "c"), ("a", "bc"))]
    assert apart(*map(user, texts), user("abc"))


def test_text_in_angle_brackets_that_no_harness_wrote_does_not_merge():
    assert apart(*map(user, ["<div>a</div>", "<div>b</div>", "", "<system-reminder>open", "system-reminder"]))


def test_a_harness_tag_in_an_instruction_or_an_answer_is_part_of_it():
    text = "<system-reminder>a</system-reminder>"
    for role in ("system", "assistant"):
        assert apart({"role": role, "content": text}, {"role": role, "content": ""})


def test_thinking_that_a_user_wrote_or_that_follows_the_answer_is_text():
    assert apart(user("<think>a</think>b"), user("b"))
    assert apart(assistant("b <think>a</think>"), assistant("b"))


def test_tools_called_with_other_names_or_arguments_do_not_merge():
    texts = ['{"x":1}', '{"x":2}', '{"x":"1"}', '{"x":true}', '{"x":[1]}', '{"y":1}', "{}", "not json", '{"x":"a "}']
    assert apart(*(calling(call(text)) for text in texts), *(calling(call(text, "other")) for text in texts))


def test_a_null_inside_an_argument_is_not_a_default():
    assert apart(calling(call('{"x":{"y":null}}')), calling(call('{"x":{}}')), calling(call('{"x":[null]}')))


def test_parallel_calls_in_another_order_or_number_do_not_merge():
    one, two = call('{"x":1}'), call('{"x":2}', identity="call_2")
    assert apart(calling(one, two), calling(two, one), calling(one), calling(one, one), assistant(None))


def test_a_call_and_the_text_of_a_call_do_not_merge():
    assert apart(calling(call('{"x":1}')), assistant('search({"x":1})'), calling(call('{"x":1}'), content="I search."))


def test_a_legacy_function_call_counts_by_name_and_arguments():
    def legacy(name, arguments):
        return assistant(None, function_call={"name": name, "arguments": arguments})

    assert joined(legacy("f", '{"a":1,"b":2}'), legacy("f", '{"b":2, "a":1.0}'))
    assert apart(legacy("f", '{"a":1}'), legacy("g", '{"a":1}'), legacy("f", '{"a":2}'), assistant(None))


def test_custom_tool_calls_count_by_name_and_input():
    def custom(name, text, identity="c"):
        return calling({"id": identity, "type": "custom", "custom": {"name": name, "input": text}})

    assert joined(custom("f", "x"), custom("f", "x", "other"))
    assert apart(custom("f", "x"), custom("f", "y"), custom("g", "x"))


def test_images_do_not_merge():
    def image(url, **more):
        return user([{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": url}, **more}])

    assert apart(image("https://a/1.png"), image("https://a/2.png"), user("look"))
    assert joined(image("https://a/1.png"), image("https://a/1.png", cache_control={"type": "ephemeral"}))


@pytest.mark.parametrize("message", ["text", 5, None, [1], {}, {"role": None}, {"content": {"a": 1}}])
def test_what_is_no_chat_message_is_still_digested(message):
    assert apart(message, user("x"))
    assert len(projection_digest(message)) == 32


def test_a_projection_leaves_the_message_as_it_was():
    message = calling(call('{"b":1.0,"a":null}'), content=[{"type": "text", "text": " x "}])
    before = copy.deepcopy(message)
    projection_digest(message)
    assert message == before


def test_the_readable_text_of_a_message_is_its_text_parts_one_to_a_line():
    parts = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {}}, {"type": "text", "text": "b"}]
    assert text_of(user(parts)) == "a\nb"
    assert text_of(user("a")) == "a"
    assert text_of(user(None)) == text_of(None) == ""


def test_blanks_before_the_first_word_are_part_of_a_text():
    assert not joined({"role": "user", "content": "    code"}, {"role": "user", "content": "code"})


def test_no_digit_of_a_number_is_rounded_away():
    long = "0.12345678901234567890123456789012345"
    calls = [{"function": {"name": "f", "arguments": f'{{"x":{number}}}'}} for number in (long, long[:-1] + "6")]
    assert not joined(*({"role": "assistant", "tool_calls": [call]} for call in calls))


@pytest.mark.parametrize(("one", "other"), [("1e-1000030", "0"), ("1e1000000", "2e1000000"), ("9" * 5000, "8" * 5000)])
def test_numbers_of_any_size_are_compared_exactly(one, other):
    calls = [{"function": {"name": "f", "arguments": f'{{"x":{number}}}'}} for number in (one, other)]
    assert not joined(*({"role": "assistant", "tool_calls": [call]} for call in calls))


def test_arguments_that_are_no_json_are_not_the_text_that_json_would_give():
    calls = [{"function": {"name": "f", "arguments": text}} for text in ('"x"', "x")]
    assert not joined(*({"role": "assistant", "tool_calls": [call]} for call in calls))


def test_different_refusals_are_different_answers():
    refusals = [{"role": "assistant", "content": None, "refusal": text} for text in ("I cannot.", "I will not.")]
    assert not joined(*refusals)


@pytest.mark.parametrize("odd", [[], {}, [1]])
def test_a_role_or_a_part_of_any_type_is_projected(odd):
    assert project({"role": odd, "content": "a "}) == {"role": odd, "content": "a"}
    assert project({"role": "user", "content": [{"type": odd, "x": 1}]})["content"] == {"type": odd, "x": 1}
