"""A plan is a pure value: nodes x variants x samples, each job with a fingerprint and the exact messages."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import UUID

import pytest

from regraft.domain.errors import UsageError
from regraft.domain.ids import NodeId, Number, SessionId, digest, parse_json
from regraft.domain.replay.job import Origin, Variant, one_spelling, plan

SYSTEM = {"role": "system", "content": "Be brief."}
HI = {"role": "user", "content": [{"type": "text", "text": "hi\0\ud800"}], "extra": Number("1.0")}
HELLO = {"role": "assistant", "content": None, "refusal": None, "reasoning_content": "hm"}
MORE = {"role": "user", "content": "more"}


def origin(number=1, messages=(SYSTEM, HI, HELLO, MORE), **more):
    return Origin(
        **{
            "node_id": NodeId(UUID(int=number)),
            "session_id": SessionId(UUID(int=7)),
            "context_id": digest(str(number).encode()),
            "messages": list(messages),
            "model": "small",
            "tools": {"tools": [{"type": "x"}], "tool_choice": "auto"},
            "sampling": {"temperature": Number("0.70"), "seed": 10},
            "other": {"stream": True, "stream_options": {"include_usage": True}, "user": "u"},
            **more,
        }
    )


def body(job):
    return parse_json(job.body)


def only(variant=None, **more):
    (job,) = plan([origin(**more)], [variant or Variant()], 1)
    return job


def test_a_plan_is_every_node_with_every_variant_and_every_sample():
    variants = [Variant(), Variant(model="large")]
    jobs = plan([origin(1), origin(2)], variants, 3)
    assert [(job.origin.node_id.int, job.variant.model, job.sample) for job in jobs] == [
        (node, model, sample) for node in (1, 2) for model in (None, "large") for sample in (0, 1, 2)
    ]
    assert len({job.fingerprint for job in jobs}) == 12


def test_the_messages_are_kept_exactly():
    assert body(only())["messages"] == [SYSTEM, HI, HELLO, MORE]


def test_everything_but_the_streaming_is_asked_again():
    assert body(only()) == {
        "model": "small",
        "messages": [SYSTEM, HI, HELLO, MORE],
        "tools": [{"type": "x"}],
        "tool_choice": "auto",
        "temperature": Number("0.70"),
        "seed": 10,
        "user": "u",
    }


def test_a_fingerprint_is_the_same_whenever_the_job_is_planned():
    assert only(Variant(model="x")).fingerprint == only(Variant(model="x")).fingerprint
    shuffled = origin(sampling={"seed": 10, "temperature": Number("0.70")})
    assert plan([shuffled], [Variant()], 1)[0].fingerprint == only().fingerprint


def test_a_fingerprint_does_not_depend_on_how_many_samples_are_asked():
    assert [job.fingerprint for job in plan([origin()], [Variant()], 2)] == [
        job.fingerprint for job in plan([origin()], [Variant()], 5)[:2]
    ]


def test_a_variant_that_changes_nothing_is_the_same_job():
    same = Variant(model="small", system=SYSTEM["content"], user="more", sampling={"seed": 10})
    assert only(same).fingerprint == only().fingerprint


@pytest.mark.parametrize(
    "variant",
    [
        Variant(model="large"),
        Variant(system="Be long."),
        Variant(system=""),
        Variant(user="less"),
        Variant(sampling={"temperature": 1}),
        Variant(sampling={"temperature": None}),
        Variant(sampling={"seed": 11}),
        Variant(sampling={"top_p": 1}),
    ],
)
def test_every_change_has_a_fingerprint_of_its_own(variant):
    assert only(variant).fingerprint != only().fingerprint


def test_another_context_has_another_fingerprint():
    assert only(context_id=digest(b"other")).fingerprint != only().fingerprint


def test_unseeded_samples_ask_the_same_and_have_fingerprints_of_their_own():
    jobs = plan([origin(sampling={})], [Variant()], 3)
    assert len({job.body for job in jobs}) == 1
    assert len({job.fingerprint for job in jobs}) == 3


def test_the_seed_counts_up_with_the_samples():
    assert [body(job)["seed"] for job in plan([origin()], [Variant()], 3)] == [10, 11, 12]
    assert [body(job)["seed"] for job in plan([origin()], [Variant(sampling={"seed": 5})], 3)] == [5, 6, 7]


def test_a_seed_that_is_no_integer_is_left_as_it_was():
    seed = Number("1.5")
    assert [body(job)["seed"] for job in plan([origin(sampling={"seed": seed})], [Variant()], 2)] == [seed, seed]


def test_a_setting_is_set_changed_or_removed():
    found = body(only(Variant(sampling={"temperature": None, "top_p": Number("0.9"), "seed": 1})))
    assert (found.get("temperature"), found["top_p"], found["seed"]) == (None, Number("0.9"), 1)
    assert "temperature" not in found


def test_a_system_prompt_replaces_every_instruction():
    messages = [SYSTEM, {"role": "developer", "content": "x"}, HI, SYSTEM, MORE]
    changed = body(only(Variant(system="New."), messages=messages))
    assert changed["messages"] == [{"role": "system", "content": "New."}, HI, MORE]


def test_an_empty_system_prompt_removes_it():
    assert body(only(Variant(system="")))["messages"] == [HI, HELLO, MORE]


def test_a_system_prompt_is_added_where_there_was_none():
    changed = body(only(Variant(system="New."), messages=[HI]))
    assert changed["messages"] == [{"role": "system", "content": "New."}, HI]


def test_the_last_user_message_is_the_one_that_is_edited():
    tool = {"role": "tool", "content": "42", "tool_call_id": "x"}
    changed = body(only(Variant(user="new"), messages=[HI, HELLO, MORE, HELLO, tool]))
    assert changed["messages"] == [HI, HELLO, {"role": "user", "content": "new"}, HELLO, tool]


def test_the_messages_of_the_origin_are_not_changed_by_a_plan():
    start = origin()
    plan([start], [Variant(system="New.", user="new", sampling={"seed": None})], 2)
    assert start == origin()


@pytest.mark.parametrize("samples", [0, -1])
def test_fewer_than_one_sample_is_a_mistake(samples):
    with pytest.raises(UsageError, match=str(samples)):
        plan([origin()], [Variant()], samples)


def test_a_user_edit_without_a_user_message_is_a_mistake():
    with pytest.raises(UsageError, match="no user message"):
        only(Variant(user="x"), messages=[SYSTEM])


def test_a_replay_that_would_ask_nothing_is_a_mistake():
    with pytest.raises(UsageError, match="leaves no messages"):
        only(Variant(system=""), messages=[SYSTEM])


def test_the_label_says_what_was_changed_and_which_job_it_was():
    job = plan([origin()], [Variant(model="large", sampling={"top_p": Number("0.5")})], 2)[1]
    assert json.loads(job.label()) == {
        "model": "large",
        "sampling": {"top_p": 0.5},
        "sample": 1,
        "fingerprint": job.fingerprint,
    }


def test_a_label_leaves_out_what_was_left_alone_and_keeps_what_was_emptied():
    assert Variant().describe() == {}
    assert Variant(system="").describe() == {"system": ""}
    assert json.loads(only().label()) == {"sample": 0, "fingerprint": only().fingerprint}


def test_no_nodes_or_no_variants_are_no_jobs():
    assert plan([], [Variant()], 1) == plan([origin()], [], 1) == []


def test_what_is_no_message_object_is_sent_again_as_it_was():
    assert body(only(Variant(user="x"), messages=["odd", None, HI]))["messages"] == [
        "odd",
        None,
        {"role": "user", "content": "x"},
    ]
    assert replace(origin(), messages=["odd"]).messages == ["odd"]


def test_numbers_that_are_equal_are_one_variant_and_one_job():
    spellings = [
        {"temperature": 0, "top_p": 1, "max_tokens": 100.0, "seed": 7},
        {"temperature": 0.0, "top_p": 1.0, "max_tokens": 100, "seed": 7.0},
        {"temperature": Number("-0.0"), "top_p": Number("1e0"), "max_tokens": Number("1e2"), "seed": Number("7.0")},
    ]
    variants = [Variant(sampling=one_spelling(each)) for each in spellings]
    assert len({job.fingerprint for job in plan([origin()], variants, 1)}) == 1
    assert only(variants[0]).body.count("0.0") == 1  # as --temperature 0 has always been asked
    assert {str(each.describe()) for each in variants} == {str(variants[0].describe())}
    assert only(Variant(sampling={"temperature": 0.1})).fingerprint != only(variants[0]).fingerprint


def test_a_sampling_value_that_is_no_number_or_of_an_unknown_setting_stays_as_it_is():
    given = {"temperature": True, "top_p": None, "stop": ["x"], "my_setting": 1.0, "seed": 0.5, "top_k": 2**70}
    assert one_spelling(given) == given
    assert isinstance(one_spelling(given)["my_setting"], float)


def test_a_stored_plan_keeps_the_spelling_that_it_was_made_with():
    stored = Variant.of({"sampling": {"temperature": 0}})
    assert '"temperature":0,' in only(stored).body.replace(" ", "")
