"""Replays through the real gateway, stream and ingest: grouped under their anchor, never run twice, of any node."""

from __future__ import annotations

from uuid import UUID

import pytest

from regraft.domain.errors import NotFoundError, UsageError
from regraft.domain.replay.job import Variant
from regraft.flows.replay import plans as flow
from regraft.infra.postgres.pool import connect
from support.messages import assistant, user


def test_replays_and_their_original_stand_under_one_anchor_numbered_from_zero(path):
    original, _, _ = path.call([user("hi")], temperature=0.5)
    variants = [Variant(), Variant(model="large"), Variant(sampling={"temperature": 1}), Variant(system="Be brief.")]
    counts = path.replay([path.node(original)], variants, samples=2)
    assert (counts.ran, counts.skipped, counts.failures) == (8, 0, [])
    group = path.group(original)
    assert [row["branch_index"] for row in group] == list(range(9))
    assert group[0]["turn_id"] == original
    assert {row["turn_id"] for row in group[1:]} == set(counts.turns)
    assert [row["is_replay"] for row in group] == [False] + [True] * 8
    kinds = {row["branch_kind"] for row in group[1:]}
    assert kinds == {"retry", "model_variant", "sampling_variant", "prompt_variant"}
    assert {row["purpose"] for row in group} == {"chat", "replay"}


def test_a_replay_asks_exactly_what_was_asked(path, model):
    odd = [{"role": "user", "content": "a\0\ud800 b \r\n"}, {**assistant(None), "refusal": None}, user("x")]
    turn, _, _ = path.call(
        odd, temperature=0.7, seed=3, stream=False, tools=[{"type": "function", "function": {"name": "f"}}]
    )
    path.replay([path.node(turn)], [Variant()])
    first, second = model.asked
    assert first.pop("stream") is False
    assert second == first


def test_a_replay_of_a_later_turn_stands_beside_it_and_not_beside_the_first(path):
    first, _, reply = path.call([user("hi")])
    said = reply["choices"][0]["message"]
    second, _, _ = path.call([user("hi"), said, user("more")])
    path.replay([path.node(second)], [Variant()], samples=2)
    assert [row["branch_index"] for row in path.group(second)] == [0, 1, 2]
    assert len(path.group(first)) == 1
    depths = path.ask("SELECT depth FROM conversation_branch_nodes ORDER BY depth")
    assert [row["depth"] for row in depths] == [0, 1, 2, 2, 2]


def test_a_node_that_a_replay_gave_can_be_replayed(path):
    original, _, _ = path.call([user("hi")])
    counts = path.replay([path.node(original)], [Variant(system="Be brief.")])
    path.replay([path.node(counts.turns[0])], [Variant(model="large")])
    assert [row["branch_index"] for row in path.group(original)] == [0, 1, 2]


def test_equal_answers_of_replays_are_one_node_with_its_runs(path, model):
    model.same = "the same"
    original, _, _ = path.call([user("hi")])
    path.replay([path.node(original)], [Variant()], samples=3)
    assert path.ask("SELECT runs FROM conversation_branch_nodes WHERE depth = 1") == [{"runs": 4}]
    assert [row["branch_index"] for row in path.group(original)] == [0, 1, 2, 3]


def test_a_root_and_an_unknown_node_cannot_be_replayed(path):
    turn, _, _ = path.call([user("hi")])
    path.node(turn)
    (root,) = path.ask("SELECT node_id FROM conversation_branch_nodes WHERE depth = 0")
    for node in (root["node_id"], UUID(int=1)):
        with pytest.raises(NotFoundError, match=str(node)):
            flow.prepare(path.dsn, [node], [Variant()])


# Never twice


def test_what_was_finished_is_not_run_again(path, model):
    original, _, _ = path.call([user("hi")])
    node = path.node(original)
    assert path.replay([node], [Variant(model="large")], samples=2).ran == 2
    asked = len(model.asked)
    counts = path.replay([node], [Variant(model="large")], samples=2)
    assert (counts.ran, counts.skipped, counts.turns) == (0, 2, [])
    assert len(model.asked) == asked
    more = path.replay([node], [Variant(model="large")], samples=3)
    assert (more.ran, more.skipped) == (1, 2)
    assert len(path.group(original)) == 4


