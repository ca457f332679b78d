"""An experiment file says which nodes, which variants, for how much; what is unknown in it is named with its place."""

from __future__ import annotations

import json
import re
from uuid import UUID

import pytest

from regraft.domain.errors import ConfigError, UsageError
from regraft.domain.ids import NodeId, SessionId, digest
from regraft.domain.replay.budget import Budget, Price, TokenSpend, estimate
from regraft.domain.replay.experiment import Experiment, Query, grid, read_tools
from regraft.domain.replay.job import Origin, Variant, plan
from regraft.infra.files.experiments import parse_experiment


def origin(**more):
    return Origin(
        **{
            "node_id": NodeId(UUID(int=1)),
            "session_id": SessionId(UUID(int=7)),
            "context_id": digest(b"c"),
            "messages": [{"role": "user", "content": "hi"}],
            "model": "small",
            "tools": {},
            "sampling": {},
            "other": {},
            **more,
        }
    )


def parsed(text, files=None):
    return parse_experiment(text, "e.toml", lambda name: (files or {})[name])


def test_a_file_gives_nodes_variants_and_limits():
    found = parsed(
        """
        [experiment]
        name = "cooler"
        theme = "t"
        samples = 4
        concurrency = 8
        budget_tokens = 200_000
        budget_money = 1.5
        [nodes]
        theme = "support"
        outcome_below = 0.5
        pivot = true
        limit = 3
        [[variant]]
        model = "large"
        temperature = 0.2
        [[variant]]
        system_file = "s.txt"
        tools_file = "t.json"
        without_tools = ["g"]
        """,
        {"s.txt": "Be kind.", "t.json": '[{"name": "f", "parameters": {}}]'},
    )
    assert found.query == Query(themes=("support",), outcome_below=0.5, pivot=True, limit=3)
    assert (found.name, found.theme, found.samples, found.concurrency) == ("cooler", "t", 4, 8)
    assert (found.budget_tokens, found.budget_money) == (200_000, 1.5)
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    assert list(found.variants) == [
        Variant(model="large", sampling={"temperature": 0.2}),
        Variant(system="Be kind.", tools=[tool], without_tools=("g",)),
    ]


def test_a_grid_is_each_with_each_and_one_model_stands_together():
    found = parsed('[nodes]\nids = ["abc123"]\n[grid]\nmodel = ["a", "b"]\ntemperature = [0, 1]\nseed = 5')
    assert found.nodes == ("abc123",)
    assert [(v.model, v.sampling["temperature"], v.sampling["seed"]) for v in found.variants] == [
        ("a", 0, 5),
        ("a", 1, 5),
        ("b", 0, 5),
        ("b", 1, 5),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[nodes]\nthme = 'x'", "nodes.thme is unknown. Did you mean nodes.theme?"),
        ("[nodez]", "nodez is unknown. Did you mean nodes?"),
        (
            "[nodes]\ntheme = 'x'\n[[variant]]\n[[variant]]\ntemprature = 1",
            "variant[1].temprature is unknown. Did you mean variant[1].temperature?",
        ),
        ("[nodes]\ntheme = 'x'\n[grid]\ntemperature = ['hot']", "grid.temperature[0] must be a number, not 'hot'."),
        ("[nodes]\ntheme = 'x'\n[grid]\nseed = 1.5", "grid.seed[0] must be a whole number, not 1.5."),
        ("[experiment]\nsamples = 0\n[nodes]\ntheme = 'x'", "experiment.samples must be at least 1, not 0."),
        (
            "[experiment]\nsamples = 'two'\n[nodes]\ntheme = 'x'",
            "experiment.samples must be a whole number, not 'two'.",
        ),
        ("[experiment]\nturns = 2\n[nodes]\ntheme = 'x'", "experiment.turns can only be 1 in a file"),
        ("[experiment]\nname = 'x'", "nodes is missing: give ids, or conditions"),
        ("[nodes]", "nodes is empty: give ids, or conditions"),
        ("[nodes]\nids = ['a']\ntheme = 'x'", "nodes has ids and conditions: it takes one or the other."),
        ("[nodes]\ntheme = 'x'\n[grid]\n[[variant]]", "an experiment takes one or the other."),
        ("[nodes]\ntheme = 'x'\n[[variant]]\nuser = 'a'\nuser_file = 'b'", "variant[0] has user and user_file"),
        ("[nodes]\nkind = 'retri'", "nodes.kind[0] must be 'continuation', 'retry',"),
        ("[nodes]\nkind = 'retri'", "not 'retri'. Did you mean 'retry'?"),
        ("[nodes]\ntheme = 'x\\u0000'".replace("'", '"'), "must not contain NUL"),
        ("[nodes]\ntheme = 'x'\n[grid]\ntools_file = 't.json'", "t.json must be a JSON list"),
        ("[nodes", "e.toml is not valid TOML"),
    ],
)
def test_a_mistake_is_named_with_its_place(text, told):
    with pytest.raises(ConfigError, match=re.escape(told)):
        parsed(text, {"t.json": "{}"})


