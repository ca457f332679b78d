"""``regraft label`` in the terminal, on the review queue."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from regraft.flows.evaluation.queue import queue_items
from regraft.infra.postgres.pool import transaction
from regraft.presentation.cli.main import app
from support.small_graph import SmallGraph, every_kind

Label = Callable[..., Result]


@pytest.fixture
def label(truth: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Label:
    """Runs ``regraft label`` with lines that are typed."""
    with transaction(truth) as connection:
        every_kind(SmallGraph(connection))
    monkeypatch.setenv("REGRAFT_POSTGRES__DSN", truth)
    monkeypatch.setenv("REGRAFT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("REGRAFT_REVIEW__RANDOM_SHARE", "0")
    monkeypatch.setenv("REGRAFT_REVIEW__GOLD_SHARE", "0")
    monkeypatch.chdir(tmp_path)

    def run(*options: str, typed: list[str]) -> Result:
        arguments = ["label", "--reviewer", "ann", *options]
        return CliRunner().invoke(app, arguments, input="\n".join(typed) + "\n", catch_exceptions=False)

    return run


def preferences(dsn: str) -> list[dict[str, Any]]:
    with transaction(dsn) as connection:
        return connection.execute(
            "SELECT preference, shown_first, note FROM current_preference_labels ORDER BY created_at"
        ).fetchall()


def test_pairs_are_judged_until_none_is_left(label: Label, truth: str) -> None:
    done = label(typed=["?", "c short and right", *["a"] * 9])
    assert "No item is waiting for you." in done.output
    assert "large" not in done.output
    made = preferences(truth)
    assert len(made) == 5
    assert f"{len(made)} judged." in done.output
    assert all(each["preference"] == each["shown_first"] for each in made)
    assert [each["note"] for each in made] == ["short and right", "", "", "", ""]


def test_an_answer_is_taken_back_and_given_again(label: Label, truth: str) -> None:
    done = label(typed=["a", "u", "x", "q"])
    assert "Taken back: submitted." in done.output
    assert "You said before: preference: first" in done.output
    assert [each["preference"] for each in preferences(truth)] == ["both_bad"]
    assert "1 judged." in done.output
    assert queue_items(truth, state="leased") == []  # what was held at the end is given back


def test_paths_of_a_theme_are_rated_with_categories(label: Label, truth: str) -> None:
    done = label("--kind", "unit", "--theme", "tools", typed=["p", "f odd", "4 good_recovery, overlong", "s unclear"])
    assert "No item is waiting for you." in done.output
    assert "2 waiting" in done.output or "1 waiting" in done.output
    with transaction(truth) as connection:
        rows = connection.execute("SELECT rating, categories FROM current_human_eval_labels").fetchall()
    assert rows == [{"rating": 4, "categories": ["good_recovery", "overlong"]}]
    assert len(queue_items(truth, state="flagged")) == 1
    assert [item.skips for item in queue_items(truth, state="skipped")] == [1]


def test_an_unknown_kind_is_refused(label: Label) -> None:
    with pytest.raises(Exception, match="A kind is one of unit, pair"):
        label("--kind", "session", typed=["q"])
