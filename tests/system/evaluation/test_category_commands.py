"""`regraft categories`, as a person gives its commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from click.testing import Result
from typer.testing import CliRunner

from regraft.infra.postgres.pool import transaction
from regraft.presentation.cli.main import app
from support.small_graph import SmallGraph, every_kind


@pytest.fixture
def answered(truth: str) -> UUID:
    with transaction(truth) as connection:
        return every_kind(SmallGraph(connection))["answered"].node_id


class Commands:
    """Gives commands in their own folder."""

    def __init__(self, folder: Path, dsn: str) -> None:
        self.variables = {"REGRAFT_POSTGRES__DSN": dsn, "REGRAFT_DATA_DIR": str(folder / "data")}

    def give(self, *arguments: str, **variables: str) -> Result:
        return CliRunner().invoke(app, list(arguments), env={**self.variables, **variables})

    def told(self, *arguments: str, **variables: str) -> Any:
        done = self.give(*arguments, "--json", **variables)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)


@pytest.fixture
def commands(tmp_path: Path, truth: str, monkeypatch: pytest.MonkeyPatch) -> Commands:
    monkeypatch.chdir(tmp_path)
    return Commands(tmp_path, truth)


def test_categories_are_listed_with_their_labels_by_layer(commands: Commands, answered: UUID) -> None:
    said = commands.give("label", "rate", str(answered), "2", "--category", "good_recovery", "--reviewer", "ann")
    assert said.exit_code == 0
    listed = commands.told("categories", "list")
    recovery = next(each for each in listed["categories"] if each["name"] == "good_recovery")
    assert {(row["layer"], row["labels"], row["decided"]) for row in recovery["labels"]} == {
        ("human", 1, 1),
        ("rules", 2, 0),
    }
    assert recovery["rule"] == "good_recovery"
    assert next(each for each in listed["coverage"] if each["layer"] == "human")["labelled"] == 1
    shown = commands.give("categories", "list").output
    assert "tool_misuse" in shown
    assert "people" in shown


def test_the_paths_of_a_category_are_shown_with_who_says_so(commands: Commands, answered: UUID) -> None:
    commands.give("label", "rate", str(answered), "2", "--category", "hallucination", "--reviewer", "ann")
    (row,) = commands.told("categories", "show", "hallucination")
    assert (row["unit_id"], row["layer"], row["maker"], row["evidence"]) == (str(answered), "human", "people", ["ann"])
    assert commands.told("categories", "show", "hallucination", "--layer", "rules") == []
    assert len(commands.told("categories", "show", "good_recovery", "--all")) == 3
    of_path = commands.told("categories", "unit", str(answered)[:8])
    assert {"hallucination", "tool_misuse", "good_recovery"} <= {row["category"] for row in of_path}
    assert "yes" in commands.give("categories", "show", "hallucination").output


def test_learning_says_why_a_category_cannot_be_learned(commands: Commands, answered: UUID) -> None:
    commands.give("label", "rate", str(answered), "2", "--category", "overlong", "--reviewer", "ann")
    told = commands.told("categories", "learn", REGRAFT_EMBEDDING__MODEL="static")
    assert (told["trained"], told["deciding"], told["undecided"]) == (True, 0, 7)
    assert {(row["labels"], row["reason"]) for row in told["items"]} == {(1, "too_few_labels")}
    shown = commands.give("categories", "learn", REGRAFT_EMBEDDING__MODEL="static", COLUMNS="200").output
    assert "no: fewer than 30 labels of people" in shown


def test_a_taxonomy_of_ones_own_is_written_used_and_its_mistakes_are_named(commands: Commands, answered: UUID) -> None:
    assert commands.told("categories", "init") == {"file": "taxonomy.toml"}
    again = commands.give("categories", "init")
    assert again.exit_code != 0
    assert "exists" in str(again.exception)
    own = Path("taxonomy.toml")
    own.write_text('name = "own"\n[categories.long]\ndefinition = "d"\n[categories.long.where.turns]\nmin = 3\n')
    listed = commands.told("categories", "list", REGRAFT_TAXONOMY="taxonomy.toml")
    assert [each["name"] for each in listed["categories"]] == ["long"]
    assert listed["labels"] == {"rules": 2}
    wrong = commands.give("categories", "show", "overlong", REGRAFT_TAXONOMY="taxonomy.toml")
    assert "There is no category 'overlong'" in str(wrong.exception)
    own.write_text("name = 'own'\n")
    broken = commands.give("categories", "list", REGRAFT_TAXONOMY="taxonomy.toml")
    assert "taxonomy.toml" in str(broken.exception)
