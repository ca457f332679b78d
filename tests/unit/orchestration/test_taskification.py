"""Plans of subtasks: how they are asked for, read and judged, and what two answers come to."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.errors import UsageError
from regraft.domain.orchestration.plan import PLAN, REPAIR, Plan, Subtask, judge, problems_of, read_plan
from regraft.domain.orchestration.prompt import prompt_of
from regraft.domain.orchestration.rule import Rule, ask, ask_again, rule_name, schema
from regraft.domain.orchestration.taskification import (
    Assignment,
    Attempt,
    plan_header,
    read_assignment,
    read_plan_header,
    settle,
    subject_of_prompt,
)

RULE = Rule(name="mine", instructions="Split it.", repair="Wrong:\n{problems}", max_subtasks=4)
ASSIGNMENT = Assignment(subject="prompt:1", rule_version=RULE.version, workers=("a", "b"), max_subtasks=4)
WORKERS = ("a", "b")


def said(*subtasks, **changed):
    return {
        "subtasks": [
            {
                "id": f"s{number}",
                "instruction": "do it",
                "inputs": ["prompt"],
                "dependencies": [],
                "worker": "a",
                "acceptance": "it is done",
                **each,
                **changed,
            }
            for number, each in enumerate(subtasks, 1)
        ]
    }


def names(*subtasks, limit=4, **changed):
    _, problems = judge(json.dumps(said(*subtasks, **changed)), WORKERS, limit)
    return [problem.name for problem in problems]


def test_a_plan_whose_subtasks_stand_side_by_side_or_in_a_row_has_no_problem():
    assert names({}, {"inputs": ["s1"]}, {"inputs": ["prompt", "s1"], "dependencies": ["s2"], "worker": "b"}) == []


@pytest.mark.parametrize(
    ("subtasks", "problem"),
    [
        ([], "no_subtask"),
        ([{}] * 5, "too_many_subtasks"),
        ([{"id": "x"}, {"id": "x"}], "duplicate_id"),
        ([{"id": "a b"}], "bad_id"),
        ([{"id": ""}], "bad_id"),
        ([{"id": "prompt"}], "reserved_id"),
        ([{"id": "synthesis"}], "reserved_id"),
        ([{"instruction": "  "}], "empty_instruction"),
        ([{"acceptance": ""}], "empty_acceptance"),
        ([{"instruction": "x" * 5000}], "too_long"),
        ([{"worker": "c"}], "unknown_worker"),
        ([{"inputs": ["s1"]}], "needs_itself"),
        ([{"inputs": ["s9"]}], "dangling_input"),
        ([{"dependencies": ["s9"]}], "dangling_dependency"),
        ([{"inputs": ["s2"]}, {"dependencies": ["s1"]}], "circle"),
    ],
)
def test_each_mistake_of_a_plan_has_a_name(subtasks, problem):
    assert problem in names(*subtasks)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("I would first look it up.", "not_json"),
        ('{"subtasks": [', "not_json"),
        ("[]", "wrong_shape"),
        ('{"steps": []}', "wrong_shape"),
        ('{"s1": {}}', "wrong_shape"),
        ('{"s1": null}', "no_subtask"),
        ("{}", "no_subtask"),
        ('{"subtasks": [7]}', "wrong_shape"),
        ('{"subtasks": [{"id": "s1"}]}', "wrong_shape"),
        (json.dumps(said({"inputs": "prompt"})), "wrong_shape"),
        (json.dumps(said({"id": 1})), "wrong_shape"),
    ],
)
def test_an_answer_that_is_no_plan_says_what_it_lacks(words, problem):
    assert problem in [each.name for each in judge(words, WORKERS, 4)[1]]


def test_a_plan_in_a_code_fence_is_read():
    plan, problems = read_plan(f"Here it is:\n```json\n{json.dumps(said({}))}\n```")
    assert problems == []
    assert plan is not None
    assert [each.id for each in plan.subtasks] == ["s1"]


def test_without_known_workers_a_plan_may_name_any():
    assert problems_of(Plan((Subtask(id="s1", instruction="x", acceptance="y", worker="whoever"),)), (), 4) == []


def test_the_version_of_a_rule_follows_its_words_and_its_schema_and_not_what_it_is_described_as():
    assert RULE.version == replace(RULE, description="other").version
    others = {replace(RULE, **change).version for change in ({"instructions": "x"}, {"repair": "{problems}"})}
    others |= {replace(RULE, max_subtasks=5).version, replace(RULE, name="other").version}
    assert len(others | {RULE.version}) == 5
    assert rule_name(RULE.version) == "mine"


@pytest.mark.parametrize("change", [{"name": "a b"}, {"repair": "again"}, {"max_subtasks": 0}, {"max_subtasks": 65}])
def test_a_rule_that_could_not_work_is_refused(change):
    with pytest.raises(UsageError):
        replace(RULE, **change)


def test_the_id_of_a_taskification_follows_subject_rule_and_generation_alone():
    same = replace(ASSIGNMENT, workers=("z",), max_subtasks=1, node_id=UUID(int=1))
    assert same.taskification_id == ASSIGNMENT.taskification_id
    others = [
        replace(ASSIGNMENT, generation=2),
        replace(ASSIGNMENT, subject="x"),
        replace(ASSIGNMENT, rule_version="x"),
    ]
    assert len({each.taskification_id for each in [ASSIGNMENT, *others]}) == 4


def test_an_assignment_survives_its_label():
    full = replace(ASSIGNMENT, generation=3, supersedes=UUID(int=5), node_id=UUID(int=6))
    assert read_assignment(full.label()) == full
    assert read_assignment(json.loads(ASSIGNMENT.label())) == ASSIGNMENT


@pytest.mark.parametrize("label", ["", "7", "{}", "nonsense", None, 3, '{"subject": "x", "workers": 1}'])
def test_a_label_of_something_else_is_no_assignment(label):
    assert read_assignment(label) is None


def test_the_plan_header_holds_the_taskification_and_the_step():
    assert read_plan_header(plan_header(UUID(int=7), "s1")) == (UUID(int=7), "s1")
    assert read_plan_header("plan 9 of mine") == (None, "")
    assert read_plan_header(None) == (None, "")


def test_a_model_is_held_to_the_ids_and_workers_that_a_plan_may_have():
    request = ask(RULE, "m", "Do this.", {"a": "knows all", "b": ""}, 2)
    steps = request["response_format"]["json_schema"]["schema"]
    second = steps["properties"]["s2"]["anyOf"][0]
    assert second["properties"]["worker"]["enum"] == ["a", "b"]
    assert second["properties"]["inputs"]["items"]["enum"] == ["prompt", "s1"]
    assert set(second["required"]) == set(second["properties"])
    assert steps["properties"]["s2"]["anyOf"][1] == {"type": "null"}
    assert request["messages"][-1] == {"role": "user", "content": "Do this."}
    assert "a (knows all), b" in request["messages"][0]["content"]
    assert "enum" not in schema((), 2)["properties"]["s1"]["properties"]["worker"]


def test_what_the_schema_allows_has_no_circle_no_double_id_and_no_unknown_worker():
    """Every step takes all that it may: the worst that a server which keeps to the schema can give."""
    form = schema(WORKERS, 4)["properties"]
    steps = {name: each.get("anyOf", [each])[0]["properties"] for name, each in form.items()}
    answer = {
        name: {
            "instruction": "x",
            "inputs": step["inputs"]["items"]["enum"],
            "dependencies": step["dependencies"]["items"]["enum"] if "dependencies" in step else [],
            "worker": step["worker"]["enum"][-1],
            "acceptance": "y",
        }
        for name, step in steps.items()
    }
    assert judge(json.dumps(answer), WORKERS, 4)[1] == []


def test_steps_that_are_not_needed_are_null_in_an_answer():
    answer = {"s1": {**said({})["subtasks"][0], "id": "ignored"}, "s2": None}
    plan, problems = judge(json.dumps(answer), WORKERS, 4)
    assert problems == []
    assert plan is not None
    assert [each.id for each in plan.subtasks] == ["s1"]


def test_the_second_request_shows_the_answer_and_names_its_problems():
    request = ask(RULE, "m", "Do this.", {}, 2)
    again = ask_again(request, RULE, "nonsense", judge("nonsense", (), 2)[1])
    assert again["messages"][:2] == request["messages"]
    assert again["messages"][2] == {"role": "assistant", "content": "nonsense"}
    assert again["messages"][3]["content"] == "Wrong:\n- the answer is not a JSON object"


GOOD, BAD = json.dumps(said({})), json.dumps(said({"worker": "c"}))


def attempt(step, text, number):
    return Attempt(step, UUID(int=number), text, "" if text else "HTTP 503")


def test_a_valid_first_answer_is_a_plan_at_once():
    result = settle(ASSIGNMENT, [attempt(PLAN, GOOD, 1)], finished=False)
    assert result is not None
    assert (result.status, result.problems, result.turn_ids) == ("planned", (), (UUID(int=1),))


def test_a_valid_second_answer_is_a_repaired_plan_that_remembers_why():
    result = settle(ASSIGNMENT, [attempt(PLAN, BAD, 1), attempt(REPAIR, GOOD, 2)], finished=False)
    assert result is not None
    assert result.status == "repaired"
    assert result.problems == ("plan: unknown_worker: s1 is for 'c'; the workers are a, b",)
    assert result.turn_ids == (UUID(int=1), UUID(int=2))


def test_two_bad_answers_are_no_plan():
    result = settle(ASSIGNMENT, [attempt(PLAN, BAD, 1), attempt(REPAIR, "no", 2)], finished=False)
    assert result is not None
    assert (result.status, result.plan) == ("failed", None)
    assert [problem.split(":")[0] for problem in result.problems] == ["plan", "repair"]


def test_a_bad_first_answer_waits_for_the_second_until_none_will_come():
    assert settle(ASSIGNMENT, [attempt(PLAN, BAD, 1)], finished=False) is None
    result = settle(ASSIGNMENT, [attempt(PLAN, BAD, 1)], finished=True)
    assert result is not None
    assert result.status == "failed"


def test_a_call_that_failed_may_be_asked_again_as_the_same_step():
    result = settle(ASSIGNMENT, [attempt(PLAN, None, 1), attempt(PLAN, GOOD, 2)], finished=False)
    assert result is not None
    assert result.status == "planned"
    assert result.problems == ("plan: no_answer: HTTP 503",)


def test_the_prompt_is_the_last_user_message_with_what_was_said_before():
    assert prompt_of([{"role": "user", "content": "hi"}]) == "hi"
    parts = [{"type": "text", "text": "more"}, {"type": "image_url"}]
    conversation = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None},
        {"role": "user", "content": parts},
    ]
    assert prompt_of(conversation) == "Said before:\nsystem: Be brief.\nuser: hi\n\nThe request:\nmore"


@pytest.mark.parametrize(
    "messages", [[], [{"role": "system", "content": "x"}], [{"role": "user", "content": " "}], [7]]
)
def test_a_conversation_that_asks_nothing_cannot_be_taskified(messages):
    with pytest.raises(UsageError):
        prompt_of(messages)


def test_the_subject_of_a_prompt_is_its_tenants_own():
    assert subject_of_prompt("a", "x\ud800") == subject_of_prompt("a", "x\ud800")
    assert subject_of_prompt("a", "x") != subject_of_prompt("b", "x")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
fields = ("id", "instruction", "inputs", "dependencies", "worker", "acceptance")
subtask_like = st.fixed_dictionaries({}, optional=dict.fromkeys(fields, json_values))


@given(
    st.text()
    | json_values.map(json.dumps)
    | st.lists(subtask_like | json_values, max_size=4).map(lambda subtasks: json.dumps({"subtasks": subtasks}))
)
def test_whatever_a_model_says_is_judged_and_nothing_without_a_problem_lacks_what_a_plan_needs(text):
    plan, problems = judge(text, WORKERS, 4)
    assert plan is not None or problems
    if plan is not None and not problems:
        ids = {each.id for each in plan.subtasks}
        assert 1 <= len(ids) == len(plan.subtasks) <= 4
        assert all(each.needs <= ids and each.worker in WORKERS and each.instruction for each in plan.subtasks)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("last", [(), ("s0",)], ids=["a chain", "a circle"])
def test_a_plan_of_very_many_steps_that_wait_for_one_another_is_checked_in_linear_time(last):
    count = 50_000
    steps = [
        Subtask(id=f"s{place}", instruction="do", dependencies=(f"s{place + 1}",), worker="w", acceptance="done")
        for place in range(count - 1)
    ]
    steps.append(Subtask(id=f"s{count - 1}", instruction="do", dependencies=last, worker="w", acceptance="done"))
    found = {problem.name for problem in problems_of(Plan(tuple(steps)), ["w"], count)}
    assert found == ({"circle"} if last else set())
