"""``regraft replay`` and ``regraft plans``, as a person gives them: what they say and leave, and their mistakes."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from regraft.infra.embedded.postgres import PostgresEndpoint
from support.deployments import Deployment, deployed, fails
from support.waiting import until


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresEndpoint) -> Iterator[Deployment]:
    with deployed(tmp_path_factory.mktemp("home"), postgres) as running:
        yield running


def themed(home: Deployment, theme: str, count: int) -> list[UUID]:
    """Nodes of their own theme."""
    return [home.node(f"{theme} {number}", {"X-Regraft-Theme": theme}) for number in range(count)]


def experiment(home: Deployment, text: str) -> str:
    (home.folder / "experiment.toml").write_text(text)
    return "experiment.toml"


def states(home: Deployment, plan: str) -> list[str]:
    return [job["state"] for job in home.told("plans", "show", plan)["jobs"]]


# Which nodes


def test_a_query_finds_its_nodes_and_a_limit_stops_at_the_first(home: Deployment) -> None:
    nodes = themed(home, "weather", 3)
    command = ("replay", "--theme", "weather", "--model", "large", "--dry-run")
    assert [job["node"] for job in home.told(*command)["jobs"]] == [str(node) for node in nodes]
    assert [job["node"] for job in home.told(*command, "--limit", "2")["jobs"]] == [str(node) for node in nodes[:2]]
    assert home.told(*command, "--kind", "retry")["jobs"] == []
    assert home.told(*command, "--status", "ok", "--of-model", "small", "--limit", "1")["jobs"][0]["model"] == "large"
    assert home.told("replay", "--theme", "weather", "--model", "large")["ran"] == 3


def test_a_pivot_is_a_node_whose_answers_differ_and_answers_of_replays_are_found_when_that_is_asked(
    home: Deployment,
) -> None:
    node, _ = themed(home, "pivots", 2)
    assert home.told("replay", "--theme", "pivots", "--differing", "--seed", "9", "--dry-run")["jobs"] == []
    assert home.told("replay", str(node), "--samples", "2", "--seed", "1")["ran"] == 2
    found = home.told("replay", "--theme", "pivots", "--differing", "--seed", "9", "--dry-run")["jobs"]
    assert [job["node"] for job in found] == [str(node)]
    command = ("replay", "--theme", "pivots", "--kind", "sampling_variant", "--seed", "9", "--dry-run")
    assert home.told(*command)["jobs"] == []
    (job,) = home.told(*command, "--replays")["jobs"]  # both were asked the same but for the seed: that is one job
    assert job["sampling"]["seed"] == 9


# What is changed


def test_a_grid_asks_each_with_each(home: Deployment) -> None:
    (node,) = themed(home, "grid", 1)
    before = len(home.model.asked)
    grid = ("--model", "small", "--model", "large", "--temperature", "0.25", "--temperature", "1", "--max-tokens", "9")
    told = home.told("replay", str(node), *grid, "--samples", "2")
    assert (told["ran"], told["tokens"]) == (8, {"prompt": 56, "completion": 16, "cached": 0})
    asked = [(one["model"], one["temperature"], one["max_tokens"]) for one in home.model.asked[before:]]
    assert sorted(asked) == sorted((m, t, 9) for m in ("small", "large") for t in (0.25, 1) for _ in range(2))
    (answers,) = told["anchors"].values()
    assert [row["branch_index"] for row in answers] == list(range(9))


def test_a_prompt_is_read_from_a_file(home: Deployment) -> None:
    (node,) = themed(home, "prompts", 1)
    (home.folder / "brief.txt").write_text("Be brief.")
    assert home.told("replay", str(node), "--system", "@brief.txt")["ran"] == 1
    assert home.model.asked[-1]["messages"][0] == {"role": "system", "content": "Be brief."}


def test_a_dry_run_says_what_it_would_ask_and_asks_nothing(home: Deployment) -> None:
    (node,) = themed(home, "dry", 1)
    before, plans = len(home.model.asked), len(home.told("plans", "list"))
    told = home.told("replay", str(node), "--samples", "3", "--max-tokens", "50", "--dry-run")
    assert [(job["sample"], job["prompt_tokens"], job["completion_tokens"]) for job in told["jobs"]] == [
        (0, 7, 50),
        (1, 7, 50),
        (2, 7, 50),
    ]
    assert (told["tokens"], told["skipped"], told["plan"]) == ({"prompt": 21, "completion": 150}, 0, None)
    said = home.regraft("replay", str(node), "--samples", "3", "--max-tokens", "50", "--dry-run").stdout
    assert "3 jobs would run" in said
    assert (len(home.model.asked), len(home.told("plans", "list"))) == (before, plans)


def numbers(value):
    """All numbers in JSON values, at any depth."""
    if isinstance(value, dict | list):
        return [each for item in (value.values() if isinstance(value, dict) else value) for each in numbers(item)]
    return [value] if isinstance(value, int | float) else []


def test_a_dry_run_prints_the_temperature_as_a_number(home: Deployment) -> None:
    (node,) = themed(home, "warm", 1)
    told = home.told("replay", str(node), "--temperature", "0.9", "--dry-run")
    assert 0.9 in numbers(told)
    assert "Number(" not in json.dumps(told)


# Experiments


def test_an_experiment_file_says_all_of_it(home: Deployment) -> None:
    themed(home, "trial", 2)
    text = '[experiment]\nname = "cooler"\nsamples = 2\n[nodes]\ntheme = "trial"\n[grid]\nmodel = ["small", "large"]\n'
    told = home.told("replay", "--experiment", experiment(home, text))
    assert (told["ran"], told["failures"], told["left"]) == (8, [], 0)
    shown = home.told("plans", "show", told["plan"])
    assert (shown["name"], shown["experiment"], shown["state"]) == ("cooler", text, "done")
    again = home.told("replay", "--experiment", "experiment.toml")
    assert (again["ran"], again["skipped"], again["plan"]) == (0, 8, told["plan"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = [", ("experiment.toml", "TOML")),
        (
            '[experiment]\nsample = 2\n[nodes]\ntheme = "a"\n',
            ("experiment.toml", "experiment.sample ", "experiment.samples"),
        ),
        ('[nodes]\nthem = "a"\n', ("experiment.toml", "nodes.them ", "nodes.theme")),
        ('[nodes]\nkind = "none"\n', ("none", "kind")),
        ('[experiment]\nsamples = "two"\n[nodes]\ntheme = "a"\n', ("experiment.toml", "samples")),
    ],
)
def test_a_wrong_experiment_file_names_the_place(home: Deployment, text: str, words: tuple[str, ...]) -> None:
    fails(home.regraft("replay", "--experiment", experiment(home, text)), 2, *words)


# Budgets, and going on


def test_a_spent_budget_leaves_the_rest_to_resume(home: Deployment) -> None:
    (node,) = themed(home, "budget", 1)
    asked = ("replay", str(node), "--samples", "6", "--seed", "1", "--concurrency", "1")
    told = home.told(*asked, "--budget-tokens", "20")
    assert (told["ran"], told["left"], told["stopped"]) == (3, 3, "budget")  # of 9 tokens each
    plan = told["plan"]
    assert home.told("plans", "show", plan)["state"] == "stopped"
    assert home.told("plans", "watch", plan)["state"] == "stopped"
    assert sorted(states(home, plan)) == ["done"] * 3 + ["planned"] * 3
    done = home.regraft("replay", "--resume", plan[:13], "--budget-tokens", "100000")
    assert done.returncode == 0, done.stderr
    assert "3 replayed, 3 finished before." in done.stdout
    assert set(states(home, plan)) == {"done"}
    assert home.told("replay", "--resume", plan)["ran"] == 0


def test_a_stored_plan_is_listed_shown_and_run_later(home: Deployment) -> None:
    (node,) = themed(home, "later", 1)
    stored = home.told("replay", str(node), "--samples", "2", "--seed", "1", "--store")
    plan = stored["plan"]
    assert (stored["jobs"], stored["skipped"]) == (2, 0)
    listed = next(row for row in home.told("plans", "list") if row["plan_id"] == plan)
    assert (listed["state"], listed["jobs"], listed["planned"]) == ("planned", 2, 2)
    assert home.told("plans", "list", "-n", "1")[0]["plan_id"] == plan
    assert f"regraft replay --resume {plan[:13]}" in home.regraft("plans", "show", plan).stdout
    assert home.told("replay", "--resume", plan)["ran"] == 2
    watched = home.told("plans", "watch", plan)
    assert (watched["state"], watched["done"], watched["completion_tokens"]) == ("done", 2, 4)
    assert "done: 2 of 2 done, 0 failed" in home.regraft("plans", "watch", plan).stdout


def test_a_replay_ends_with_the_tables_of_compare(home: Deployment) -> None:
    (node,) = themed(home, "tables", 1)
    said = home.regraft("replay", str(node), "--samples", "2", "--seed", "1")
    assert said.returncode == 0, said.stderr
    table = home.regraft("compare", str(node)).stdout
    assert "answers under anchor" in table
    assert "variants" in table
    assert said.stdout.endswith(table)


# Mistakes


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, ("--experiment",)),
        (("0123456789ab", "--theme", "a"), 2, ("--theme",)),
        (("--theme", "a", "--experiment", "none.toml"), 2, ("--experiment",)),
        (("--kind", "none"), 2, ("none", "retry")),
        (("--status", "none"), 2, ("none", "error")),
        (("0123456789ab", "-n", "3"), 2, ("--limit", "--samples")),
        (("--session", "no such"), 2, ("no such",)),
        (("--session", "0123456789ab"), 3, ("0123456789ab",)),
        (("--experiment", "none.toml"), 2, ("none.toml",)),
        (("--resume", "0123456789ab"), 3, ("0123456789ab",)),
        (("--resume", "not a plan"), 2, ("not a plan",)),
        (("--resume", "0123456789ab", "--seed", "1"), 2, ("--resume",)),
        (("--theme", "a", "--tools-file", "none.json"), 2, ("none.json",)),
        (("--theme", "a", "--system", "@none.txt"), 2, ("none.txt",)),
        (("--theme", "a", "--toward", "0123456789ab"), 2, ("--continue",)),
    ],
)
def test_a_replay_that_makes_no_sense_is_one_line(
    home: Deployment, arguments: tuple[str, ...], code: int, words: tuple[str, ...]
) -> None:
    fails(home.regraft("replay", *arguments), code, *words)


@pytest.mark.parametrize("command", ["show", "watch"])
@pytest.mark.parametrize(("plan", "code"), [("0123456789ab", 3), ("not a plan", 2)])
def test_a_plan_that_is_not_there_is_one_line(home: Deployment, command: str, plan: str, code: int) -> None:
    fails(home.regraft("plans", command, plan), code, plan)


def test_a_budget_in_money_needs_the_price_of_the_model(home: Deployment) -> None:
    (node,) = themed(home, "money", 1)
    fails(home.regraft("replay", str(node), "--seed", "1", "--budget-money", "1"), 2, "price", "small")


def test_a_replay_that_is_killed_with_all_its_servers_asks_no_job_twice(
    tmp_path: Path, postgres: PostgresEndpoint
) -> None:
    """A driver, its gateway and its ingest die together, some times; the same command then runs the rest alone."""
    with deployed(tmp_path, postgres) as home:
        node = home.node("hi")
        total = 500
        command = ("replay", str(node), "--temperature", "0.5", "--samples", str(total), "--concurrency", "2")
        home.stack.close()
        for round_ in range(3):
            wanted = len(home.model.asked) + 20
            driver = home.begin(*command)
            until(lambda wanted=wanted, driver=driver: len(home.model.asked) >= wanted or driver.poll() is not None)
            assert driver.poll() is None, f"all was done before kill {round_}"
            for name in ("ingest", "gateway"):
                os.kill(json.loads((home.folder / "data" / "run" / f"{name}.json").read_text())["pid"], signal.SIGKILL)
            driver.kill()
            driver.wait()
        done = home.told(*command)
        assert (done["left"], done["failures"]) == (0, [])
        (counted,) = home.ask(
            """SELECT count(DISTINCT replay_fingerprint(e.identity)) AS jobs, count(*) AS answers
            FROM pipeline_event_inbox e JOIN session_turn t USING (event_id)
            WHERE e.purpose = 'replay' AND t.node_status = 'ok'"""
        )
        assert counted == {"jobs": total, "answers": total}
