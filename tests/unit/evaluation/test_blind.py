"""Messages as reviewers see them: the whole content, and nothing that identifies the model."""

from __future__ import annotations

from regraft.domain.evaluation.blind import Blinder


def test_ids_of_calls_are_numbered_and_still_match_their_results() -> None:
    call = {"id": "toolu_01A", "type": "function", "function": {"name": "weather", "arguments": '{"id": "toolu_01A"}'}}
    blinder = Blinder()
    history = blinder.messages(
        [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "toolu_01A", "content": "22"},
        ]
    )
    answer = blinder.message({"role": "assistant", "tool_calls": [{**call, "id": "call_7"}]})
    assert history[0]["tool_calls"][0]["id"] == history[1]["tool_call_id"] == "call 1"
    assert history[0]["tool_calls"][0]["function"] == call["function"]
    assert answer["tool_calls"][0]["id"] == "call 2"


def test_what_only_one_provider_writes_is_left_out() -> None:
    said = Blinder().message(
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "EqoB"},
                {"type": "redacted_thinking", "data": "x"},
                {"type": "tool_use", "id": "toolu_02", "name": "find", "input": {"model": "t-34", "id": "toolu_02"}},
                {"type": "text", "text": "yes", "annotations": [], "cache_control": {"type": "ephemeral"}},
            ],
            "model": "m",
            "provider": "p",
            "annotations": [],
            "audio": None,
        }
    )
    assert said == {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "hm"},
            {"type": "tool_use", "id": "call 1", "name": "find", "input": {"model": "t-34", "id": "toolu_02"}},
            {"type": "text", "text": "yes"},
        ],
    }


def test_reasoning_has_one_name() -> None:
    thoughts = [
        {"reasoning_content": "so"},
        {"reasoning": "so"},
        {"reasoning_details": [{"type": "reasoning.text", "text": "so", "format": "anthropic-claude-v1"}]},
        {
            "reasoning_content": " ",
            "reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}, {"summary": "so"}],
        },
    ]
    found = [Blinder().message({"role": "assistant", "content": "a", **each}) for each in thoughts]
    assert found == [{"role": "assistant", "content": "a", "reasoning": "so"}] * 4


def test_odd_messages_stay_readable() -> None:
    blinder = Blinder()
    assert blinder.message({}) == {"content": None}
    assert blinder.message({"role": "assistant", "tool_calls": "none", "reasoning_details": 3})["tool_calls"] == "none"
    assert blinder.message({"role": "user", "content": ["a", 1, None]})["content"] == ["a", 1, None]