def test_what_was_finished_is_run_again_when_that_is_asked(path, model):
    original, _, _ = path.call([user("hi")])
    node = path.node(original)
    path.replay([node], [Variant()])
    counts = path.replay([node], [Variant()], again=True)
    assert (counts.ran, counts.skipped) == (1, 0)
    assert [row["branch_index"] for row in path.group(original)] == [0, 1, 2]


def test_what_failed_is_run_again(path, model):
    original, _, _ = path.call([user("hi")])
    node = path.node(original)
    model.refuse = True
    failed = path.replay([node], [Variant()], samples=2)
    assert len(failed.failures) == 2
    assert all("503" in line for line in failed.failures)
    model.refuse = False
    counts = path.replay([node], [Variant()], samples=2)
    assert (counts.ran, counts.skipped, counts.failures) == (2, 0, [])
    assert [row["run_status"] for row in path.group(original)] == ["ok", "error", "error", "ok", "ok"]


# Any node is a root


@pytest.mark.parametrize(
    ("endpoint", "request_body"),
    [
        (
            "/v1/messages",
            {"model": "small", "max_tokens": 9, "system": "Be brief.", "messages": [{"role": "user", "content": "hi"}]},
        ),
        (
            "/v1/responses",
            {"model": "small", "instructions": "Be brief.", "input": "hi", "max_output_tokens": 9},
        ),
        ("/v1/completions", {"model": "small", "prompt": "hi", "max_tokens": 9}),
    ],
    ids=["anthropic", "responses", "legacy completions"],
)
def test_a_node_of_another_dialect_is_asked_the_same_again_or_as_a_chat(path, model, endpoint, request_body):
    turn = path.post(endpoint, request_body)
    node = path.node(turn)
    counts = path.replay([node], [Variant(), Variant(chat=True)])
    assert counts.failures == []
    assert model.paths[-2:] == [endpoint, "/v1/chat/completions"] or model.paths[-2:] == [
        "/v1/chat/completions",
        endpoint,
    ]
    by_path = dict(zip(model.paths[-2:], model.asked[-2:], strict=True))
    assert by_path[endpoint] == request_body
    chat = by_path["/v1/chat/completions"]
    assert not {"native", "item", "input", "instructions", "system", "prompt"} & chat.keys()
    assert {"role": "user", "content": "hi"} in chat["messages"]
    assert all(message.keys() == {"role", "content"} for message in chat["messages"])
    assert [row["branch_index"] for row in path.group(turn)] == [0, 1, 2]


def test_a_node_inside_a_tool_exchange_is_asked_with_the_call_and_its_result(path, model):
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        user("hi"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
    ]
    tools = [{"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "g"}}]
    turn, _, _ = path.call(messages, tools=tools)
    path.replay([path.node(turn)], [Variant(without_tools=("g",))])
    assert model.asked[-1]["messages"] == messages
    assert model.asked[-1]["tools"] == tools[:1]
    assert path.group(turn)[1]["branch_kind"] == "tool_variant"


def test_an_imported_node_without_a_known_model_needs_one(path):
    original, _, _ = path.call([user("hi")])
    node = path.node(original)
    with connect(path.dsn, autocommit=True) as connection:
        connection.execute("UPDATE pipeline_event_inbox SET model_requested = NULL")
    with pytest.raises(UsageError, match="--model"):
        flow.prepare(path.dsn, [node], [Variant()])
    assert path.replay([node], [Variant(model="large")]).failures == []


def test_a_replay_belongs_to_the_plan_that_is_named(path):
    original, _, _ = path.call([user("hi")])
    path.replay([path.node(original)], [Variant(plan="rule@2")])
    assert path.group(original)[1]["branch_kind"] == "taskify_variant"
