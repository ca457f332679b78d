"""Rules recognise side calls of clients, and never match questions of people."""

from __future__ import annotations

import json
import time

import pytest

from regraft.domain.capture.dialects import dialect_of
from regraft.domain.capture.side_calls import SideCallRules, is_side_call
from regraft.infra.client_table import SideCallSection, built_in_table, client_table

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
HISTORY = "### Chat History:\n<chat_history>\nUSER: bread?\nASSISTANT: Mix and bake.\n</chat_history>"
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {}}}]


def user(text):
    return {"role": "user", "content": text}


def purpose(*messages, endpoint=CHAT, table=None, headers=None, **fields):
    body = {"model": "m", "messages": messages, **fields}
    request = dialect_of(endpoint).read_request(json.dumps(body).encode())
    return SideCallRules((table or built_in_table()).side_calls).purpose(headers or {}, request)


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ("side:title", f"### Task:\nGenerate a concise, 3-5 word title with an emoji.\n{HISTORY}"),
        ("side:title", f"### Task:\nName the chat: a title.\n{HISTORY}"),
        ("side:tags", f"### Task:\nGenerate 1-3 broad tags for the main themes.\n{HISTORY}"),
        ("side:follow_ups", f"### Task:\nSuggest 3-5 relevant follow-up questions.\n{HISTORY}"),
        ("side:search_queries", f"### Task:\nDetermine the necessity of generating search queries.\n{HISTORY}"),
        ("side:image_prompt", f"### Task:\nGenerate a detailed prompt for an image.\n{HISTORY}"),
        ("side:task", f"### Task:\nSay what was meant.\n{HISTORY}"),
        ("side:autocompletion", "### Task:\nYou are an autocompletion system. Continue the text in `<text>`."),
        ("side:title", "Please write a 5-10 word title the following conversation:\n\nUser: hello"),
        ("side:title", "Generate a title for this conversation:\n\nhello"),
        ("side:suggestion", "[SUGGESTION MODE: Suggest what the user might naturally type next.]"),
        ("side:summary", "Your task is to create a detailed summary of the conversation so far, in sections"),
        (
            "side:commit_message",
            "Based on the following git diff, generate a concise and descriptive commit message",
        ),
        ("side:warm_up", "Warmup"),
        ("side:health", "test from litellm"),
    ],
)
def test_what_clients_ask_for_themselves_has_a_purpose(wanted, text):
    assert purpose(user(text), max_tokens=20) == wanted
    assert purpose(user([{"type": "text", "text": text}]), endpoint=MESSAGES, max_tokens=20) == wanted
    assert is_side_call(wanted)


@pytest.mark.parametrize(
    ("wanted", "system"),
    [
        ("side:topic", "Analyze if this message indicates a new conversation topic. If it does, extract a title."),
        ("side:title", "Summarize this coding conversation in under 50 characters."),
        ("side:title", "You are a title generator. You output ONLY a thread title. Nothing else."),
        ("side:title", "You will generate a short title based on the first message a user begins a conversation with"),
        ("side:file_paths", "Extract any file paths that this command reads or modifies."),
    ],
)
def test_a_system_prompt_can_tell_a_side_call(wanted, system):
    prompts = [{"type": "text", "text": "You are a coding agent."}, {"type": "text", "text": system}]
    assert purpose({"role": "system", "content": system}, user("bread?")) == wanted
    assert purpose(user("bread?"), endpoint=MESSAGES, system=prompts, max_tokens=512) == wanted


def test_a_quota_check_asks_for_one_token():
    assert purpose(user("quota"), endpoint=MESSAGES, max_tokens=1) == "side:quota"
    assert purpose(user("quota"), endpoint=MESSAGES, max_tokens=512) is None


def test_one_word_is_a_probe_only_where_one_token_is_asked_for():
    assert purpose(user("hi"), max_tokens=1) == "side:health"
    assert purpose(user("hi"), max_completion_tokens=1) == "side:health"
    assert purpose(user("hi")) is None
    assert purpose(user("hi"), max_tokens=1, tools=TOOLS) is None
    assert purpose(user("Is it spam? yes or no"), max_tokens=1) is None


@pytest.mark.parametrize(
    "text",
    [
        "### Task:\nRespond to the user query.\n<context>\n<user_query>A title?</user_query>\n<chat_history>",
        "### Task:\nWrite a function that adds two numbers.",
        "What is a good title for my novel about tags and follow-up questions?",
        "What does <chat_history> mean in a prompt?",
        "How do I write a health check? It should ping the server.",
        "Explain [SUGGESTION MODE: ...] in Claude Code",
        "quota",
    ],
)
def test_what_people_ask_is_no_side_call(text):
    assert purpose(user(text)) is None


def test_a_conversation_is_no_side_call_for_a_word_in_its_past():
    said = [user(f"### Task:\nMake a title.\n{HISTORY}"), {"role": "assistant", "content": "Bread"}, user("thanks")]
    assert purpose(*said) is None


def test_a_suggestion_is_told_at_the_end_of_a_long_conversation():
    past = [user("fix it"), {"role": "assistant", "content": "done"}] * 20
    assert purpose(*past, user("[SUGGESTION MODE: what next?]"), tools=TOOLS) == "side:suggestion"


def test_a_config_adds_rules_that_are_tried_first_and_replaces_known_ones():
    mine = SideCallSection.model_validate({"purpose": "chapter", "user_starts": ["Name the Chapter"]})
    by_header = SideCallSection.model_validate({"purpose": "probe", "headers": {"X-Probe": "*1*"}})
    table = client_table({}, {"mine": mine, "by_header": by_header, "warm_up": mine})
    assert purpose(user("name the chapter: x"), table=table) == "side:chapter"
    assert purpose(user("x"), table=table, headers={"x-probe": "v1"}) == "side:probe"
    assert purpose(user("x"), table=table) is None
    assert purpose(user("warmup"), table=table) is None
    assert "x-probe" in table.headers


def test_a_rule_needs_a_condition_on_what_is_said():
    with pytest.raises(ValueError, match="condition"):
        SideCallSection.model_validate({"purpose": "all", "max_tokens": 5})


def test_rules_are_applied_in_linear_time():
    seconds = []
    for size in (1_000_000, 4_000_000):
        start = time.process_time()
        purpose(user("### task:\n" + "<chat_history" * (size // 13)))
        seconds.append(time.process_time() - start)
    assert seconds[1] < 12 * max(seconds[0], 0.03)
