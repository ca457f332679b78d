"""Variants in words, and their samples as a distribution."""

from __future__ import annotations

import random
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.ids import Number, digest
from regraft.domain.replay.comparison import AS_ASKED, Sample, changes_in_words, distributions, in_words, variant_of
from regraft.domain.replay.job import Variant

ASKED = {"model": "m", "system": b"s", "user": b"u", "tools": b"t", "sampling": {"temperature": Number("0.5")}}


def sample(number, text="yes", *, variant="a", status="ok", **more):
    answered = text is not None
    return Sample(
        turn_id=UUID(int=number),
        variant=digest(variant.encode()),
        words=variant,
        model="m",
        model_snapshot_id="m@1",
        status=status,
        text=text or "",
        projection=digest(text.encode()) if answered else None,
        seconds=float(number),
        **more,
    )


def test_samples_of_one_variant_differ_in_their_seed_alone():
    seeded = variant_of(**{**ASKED, "sampling": {"temperature": Number("0.5"), "seed": 7}})
    assert variant_of(**ASKED) == seeded
    others = [
        {"model": "n"},
        {"system": b"x"},
        {"user": b"x"},
        {"tools": b"x"},
        {"sampling": {"temperature": 1}},
        {"plan": "p"},
        {"superseded": True},
    ]
    assert len({variant_of(**{**ASKED, **each}) for each in others} | {seeded}) == len(others) + 1


@pytest.mark.parametrize(
    ("config", "label", "words"),
    [
        ({}, None, AS_ASKED),
        ({"sampling": {"seed": {"from": 1, "to": 2}}}, None, AS_ASKED),
        ({"model": {"from": "m", "to": "large"}}, None, "model large"),
        (
            {"sampling": {"temperature": {"from": None, "to": 1}, "top_p": {"from": 1, "to": None}}},
            None,
            "temperature 1, top_p unset",
        ),
        ({"prompt": {"system": True}}, {"system": "Be  brief."}, "system prompt “Be brief.”"),
        ({"prompt": {"system": True}}, {"system": ""}, "no system prompt"),
        ({"prompt": {"user": True}}, {"user": {"characters": 900}}, "another user message"),
        ({"tools": {"added": ["a"], "removed": ["b"], "changed": ["c"]}}, None, "tools +a -b ~c"),
        ({"taskify": {"from": None, "to": "p"}, "model": {"to": "n"}}, None, "plan p, model n"),
    ],
)
def test_a_variant_says_what_it_changed(config, label, words):
    assert in_words(config, label) == words


def test_agreement_is_the_share_of_the_commonest_answer_among_those_that_there_are():
    found = distributions([sample(1, "a"), sample(2, "b"), sample(3, "b"), sample(4, None, status="error")])
    assert len(found) == 1
    one = found[0]
    assert (one.samples, one.answers, one.distinct, one.commonest) == (4, 3, 2, UUID(int=2))
    assert one.agreement == pytest.approx(2 / 3)
    assert (one.errors, one.refusals, one.seconds, one.seconds_median) == (0.25, 0.0, 2.5, 2.5)


def test_a_variant_without_answers_has_no_agreement_and_no_length():
    (one,) = distributions([sample(1, None, status="error")])
    assert (one.agreement, one.commonest, one.length, one.length_spread, one.errors) == (None, None, None, None, 1.0)


def test_refused_and_filtered_answers_are_refusals_and_cut_ones_are_told_apart():
    statuses = ["refused", "filtered", "interrupted", "ok"]
    (one,) = distributions([sample(n, status=status) for n, status in enumerate(statuses)])
    assert (one.refusals, one.cut, one.errors) == (0.5, 0.25, 0.0)


def test_what_nobody_told_is_left_out_of_a_mean_and_a_cost_is_a_sum():
    told = [sample(1, completion_tokens=4, cost=0.5, reward=1.0), sample(2), sample(3, completion_tokens=8, cost=0.25)]
    (one,) = distributions(told)
    assert (one.completion_tokens, one.cost, one.reward, one.rewarded, one.prompt_tokens) == (6, 0.75, 1.0, 1, None)


@st.composite
def many(draw):
    return [
        sample(
            number,
            draw(st.sampled_from(["x", "yy", "zzz", None])),
            variant=draw(st.sampled_from("abc")),
            status=draw(st.sampled_from(["ok", "error", "refused", "interrupted"])),
        )
        for number in range(1, draw(st.integers(1, 20)) + 1)
    ]


@given(many())
def test_every_sample_is_in_one_variant_and_shares_are_shares(samples):
    found = distributions(samples)
    assert sorted(turn for one in found for turn in one.turn_ids) == [each.turn_id for each in samples]
    for one in found:
        assert one.distinct <= one.answers <= one.samples
        assert 0 <= one.refusals + one.errors + one.cut <= 1
        assert one.agreement is None or 1 / one.distinct <= one.agreement + 1e-9 <= 1 + 2e-9


@given(many(), st.randoms())
def test_figures_do_not_depend_on_the_order_of_samples(samples, chance):
    shuffled = list(samples)
    random.Random(chance.random()).shuffle(shuffled)
    for one in distributions(samples):
        other = next(each for each in distributions(shuffled) if each.variant == one.variant)
        assert (other.samples, other.distinct, other.agreement) == (one.samples, one.distinct, one.agreement)
        assert other.length == pytest.approx(one.length) if one.length is not None else other.length is None


def test_samples_of_equal_figures_have_no_spread():
    (one,) = distributions([sample(1), replace(sample(2), seconds=1.0)])
    assert (one.length, one.length_spread, one.agreement) == (3.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("variant", "told"),
    [
        (Variant(), AS_ASKED),
        (Variant(model="large", sampling={"temperature": 0.2, "seed": 7}), "model large, temperature 0.2, seed 7"),
        (Variant(system="", user="Why?"), "no system prompt, user message “Why?”"),
        (Variant(tools=[{"name": "look"}], without_tools=("buy",)), "tools +look -buy"),
        (Variant(plan="p", chat=True, sampling={"top_p": None}), "plan p, top_p unset, as a chat"),
    ],
)
def test_what_a_replay_will_change_is_told_in_words(variant, told):
    assert changes_in_words(variant.describe()) == told
