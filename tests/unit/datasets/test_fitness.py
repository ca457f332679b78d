"""Answers that are not whole, or say nothing, are not learned from; a recipe may ask for those cut at a limit."""

from __future__ import annotations

from datetime import datetime

import pytest

from regraft.domain.datasets.kinds import KINDS
from regraft.domain.datasets.kinds.kind import Candidates, Counts
from regraft.domain.datasets.messages import canonical_messages
from regraft.domain.datasets.recipe import recipe_hash
from regraft.domain.datasets.turns import RecordedTurn
from regraft.domain.errors import ConfigError
from regraft.infra.files.recipes import parse_recipe

SFT, DPO = ('name = "r"\nkind = "{}"\n{}'.format(kind, "{}") for kind in ("sft", "dpo"))
CUT = '[source]\nendings = ["finished", "tool_use", "cut"]\n'
CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
NOT_WHOLE = {
    "cut": "cut_answer",
    "filtered": "filtered_answer",
    "paused": "paused_answer",
    "failed": "not_finished",
    "ambiguous": "ambiguous_answer",
    "unknown": "unknown_ending",
}


def turn(ending="finished", content="Yes.", **more):
    answer = canonical_messages([{"role": "assistant", "content": content, **more}])
    history = canonical_messages([{"role": "user", "content": "?"}])
    return RecordedTurn(node_id="n", session_id="s", history=history, answer=answer, ending=ending)


def unfit(kind, recipe="", **turns):
    found = KINDS[kind].unfit(parse_recipe({"sft": SFT, "dpo": DPO}[kind].format(recipe)), turns)
    return found.reason if found else None


@pytest.mark.parametrize(("ending", "reason"), NOT_WHOLE.items())
def test_an_answer_that_is_not_whole_is_no_example_and_not_the_better_one(ending, reason):
    assert unfit("sft", answer=turn(ending)) == reason
    assert unfit("dpo", chosen=turn(ending), rejected=turn()) == reason


@pytest.mark.parametrize("ending", ["finished", "tool_use"])
def test_a_whole_answer_is_learned_from(ending):
    assert unfit("sft", answer=turn(ending)) is None
    assert unfit("dpo", chosen=turn(ending), rejected=turn(ending)) is None


def test_a_cut_answer_may_be_the_worse_one_and_the_better_one_where_a_recipe_asks_for_it():
    assert unfit("dpo", chosen=turn(), rejected=turn("cut")) is None
    assert unfit("dpo", CUT, chosen=turn("cut"), rejected=turn()) is None
    assert unfit("sft", CUT, answer=turn("cut")) is None
    assert unfit("sft", CUT, answer=turn("failed")) == "not_finished"


@pytest.mark.parametrize("content", ["", " \n\t"])
def test_an_answer_without_words_and_calls_is_no_answer(content):
    assert unfit("sft", answer=turn(content=content)) == "no_answer"
    assert unfit("dpo", chosen=turn(), rejected=turn(content=content)) == "no_answer"
    assert unfit("sft", answer=turn(content=content, tool_calls=[CALL])) is None


def unit(name, status="ok", reason="stop", worth=0.9, *, empty=False):
    scores = dict.fromkeys(("human_outcome", "outcome", "judge_outcome", "fidelity", "task_key"))
    scores |= dict.fromkeys(
        ("imported_human", "imported_outcome", "imported_judge", "imported_rank", "judge_source", "imported_judges")
    )
    return {
        **scores,
        "unit_id": name,
        "turn_id": name,
        "anchor": "here",
        "path_anchors": ["here"],
        "theme": "",
        "model": "m",
        "purpose": "chat",
        "turns": 1,
        "quality": worth,
        "started_at": datetime(2026, 1, 1),
        "node_status": status,
        "finish_reasons": ["stop", reason],
        "answer_empty": empty,
    }


def test_an_unfit_answer_does_not_take_the_place_of_a_fit_one():
    units = [
        unit("good", worth=0.6),
        unit("cut", reason="length"),
        unit("gave up", "interrupted", "insufficient_system_resource"),
        unit("odd", "unknown", "weird"),
        unit("unsure", "ambiguous"),
        unit("failed", "error", "none"),
        unit("empty", empty=True),
        unit("recorded before its ending was known", reason="abort"),
    ]
    counts = Counts()
    found = list(KINDS["sft"].plan(parse_recipe(SFT.format("")), Candidates(lambda: units, list, list), counts))
    assert [row.row_id for row in found] == ["good"]
    assert counts.refused == {
        "cut_answer": 1,
        "not_finished": 2,
        "unknown_ending": 1,
        "ambiguous_answer": 1,
        "no_answer": 2,
    }


def test_a_recipe_keeps_its_hash_unless_it_asks_for_other_endings():
    plain, same, other = (
        recipe_hash(parse_recipe(SFT.format(more)))
        for more in ("", '[source]\nendings = ["tool_use", "finished"]\n', CUT)
    )
    assert plain == same != other


def test_a_recipe_may_not_ask_for_answers_that_failed():
    with pytest.raises(ConfigError, match=r"source\.endings.*'finished', 'tool_use'.*'cut'"):
        parse_recipe(SFT.format('[source]\nendings = ["failed"]\n'))
