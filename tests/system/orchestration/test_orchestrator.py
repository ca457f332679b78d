"""``orchestrator/NAME`` through the real gateway, from the official client: planned, carried out, captured."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time

import openai
import pytest

from regraft.infra.config.tool_server import ToolServerSection
from regraft.infra.files.keys import KeyStore
from support.orchestrator_crew import QUESTION, Crew, ask, captured, running, step, whole
from support.scripted_upstream import Pause, Script, plain
from support.tool_server import PROGRAM


def test_the_official_client_gets_one_answer_made_of_a_plan_that_workers_carried_out(tmp_path):
    crew = Crew()
    with running(tmp_path, crew) as (client, _):
        answer = ask(client, temperature=0.5)
    assert answer.choices[0].message.content == "Both are good."
    assert answer.model == "orchestrator/team"
    assert answer.usage.prompt_tokens == 50
    told = answer.model_extra["regraft"]
    assert told["plan"]["status"] == "planned"
    assert told["usage_is_sum"] is True
    assert [(each["id"], each["status"], each["model"]) for each in told["steps"]] == [
        ("s1", "done", "small"),
        ("s2", "done", "small"),
        ("s3", "done", "small"),
    ]
    last = crew.of("worker")[-1]["messages"][1]["content"]
    assert "[result of s1]\nresult of <do s1>" in last
    assert "[the request]\nCompare the two." in last
    synthesis = crew.of("synthesis")[0]
    assert synthesis["temperature"] == 0.5
    assert synthesis["messages"][1] == QUESTION[0]
    assert "result of <do s3>" in synthesis["messages"][2]["content"]


def test_a_streamed_answer_comes_in_pieces_and_ends_with_what_became_of_each_step(tmp_path):
    with running(tmp_path, Crew()) as (client, _):
        chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))
    assert [chunk.choices[0].delta.content for chunk in chunks if chunk.choices] == ["", "Both ", "are ", "good.", None]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    ending = chunks[-2]
    assert ending.choices[0].finish_reason == "stop"
    assert [each["status"] for each in ending.model_extra["regraft"]["steps"]] == ["done"] * 3
    assert (chunks[-1].choices, chunks[-1].usage.prompt_tokens) == ([], 50)


def test_the_list_of_models_names_the_orchestrators(tmp_path):
    with running(tmp_path, Crew()) as (client, _):
        assert [model.id for model in client.models.list()] == ["orchestrator/team", "small"]


def test_a_step_that_fails_is_told_and_what_needs_it_is_left_out(tmp_path):
    crew = Crew()
    boom = plain(500, b'{"error":{"message":"out of memory"}}')
    crew.worker = lambda asked: boom if "do s1" in asked["messages"][1]["content"] else None
    with running(tmp_path, crew, retries=1) as (client, _):
        chunks = list(ask(client, stream=True))
    steps = {each["id"]: each for each in chunks[-1].model_extra["regraft"]["steps"]}
    assert steps["s1"]["status"] == "failed"
    assert steps["s1"]["error"] == "HTTP 500: out of memory"
    assert steps["s1"]["attempts"] == len(steps["s1"]["turn_ids"]) == 2
    assert (steps["s2"]["status"], steps["s3"]["status"]) == ("done", "blocked")
    assert steps["s3"]["error"] == "it needs s1"
    told = crew.of("synthesis")[0]["messages"][-1]["content"]
    assert "(this part failed: HTTP 500: out of memory)" in told
    kept = captured(tmp_path)
    assert [exchange.status for exchange in kept["s1"]] == [500, 500]
    assert [str(exchange.event_id) for exchange in kept["s1"]] == steps["s1"]["turn_ids"]
    assert "s3" not in kept


def test_where_every_step_is_required_the_first_failure_ends_them_all(tmp_path):
    crew = Crew([step("s1"), step("s2")])

    def worker(asked):
        if "do s1" in asked["messages"][1]["content"]:
            return Script((Pause(0.2), *plain(400, b'{"error":{"message":"no such model"}}').steps))
        return Script((Pause(60.0), *whole("late").steps))

    crew.worker = worker
    with running(tmp_path, crew, on_failure="cancel") as (client, _), pytest.raises(openai.APIStatusError) as failed:
        ask(client)
    assert failed.value.status_code == 502
    assert "the step s1 failed: HTTP 400: no such model" in failed.value.message
    steps = {each["id"]: each["status"] for each in failed.value.response.json()["regraft"]["steps"]}
    assert steps == {"s1": "failed", "s2": "cancelled"}
    kept = captured(tmp_path)
    assert [exchange.cut for exchange in kept["s2"]] == ["client"]
    assert kept["answer"][0].status == 502
    assert "synthesis" not in kept


def test_a_failure_in_the_middle_of_a_stream_reaches_the_client_as_an_error(tmp_path):
    crew = Crew()
    crew.worker = lambda asked: plain(503, b"{}")
    wrong = pytest.raises(openai.APIError, match=r"No answer was made: the step s[12] failed: HTTP 503")
    with running(tmp_path, crew) as (client, _), wrong:
        list(ask(client, stream=True))
    (answer,) = captured(tmp_path)["answer"]
    assert (answer.status, answer.cut) == (200, "")
    assert b"orchestration_failed" in answer.response_body


def test_a_client_that_leaves_takes_all_inner_calls_with_it_and_they_are_kept_as_far_as_they_got(tmp_path):
    crew = Crew([step("s1"), step("s2"), step("s3")])
    crew.worker = lambda asked: (
        None if "do s1" in asked["messages"][1]["content"] else Script((Pause(30.0), *whole("late").steps))
    )
    body = json.dumps({"model": "orchestrator/team", "messages": QUESTION, "stream": True}).encode()
    with running(tmp_path, crew) as (_, gateway):
        sock = gateway.raw(body)
        got = b""
        while b": s1 done" not in got:
            got += sock.recv(65536)
        sock.close()
        deadline = time.monotonic() + 10
        while gateway.metrics().get('regraft_gateway_cuts_total{by="client"}', 0) < 3:
            assert time.monotonic() < deadline, "the inner calls went on"
            time.sleep(0.02)
    kept = captured(tmp_path)
    assert {name: [each.cut for each in calls] for name, calls in kept.items()} == {
        "plan": [""],
        "s1": [""],
        "s2": ["client"],
        "s3": ["client"],
        "answer": ["client"],
    }
    assert b": s1 done" in kept["answer"][0].response_body


def test_a_step_that_takes_too_long_fails_and_its_call_is_cut(tmp_path):
    crew = Crew([step("s1"), step("s2")])
    crew.worker = lambda asked: (
        Script((Pause(30.0), *whole("late").steps)) if "do s2" in asked["messages"][1]["content"] else None
    )
    with running(tmp_path, crew, timeout=0.5) as (client, _):
        steps = {each["id"]: each for each in ask(client).model_extra["regraft"]["steps"]}
    assert (steps["s1"]["status"], steps["s2"]["status"]) == ("done", "failed")
    assert steps["s2"]["error"] == "no result in 0.5 s"
    assert captured(tmp_path)["s2"][0].cut == "client"


def test_no_more_steps_run_at_once_than_allowed(tmp_path):
    crew = Crew([step(f"s{number}") for number in range(1, 6)])
    inside, most = [0], [0]

    def worker(asked):
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        threading.Timer(0.1, lambda: inside.__setitem__(0, inside[0] - 1)).start()
        return Script((Pause(0.12), *whole("ok").steps))

    crew.worker = worker
    with running(tmp_path, crew, concurrency=2) as (client, _):
        ask(client)
    assert most[0] == 2


# Plans that are not valid


def test_a_plan_with_a_mistake_is_asked_for_again_with_the_mistake_named(tmp_path):
    crew = Crew([step("s1", "s9")], [step("s1")])
    with running(tmp_path, crew) as (client, _):
        told = ask(client).model_extra["regraft"]["plan"]
    assert told["status"] == "repaired"
    assert told["problems"] == ["plan: dangling_input: s1 takes 's9', which is not a subtask"]
    assert len(told["turn_ids"]) == 2
    again = crew.of("taskify")[1]["messages"]
    assert again[-2]["role"] == "assistant"
    assert "s1 takes 's9', which is not a subtask" in again[-1]["content"]
    kept = captured(tmp_path)
    assert [len(kept[name]) for name in ("plan", "repair")] == [1, 1]


def test_without_a_plan_the_request_is_answered_as_it_is_and_the_client_is_told(tmp_path):
    crew = Crew("I cannot plan.")
    with running(tmp_path, crew) as (client, _):
        answer = ask(client)
    assert answer.choices[0].message.content == "Both are good."
    told = answer.model_extra["regraft"]
    assert (told["plan"]["status"], told["steps"]) == ("failed", [])
    assert crew.of("synthesis")[0]["messages"] == QUESTION


# Requests that cannot be answered


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"model": "orchestrator/nobody"}, 404),
        ({"n": 2}, 400),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, 400),
        ({"messages": [{"role": "system", "content": "x"}]}, 400),
        ({"messages": []}, 400),
    ],
)
def test_a_request_that_no_orchestrator_can_answer_is_refused_in_the_apis_words(tmp_path, more, status):
    with running(tmp_path, Crew()) as (client, _), pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(**{"model": "orchestrator/team", "messages": QUESTION, **more})
    assert refused.value.status_code == status
    assert captured(tmp_path) == {}


def test_only_chat_completions_are_orchestrated(tmp_path):
    only = pytest.raises(openai.BadRequestError, match="answers /v1/chat/completions only")
    with running(tmp_path, Crew()) as (client, _), only:
        client.responses.create(model="orchestrator/team", input="hi")


def test_a_client_that_keeps_its_call_out_of_the_record_keeps_all_of_it_out(tmp_path):
    with running(tmp_path, Crew()) as (client, _):
        ask(client, extra_headers={"X-Regraft-Capture": "off"})
        ask(client, store=False)
    assert captured(tmp_path) == {}


def test_two_calls_at_once_do_not_meet(tmp_path):
    crew = Crew()
    crew.worker = lambda asked: Script((Pause(0.1), *whole(asked["messages"][1]["content"]).steps))

    async def both(port):
        async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="k") as client:
            return await asyncio.gather(
                *(
                    client.chat.completions.create(
                        model="orchestrator/team", messages=[{"role": "user", "content": f"question {number}"}]
                    )
                    for number in range(4)
                )
            )

    with running(tmp_path, crew) as (_, gateway):
        answers = asyncio.run(both(gateway.settings.port))
    assert len({answer.model_extra["regraft"]["taskification_id"] for answer in answers}) == 4
    for synthesis in crew.of("synthesis"):
        own = synthesis["messages"][1]["content"]
        others = {f"question {number}" for number in range(4)} - {own}
        assert own in synthesis["messages"][2]["content"]
        assert not any(other in synthesis["messages"][2]["content"] for other in others)


def test_inner_calls_bear_the_clients_key_and_are_its_tenants(tmp_path):
    keys = KeyStore(tmp_path / "keys.json")
    secret = keys.create("alice", scope="team-a")[1]
    with running(tmp_path, Crew(), keys=keys) as (client, _):
        assert ask(client.with_options(api_key=secret)).choices[0].message.content == "Both are good."
    kept = captured(tmp_path)
    assert set(kept) == {"plan", "s1", "s2", "s3", "synthesis", "answer"}
    assert {each.scope for calls in kept.values() for each in calls} == {"team-a"}


def test_a_key_that_may_ask_the_orchestrator_alone_is_told_why_that_is_not_enough(tmp_path):
    keys = KeyStore(tmp_path / "keys.json")
    secret = keys.create("bob", models=("orchestrator/*",))[1]
    with running(tmp_path, Crew(), keys=keys) as (client, _):
        with pytest.raises(openai.APIStatusError, match="HTTP 403: This key may not use this model"):
            ask(client.with_options(api_key=secret))
        with pytest.raises(openai.AuthenticationError):
            ask(client)
    assert set(captured(tmp_path)) == {"answer"}


# Tools


def test_a_worker_may_use_the_tools_of_a_server_and_goes_on_with_what_they_say(tmp_path):
    crew = Crew([step("s1")])
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 2, "b": 3}'}}

    def worker(asked):
        if asked["messages"][-1]["role"] == "tool":
            return whole(f"the sum is {asked['messages'][-1]['content']}")
        return whole({"role": "assistant", "content": None, "tool_calls": [call]})

    crew.worker = worker
    server = ToolServerSection(command=sys.executable, args=[PROGRAM, "stdio"])
    with running(tmp_path, crew, {"sums": server}, tools=("sums",)) as (client, _):
        (told,) = ask(client).model_extra["regraft"]["steps"]
    assert (told["status"], told["tool_calls"], told["attempts"]) == ("done", 1, 2)
    assert "add" in [tool["function"]["name"] for tool in crew.of("worker")[0]["tools"]]
    assert "the sum is 5" in crew.of("synthesis")[0]["messages"][-1]["content"]


def test_a_worker_that_never_stops_asking_for_tools_fails(tmp_path):
    crew = Crew([step("s1"), step("s2")])
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    endless = whole({"role": "assistant", "content": None, "tool_calls": [call]})
    crew.worker = lambda asked: endless if "do s1" in asked["messages"][1]["content"] else None
    server = ToolServerSection(command=sys.executable, args=[PROGRAM, "stdio"])
    with running(tmp_path, crew, {"sums": server}, tools=("sums",)) as (client, _):
        told, _ = ask(client).model_extra["regraft"]["steps"]
    assert told["status"] == "failed"
    assert told["error"] == "The worker still asked for tools after 8 rounds"
