"""Estimates of a replay before any call."""

from __future__ import annotations

from uuid import UUID

from regraft.domain.ids import Digest, NodeId, SessionId
from regraft.domain.replay.budget import Price, TokenSpend
from regraft.domain.replay.job import Origin, Variant, plan
from regraft.domain.replay.preview import preview

ORIGIN = Origin(
    node_id=NodeId(UUID(int=1)),
    session_id=SessionId(UUID(int=2)),
    context_id=Digest(b"c" * 32),
    messages=[{"role": "user", "content": "hi"}],
    model="small",
    tools={},
    sampling={},
    other={},
    prompt_tokens=100,
    completion_tokens=20,
)
PRICES = {"small": Price(prompt=1.0, completion=2.0)}


def test_jobs_tokens_and_cost_are_told_whole_and_by_variant() -> None:
    jobs = plan([ORIGIN], [Variant(), Variant(sampling={"max_tokens": 50})], 3)
    found = preview(jobs, PRICES)
    assert (found.jobs, found.tokens) == (6, TokenSpend(600, 210))
    assert found.cost == (600 + 2 * 210) / 1e6
    assert (found.prompts_estimated, found.answers_without_limit, found.unpriced) == (0, 3, ())
    assert [(each.words, each.jobs, each.tokens) for each in found.variants] == [
        ("as it was asked", 3, TokenSpend(300, 60)),
        ("max_tokens 50", 3, TokenSpend(300, 150)),
    ]


def test_a_model_without_a_price_leaves_the_cost_open() -> None:
    found = preview(plan([ORIGIN], [Variant(), Variant(model="large")], 1), PRICES)
    assert (found.cost, found.unpriced) == (None, ("large",))
    assert [each.cost for each in found.variants] == [(100 + 2 * 20) / 1e6, None]


def test_a_changed_prompt_is_estimated_by_its_characters() -> None:
    found = preview(plan([ORIGIN], [Variant(system="x" * 4000)], 1), {})
    assert found.prompts_estimated == 1
    assert 1000 <= found.tokens.prompt < 1100


def test_nothing_to_do_costs_nothing() -> None:
    found = preview([], PRICES)
    assert (found.jobs, found.tokens, found.cost, found.variants) == (0, TokenSpend(), None, ())
