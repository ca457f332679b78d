"""Scheduling: whatever the plan, the failures and the order in which steps end, each step ends exactly once."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.orchestration.orchestration import (
    Orchestrator,
    StepReport,
    add_usage,
    blocked,
    ready,
    synthesis_messages,
    worker_messages,
)
from regraft.domain.orchestration.plan import Plan, Subtask, problems_of
from regraft.domain.orchestration.rule import Rule

RULE = Rule(name="r", instructions="x", repair="{problems}")


def subtask(name, *needs, inputs=None):
    taken = tuple(inputs) if inputs is not None else ("prompt",)
    return Subtask(id=name, instruction=f"do {name}", inputs=taken, dependencies=needs, worker="w", acceptance="good")


@st.composite
def plans(draw):
    """Plans without circles, their subtasks named in any order."""
    size = draw(st.integers(1, 8))
    made = []
    for number in range(size):
        earlier = [f"s{each}" for each in range(number)]
        some = st.lists(st.sampled_from(earlier), unique=True, max_size=3) if earlier else st.just([])
        made.append(subtask(f"s{number}", *draw(some), inputs=["prompt", *draw(some)]))
    return Plan(tuple(draw(st.permutations(made))))


@given(plans(), st.data())
def test_every_step_ends_once_as_done_failed_or_blocked_and_never_starts_before_what_it_needs(plan, data):
    failing = data.draw(st.sets(st.sampled_from([each.id for each in plan.subtasks])))
    done, failed, started = set(), set(), set()
    running = []
    while True:
        for each in ready(plan, done, failed, started):
            assert each.id not in started
            assert each.needs <= done
            started.add(each.id)
            running.append(each.id)
        if not running:
            break
        ended = running.pop(data.draw(st.integers(0, len(running) - 1)))
        (failed if ended in failing else done).add(ended)
    lost = {each.id for each in blocked(plan, failed)}
    assert done | failed | lost == {each.id for each in plan.subtasks}
    assert not done & failed
    assert not lost & started


@given(plans())
def test_with_no_failure_every_step_is_done_and_none_is_blocked(plan):
    done = set()
    while found := ready(plan, done, ()):
        done |= {each.id for each in found}
    assert done == {each.id for each in plan.subtasks}
    assert blocked(plan, ()) == []


@given(plans(), st.data())
def test_what_is_blocked_does_not_depend_on_the_order_in_which_a_plan_names_its_steps(plan, data):
    failed = data.draw(st.sets(st.sampled_from([each.id for each in plan.subtasks])))
    other = Plan(tuple(data.draw(st.permutations(plan.subtasks))))
    assert {each.id for each in blocked(plan, failed)} == {each.id for each in blocked(other, failed)}


@given(plans())
def test_plans_made_without_circles_are_found_valid(plan):
    assert problems_of(plan, ("w",), 8) == []


def test_steps_that_need_nothing_of_one_another_start_together_in_the_plans_order():
    plan = Plan((subtask("b"), subtask("a"), subtask("c", "a")))
    assert [each.id for each in ready(plan, set(), set())] == ["b", "a"]
    assert [each.id for each in ready(plan, {"a"}, set(), {"b"})] == ["c"]


def test_a_worker_is_shown_its_inputs_by_name_and_nothing_else():
    step = subtask("s3", "s2", inputs=["prompt", "s1"])
    system, user = worker_messages(step, "the question", {"s1": "first", "s2": "second"})
    assert "good" in system["content"]
    assert user["content"] == "[the request]\nthe question\n\n[result of s1]\nfirst\n\n[the step]\ndo s3"


def test_the_last_call_sees_the_conversation_and_what_came_of_each_step_failures_too():
    one = Orchestrator(name="o", model="m", rule=RULE, workers={"w": "small"}, synthesis="Sum up.")
    plan = Plan((subtask("s1"), subtask("s2"), subtask("s3", "s2")))
    common = {"worker": "w", "model": "small"}
    reports = {
        "s1": StepReport(id="s1", status="done", result="42", **common),
        "s2": StepReport(id="s2", status="failed", error="HTTP 500: boom", **common),
        "s3": StepReport(id="s3", status="blocked", **common),
    }
    asked = [{"role": "user", "content": "why?"}]
    system, question, results = synthesis_messages(one, asked, plan, reports)
    assert system == {"role": "system", "content": "Sum up."}
    assert question == asked[0]
    assert "[s1] do s1\n42" in results["content"]
    assert "(this part failed: HTTP 500: boom)" in results["content"]
    assert "(this part blocked)" in results["content"]


def test_what_inner_calls_used_is_added_and_what_is_no_number_counts_nothing():
    usages = [{"prompt_tokens": 3, "completion_tokens": 2}, None, {"prompt_tokens": 4, "completion_tokens": "x"}]
    assert add_usage(usages) == {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}


def test_a_report_tells_a_client_everything_but_the_result():
    report = StepReport(
        id="s1",
        worker="w",
        model="m",
        status="done",
        attempts=2,
        turn_ids=(UUID(int=1),),
        seconds=1.23456,
        began_seconds=0.50001,
        result="x",
    )
    assert report.describe() == {
        "id": "s1",
        "worker": "w",
        "model": "m",
        "status": "done",
        "attempts": 2,
        "tool_calls": 0,
        "turn_ids": [str(UUID(int=1))],
        "error": None,
        "seconds": 1.235,
        "began_seconds": 0.5,
    }
