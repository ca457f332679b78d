"""What clients call their sessions, read by the table of known clients."""

from __future__ import annotations

import json
import time

import pytest

from regraft.domain.capture.clients import LONGEST_NAME, ClientName, KnownClients
from regraft.domain.capture.dialects import dialect_of
from regraft.infra.client_table import KnownClientSection, built_in_table, client_table
from regraft.infra.http.headers import read_head
from regraft.infra.nats.codec import IDENTITY_FIELDS

HI = [{"role": "user", "content": "hi"}]
CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"


def named(headers=None, endpoint=CHAT, table=None, **fields):
    body = {"model": "m", "messages": HI, **fields}
    if endpoint == RESPONSES:
        body["input"] = body.pop("messages")
    request = dialect_of(endpoint).read_request(json.dumps(body).encode())
    return KnownClients((table or built_in_table()).clients).name(headers or {}, request)


@pytest.mark.parametrize(
    ("client", "header"),
    [
        ("claude_code", "x-claude-code-session-id"),
        ("open_webui", "x-openwebui-chat-id"),
        ("opencode", "x-opencode-session"),
        ("helicone", "helicone-session-id"),
        ("codex", "session_id"),
        ("codex", "session-id"),
        ("codex", "conversation_id"),
        ("litellm", "x-litellm-session-id"),
        ("langfuse", "langfuse_session_id"),
        ("generic", "x-conversation-id"),
    ],
)
def test_a_header_names_the_session(client, header):
    assert named({header: "s-1"}) == ClientName(client=client, session="s-1")


@pytest.mark.parametrize(
    ("client", "endpoint", "fields"),
    [
        ("claude_code", MESSAGES, {"metadata": {"user_id": "user_0a_account_b_session_s-1"}}),
        ("claude_code", MESSAGES, {"metadata": {"user_id": '{"device_id": "d", "session_id": "s-1"}'}}),
        ("open_webui", CHAT, {"metadata": {"chat_id": "s-1"}}),
        ("open_webui", CHAT, {"chat_id": "s-1"}),
        ("litellm", CHAT, {"litellm_session_id": "s-1"}),
        ("langfuse", CHAT, {"metadata": {"langfuse_session_id": "s-1"}}),
        ("langfuse", CHAT, {"langfuse_session_id": "s-1"}),
        ("generic", CHAT, {"metadata": {"session_id": "s-1"}}),
        ("generic", MESSAGES, {"metadata": {"session_id": "s-1"}}),
        ("openrouter", CHAT, {"session_id": "s-1"}),
        ("openai_cache_key", CHAT, {"prompt_cache_key": "s-1"}),
        ("openai_cache_key", RESPONSES, {"prompt_cache_key": "s-1"}),
        ("codex", RESPONSES, {"client_metadata": {"session_id": "s-1"}}),
    ],
)
def test_a_field_of_the_body_names_the_session(client, endpoint, fields):
    assert named(endpoint=endpoint, **fields) == ClientName(client=client, session="s-1")


def test_agents_and_their_parents_are_named():
    headers = {
        "x-claude-code-session-id": "s-1",
        "x-claude-code-agent-id": "a-2",
        "x-claude-code-parent-agent-id": "a-1",
    }
    assert named(headers) == ClientName(client="claude_code", session="s-1", agent="a-2", parent_agent="a-1")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"user": "u-1"},
        {"metadata": {"user_id": "user_1"}},
        {"metadata": {"session_id": ""}},
        {"metadata": {"session_id": ["s-1"]}},
        {"metadata": {"session_id": True}},
        {"metadata": "session_id"},
        {"metadata": {"session_id": "a\u0000b"}},
        {"metadata": {"session_id": "\ud800"}},
        {"metadata": {"session_id": "s" * (LONGEST_NAME + 1)}},
    ],
)
def test_what_names_a_user_or_is_no_text_names_no_session(fields):
    assert named(**fields) is None


def test_a_number_is_a_name():
    assert named(metadata={"session_id": 7}) == ClientName(client="generic", session="7")


def test_a_config_adds_clients_that_are_tried_first_and_replaces_known_ones():
    mine = KnownClientSection.model_validate({"session": [{"header": "X-Mine"}]})
    table = client_table({"mine": mine, "open_webui": mine}, {})
    assert named({"x-mine": "m", "x-claude-code-session-id": "s"}, table=table) == ClientName(
        client="mine", session="m"
    )
    assert "x-mine" in table.headers
    assert "x-openwebui-chat-id" not in table.headers


@pytest.mark.parametrize("header", ["Authorization", "x-api-key", "cookie"])
def test_no_table_keeps_a_secret(header):
    with pytest.raises(ValueError, match="secret"):
        KnownClientSection.model_validate({"session": [{"header": header}]})


def test_only_headers_of_the_table_are_kept_with_a_call():
    headers = [
        (b"Host", b"h"),
        (b"Authorization", b"Bearer k"),
        (b"X-Claude-Code-Session-Id", b"s-1"),
        (b"X-Other", b"o"),
    ]
    head = read_head(headers, frozenset(name.encode() for name in built_in_table().headers))
    kept = dict(zip(IDENTITY_FIELDS, head.identity, strict=True))["client_headers"]
    assert json.loads(kept) == {"x-claude-code-session-id": "s-1"}
    assert b"X-Claude-Code-Session-Id: s-1" in head.block
    assert read_head(headers).identity == ()


def test_names_are_found_in_linear_time():
    seconds = []
    for size in (1_000_000, 4_000_000):
        start = time.process_time()
        named(endpoint=MESSAGES, metadata={"user_id": "_session" * (size // 8)})
        seconds.append(time.process_time() - start)
    assert seconds[1] < 12 * max(seconds[0], 0.03)
