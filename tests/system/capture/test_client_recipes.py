"""Clients as the page about them describes: SDKs run as it says, and calls as the programs send them."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import yaml

from regraft.infra.postgres.pool import connect
from regraft.infra.settings import load_settings
from support.api_scripts import answer
from support.gateways import gateway_to, spooled, stored_turns
from support.recipes import PAGE, run_recipe
from support.scripted_upstream import plain

CHAT = "/v1/chat/completions"
QUESTION = [{"role": "user", "content": "Which tyres for gravel?"}]
CLAUDE_CODE_USER = "user_5f2d_account__session_3f0a6a52-1c70-4a77-9d52-6b1f6f2f0a01"
TITLE = (
    "### Task:\nGenerate a concise, 3-5 word title with an emoji summarizing the chat history.\n### Guidelines:\n"
    "- The title should clearly represent the main theme or subject of the conversation.\n### Output:\n"
    'JSON format: { "title": "your concise title here" }\n### Chat History:\n<chat_history>\nUSER: Hi\n</chat_history>'
)


@pytest.mark.parametrize("name", ["OpenAI SDK", "Anthropic SDK"])
def test_an_sdk_is_captured_as_its_recipe_says(name, tmp_path, truth):
    captured = run_recipe(name, Path(sys.executable), tmp_path)
    (row,) = stored_turns(truth, [captured])
    assert (row["external_id"], row["history"][-1]["content"]) == ("gravel", "Which tyres for gravel?")


def captured_from(folder, truth, calls):
    """The turns of calls (path, headers, body), as they were stored."""
    with gateway_to(folder, answer) as (gateway, _):
        for path, headers, body in calls:
            status, _, said = gateway.call(path=path, headers=headers, body=json.dumps(body).encode())
            assert status == 200, said
    return stored_turns(truth, spooled(folder / "spool"))


PROGRAMS = {
    "Claude Code": (
        "/v1/messages?beta=true",
        {
            "anthropic-version": "2023-06-01",
            "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14",
            "User-Agent": "claude-cli/2.1.14 (external, cli)",
            "x-app": "cli",
            "x-api-key": "k",
        },
        {
            "model": "claude-sonnet-4-5",
            "max_tokens": 32000,
            "stream": True,
            "system": [
                {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral"}},
            ],
            "metadata": {"user_id": CLAUDE_CODE_USER},
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Which tyres for gravel?"}]}],
        },
        "3f0a6a52-1c70-4a77-9d52-6b1f6f2f0a01",
    ),
    "Codex": (
        "/v1/responses",
        {
            "session_id": "0199a213-81c0-7800-8aa1-bbab2a035a53",
            "originator": "codex_cli_rs",
            "User-Agent": "codex_cli_rs/0.42.0 (Debian 12; x86_64)",
            "Accept": "text/event-stream",
        },
        {
            "model": "gpt-5-codex",
            "instructions": "You are Codex.",
            "input": [
                {
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": "Which tyres for gravel?"}],
                }
            ],
            "tools": [],
            "tool_choice": "auto",
            "parallel_tool_calls": False,
            "store": True,
            "stream": True,
            "include": ["reasoning.encrypted_content"],
            "prompt_cache_key": "0199a213-81c0-7800-8aa1-bbab2a035a53",
        },
        "0199a213-81c0-7800-8aa1-bbab2a035a53",
    ),
    "Open WebUI": (
        CHAT,
        {
            "Authorization": "Bearer none",
            "X-OpenWebUI-User-Name": "Ada",
            "X-OpenWebUI-User-Id": "8a1b",
            "X-OpenWebUI-User-Email": "ada@example.com",
            "X-OpenWebUI-User-Role": "user",
            "X-OpenWebUI-Chat-Id": "f3b1c2d4-0a1b-4c2d-8e3f-5a6b7c8d9e0f",
        },
        {"model": "small", "messages": QUESTION, "stream": True, "stream_options": {"include_usage": True}},
        "f3b1c2d4-0a1b-4c2d-8e3f-5a6b7c8d9e0f",
    ),
    "LibreChat": (
        CHAT,
        {"Authorization": "Bearer none", "X-LibreChat-Conversation-Id": "03debefd-6a50-438a-904d-1a806f82aad4"},
        {
            "model": "small",
            "temperature": 1,
            "top_p": 1,
            "presence_penalty": 0,
            "frequency_penalty": 0,
            "user": "66f0a1b2c3d4e5f607182930",
            "stream": True,
            "messages": QUESTION,
        },
        "03debefd-6a50-438a-904d-1a806f82aad4",
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_one_session_by_the_name_that_it_sends(name, tmp_path, truth):
    path, headers, body, session = PROGRAMS[name]
    (row,) = captured_from(tmp_path, truth, [(path, headers, body)])
    assert row["external_id"].split("/")[0] == session
    assert "Which tyres for gravel?" in json.dumps(row["history"])
    assert row["node_status"] == "ok"


def test_every_program_of_the_page_is_sent_here():
    headings = set(re.findall(r"^## (.+)$", PAGE.read_text("utf-8"), re.MULTILINE))
    assert set(PROGRAMS) <= headings


def test_a_title_of_open_webui_is_a_side_call(tmp_path, truth):
    _, headers, body, _ = PROGRAMS["Open WebUI"]
    title = {**body, "stream": False, "messages": [{"role": "user", "content": TITLE}]}
    captured_from(tmp_path, truth, [(CHAT, headers, body), (CHAT, headers, title)])
    with connect(truth) as connection:
        rows = connection.execute("SELECT purpose FROM session_turn")
        assert sorted(row["purpose"] for row in rows.fetchall()) == ["chat", "side:title"]


SERVERS = {
    "ollama": {"system_fingerprint": "fp_ollama"},
    "vllm": {"prompt_logprobs": None, "kv_transfer_params": None, "service_tier": None},
    "llama_cpp": {
        "system_fingerprint": "b6600-a1b2c3d4",
        "timings": {"prompt_n": 9, "prompt_ms": 41.2, "predicted_n": 4, "predicted_ms": 61.5},
    },
}


@pytest.mark.parametrize("name", SERVERS)
def test_an_answer_of_a_local_server_is_stored_with_its_reasoning(name, tmp_path, truth):
    thought = "reasoning" if name == "ollama" else "reasoning_content"
    message = {"role": "assistant", "content": "40 mm.", thought: "Gravel is rough."}
    said = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "qwen3:8b",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message, "logprobs": None}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
        **SERVERS[name],
    }
    with gateway_to(tmp_path, lambda seen: plain(200, json.dumps(said).encode())) as (gateway, _):
        body = json.dumps({"model": "qwen3:8b", "messages": QUESTION}).encode()
        status, _, sent = gateway.call(body=body)
        assert (status, json.loads(sent)) == (200, said)
    (row,) = stored_turns(truth, spooled(tmp_path / "spool"))
    assert row["answer"]["content"] == "40 mm."
    assert "Gravel is rough." in json.dumps(row["answer"])
    assert (row["usage"]["prompt_tokens"], row["usage"]["completion_tokens"]) == (9, 4)


def test_the_servers_of_the_page_are_settings(tmp_path):
    section = PAGE.read_text("utf-8").partition("## Ollama, vLLM, llama.cpp")[2].partition("\n## ")[0]
    config = "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))
    (tmp_path / "regraft.toml").write_text(config)
    assert set(load_settings(tmp_path / "regraft.toml").upstreams) == set(SERVERS)


def test_the_endpoint_of_librechat_sends_the_header_that_is_read():
    section = PAGE.read_text("utf-8").partition("## LibreChat")[2].partition("\n## ")[0]
    config = yaml.safe_load("\n".join(line[4:] for line in section.splitlines() if line.startswith("    ")))
    (endpoint,) = config["endpoints"]["custom"]
    assert set(endpoint["headers"]) <= set(PROGRAMS["LibreChat"][1])
