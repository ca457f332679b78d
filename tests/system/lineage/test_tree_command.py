"""Output of the commands `tree` and `diff`."""

from __future__ import annotations

import sys

import pytest

from regraft.presentation.cli.main import main

WEATHER = [{"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bonn"}'}}]


@pytest.fixture
def command(truth, monkeypatch, tmp_path, capsys):
    def run(*words):
        monkeypatch.setenv("REGRAFT_POSTGRES__DSN", truth)
        monkeypatch.setenv("REGRAFT_DATA_DIR", str(tmp_path / "data"))
        monkeypatch.setattr(sys, "argv", ["regraft", *words])
        with pytest.raises(SystemExit) as left:
            main()
        assert left.value.code == 0
        return capsys.readouterr().out

    return run


def test_the_tree_shows_calls_of_tools_and_their_results(graph, calls, command):
    asked = [{"role": "user", "content": "how is the weather?"}]
    called = {"role": "assistant", "content": None, "tool_calls": WEATHER}
    result = {"role": "tool", "tool_call_id": "call_1", "content": "rain [bold]"}
    graph.take(calls(asked, called), calls([*asked, called, result], "It rains."))
    drawn = command("tree", str(graph.ask("SELECT session_id FROM conversation_sessions")[0]["session_id"]))
    assert '⚒ weather({"city": "Bonn"})' in drawn
    assert "↳ rain [bold] → It rains." in " ".join(drawn.split())
    assert "⚒ calls a tool  ↳ result of a tool" in drawn


def test_a_tree_without_tools_has_no_legend_for_them(graph, calls, command):
    graph.take(calls([{"role": "user", "content": "hi"}], "hello"))
    assert "⚒" not in command("tree", str(graph.ask("SELECT session_id FROM conversation_sessions")[0]["session_id"]))


def test_a_diff_without_colours_marks_what_is_gone_and_what_is_new(graph, calls, command):
    asked = [{"role": "user", "content": "how is the weather?"}]
    graph.take(calls(asked, "It rains in Bonn today."), calls(asked, "It snows in Bonn today."))
    a, b = graph.ask("SELECT node_id FROM conversation_branch_nodes WHERE parent_node_id IS NOT NULL ORDER BY 1")
    shown = command("diff", str(a["node_id"]), str(b["node_id"]))
    assert "It [-rains-]{+snows+} in Bonn" in shown or "It [-snows-]{+rains+} in Bonn" in shown