def test_the_definition_is_what_makes_it_another_experiment():
    start = Experiment(nodes=("a",), samples=2)
    same = Experiment(nodes=("a",), samples=2, name="x", concurrency=9, budget_tokens=1)
    assert start.definition_digest() == same.definition_digest()
    for other in (
        Experiment(nodes=("a",), samples=3),
        Experiment(nodes=("b",), samples=2),
        Experiment(nodes=("a",), samples=2, again=True),
        Experiment(nodes=("a",), samples=2, variants=(Variant(model="m"),)),
    ):
        assert other.definition_digest() != start.definition_digest()


def test_a_variant_is_told_and_read_again():
    variant = Variant(
        model="m", system="", user="u", sampling={"seed": 1}, tools=[{"name": "f"}], without_tools=("g",), plan="p"
    )
    assert Variant.of(json.loads(json.dumps(variant.describe()))) == variant


def test_no_dimension_is_the_request_as_it_was():
    assert grid({}) == [Variant()]


@pytest.mark.parametrize("text", ["{}", "[1]", "[{}]", "no"])
def test_a_file_of_tools_is_a_list_of_named_tools(text):
    with pytest.raises(UsageError, match=r"tools\.json"):
        read_tools(text, "tools.json")


def test_what_a_job_takes_is_counted_where_it_was_and_estimated_where_it_was_not():
    start = origin(prompt_tokens=700, completion_tokens=30)
    same, longer, other = (
        estimate(plan([start], [variant], 1)[0])
        for variant in (Variant(), Variant(sampling={"max_tokens": 500}), Variant(system="x" * 4000))
    )
    assert (same.prompt, same.completion, same.counted, same.bounded) == (700, 30, True, False)
    assert (longer.prompt, longer.completion, longer.bounded) == (700, 500, True)
    assert other.prompt > 1000
    assert not other.counted


def test_a_budget_is_spent_in_tokens_or_in_money():
    prices = {"a": Price(prompt=2.0, completion=10.0)}
    spent = {"a": TokenSpend(500_000, 100_000)}
    assert Budget(prices=prices).cost(spent) == 2.0
    assert Budget(money=2.0, prices=prices).spent(spent)
    assert not Budget(money=2.01, prices=prices).spent(spent)
    assert Budget(tokens=600_000).spent(spent)
    assert not Budget(tokens=600_001).spent(spent)
    with pytest.raises(ConfigError, match=r'prices\."b"'):
        Budget(money=1.0, prices=prices).check(["a", "b"])
    with pytest.raises(UsageError):
        Budget(tokens=0).check([])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_figures_that_are_not_finite_are_refused_wherever_they_come_from(value):
    with pytest.raises(UsageError, match="temperature is a finite number"):
        grid({"temperature": [value]})
    for name in ("outcome_below", "outcome_above"):
        with pytest.raises(UsageError, match="finite number"):
            Query(**{name: value})
    for section, key in (("grid", "temperature"), ("nodes", "outcome_below"), ("experiment", "budget_money")):
        tables = {"nodes": 'theme = "t"\n', section: f"{key} = {value}\n"}
        text = "".join(f"[{name}]\n{lines}" for name, lines in tables.items())
        with pytest.raises(ConfigError, match=rf"{section}\.{key}.* must be a finite number"):
            parsed(text)


def test_a_budget_that_is_no_number_lets_no_job_start():
    with pytest.raises(UsageError, match="does not allow a single job"):
        Budget(money=float("nan"), prices={}).check([])
