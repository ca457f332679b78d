"""Themes are renamed, merged and described: kept over rebuilds, followed by what is made from them, audited, erased."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from regraft.domain.errors import NotFoundError, UsageError
from regraft.flows.access import AccessControl
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.datasets.erase import ErasureStores, erase
from regraft.flows.evaluation.reading import units
from regraft.flows.evaluation.trajectories import materialise_units
from regraft.flows.lineage import build as lineage
from regraft.flows.themes import describe_theme, rename_theme, theme_figures, theme_history, theme_named
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect
from regraft.presentation.cli.main import app
from regraft.presentation.web.app import make_app

Say = Callable[..., None]


@pytest.fixture
def say(truth: str, calls: Any) -> Say:
    """Store a call of a session under a theme, and place it."""
    seen = SeenIds()

    def one(session: str, theme: str, scope: str = "default") -> None:
        made = calls(
            [{"role": "user", "content": f"question of {session}"}],
            who={"session": session, "theme": theme},
            circumstances={"scope": scope},
        )
        with connect(truth, autocommit=True) as connection:
            ingest(connection, [encode_exchange(made)], seen)
        lineage.build(truth)

    return one


def themes(truth: str) -> dict[str, int]:
    return {row["name"]: row["sessions"] for row in theme_figures(truth)}


def test_a_renamed_theme_stays_renamed_for_what_comes_and_for_a_rebuild(truth: str, say: Say) -> None:
    say("a", "bikes")
    changed = rename_theme(truth, theme_named(truth, "bikes"), "  bicycles ", "ann")
    assert (changed.name, changed.sessions, changed.merged) == ("bicycles", 1, False)
    say("b", "bikes")
    say("c", "bicycles")
    assert themes(truth) == {"bicycles": 3}
    lineage.rebuild(truth)
    assert themes(truth) == {"bicycles": 3}
    rename_theme(truth, theme_named(truth, "bicycles"), "cycles", "ann")
    say("d", "bikes")
    assert themes(truth) == {"cycles": 4}


def test_a_theme_that_gets_its_name_back_is_itself_again(truth: str, say: Say) -> None:
    say("a", "bikes")
    rename_theme(truth, theme_named(truth, "bikes"), "bicycles", "ann")
    rename_theme(truth, theme_named(truth, "bicycles"), "bikes", "ann")
    say("b", "bikes")
    say("c", "bicycles")
    assert themes(truth) == {"bikes": 3}


def test_themes_are_merged_within_a_tenant(truth: str, say: Say) -> None:
    say("a", "bikes")
    say("b", "cycling")
    say("c", "bikes", "other")
    describe_theme(truth, theme_named(truth, "cycling"), "all about bicycles", "ann")
    changed = rename_theme(truth, theme_named(truth, "bikes", "default"), "cycling", "ann", scope="default")
    assert (changed.merged, changed.description) == (True, "all about bicycles")
    found = {(row["name"], row["scope"]): row["sessions"] for row in theme_figures(truth)}
    assert found == {("cycling", "default"): 2, ("bikes", "other"): 1}
    with pytest.raises(NotFoundError):
        rename_theme(truth, theme_named(truth, "bikes", "other"), "x", "ann", scope="default")


def test_paths_and_the_review_queue_follow_and_nothing_else_is_measured_again(
    truth: str, say: Say, tmp_path: Path
) -> None:
    say("a", "bikes")
    say("b", "weather")
    bench = tmp_path / "workbench.duckdb"
    materialise_units(truth, bench)
    rename_theme(truth, theme_named(truth, "bikes"), "bicycles", "ann")
    materialise_units(truth, bench)
    assert sorted(row["theme"] for row in units(bench)) == ["bicycles", "weather"]


def test_who_changed_what_is_kept(truth: str, say: Say) -> None:
    say("a", "bikes")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    describe_theme(truth, theme_named(truth, "bikes"), "two wheels", "ann", now=at)
    rename_theme(truth, theme_named(truth, "bikes"), "bicycles", "bob", now=at)
    theme = theme_named(truth, "bicycles")
    acts = [(act["made_by"], act["called"], act["theme"], act["description"]) for act in theme_history(truth, theme)]
    assert ("bob", "bikes", "bicycles", None) in acts
    (row,) = theme_figures(truth)
    assert row["description"] == "two wheels"


@pytest.mark.parametrize("name", ["", "   ", "x" * 121, "a\x07b"])
def test_a_name_must_say_something(truth: str, say: Say, name: str) -> None:
    say("a", "bikes")
    with pytest.raises(UsageError, match="printable"):
        rename_theme(truth, theme_named(truth, "bikes"), name, "ann")


def test_an_erased_theme_leaves_no_name_behind(truth: str, say: Say, tmp_path: Path) -> None:
    say("a", "secret client")
    say("b", "weather")
    rename_theme(truth, theme_named(truth, "secret client"), "client", "ann")
    describe_theme(truth, theme_named(truth, "weather"), "rain", "ann")
    with connect(truth) as connection:
        row = connection.execute("SELECT session_id FROM conversation_sessions WHERE external_id = 'a'").fetchone()
    assert row is not None
    places = ErasureStores(
        dsn=truth,
        workbench=tmp_path / "workbench.duckdb",
        warehouse=str(tmp_path / "warehouse"),
        spool=tmp_path / "spool",
        data_dir=tmp_path,
    )
    erase("session", str(row["session_id"]), places)
    with connect(truth) as connection:
        left = connection.execute("SELECT called, theme, description FROM theme_changes").fetchall()
    assert left == [{"called": "weather", "theme": "weather", "description": "rain"}]


def test_the_api_shows_themes(truth: str, say: Say) -> None:
    say("a", "bikes")
    with TestClient(make_app(truth)) as client:
        (shown,) = client.get("/api/themes/figures").json()["themes"]
        assert (shown["name"], shown["sessions"], shown["errors"], shown["reward"]) == ("bikes", 1, 0, None)
        assert client.get(f"/api/themes/{shown['theme_id']}/changes").json() == {"acts": []}
        assert client.post(f"/api/themes/{shown['theme_id']}", json={"name": "x"}).status_code in (401, 403)


def test_only_an_admin_changes_a_theme_by_the_api(truth: str, say: Say) -> None:
    say("a", "bikes")
    say("b", "weather")
    admin = {"Authorization": "Bearer a-long-secret"}
    with TestClient(make_app(truth, access=AccessControl("a-long-secret"))) as client:
        known = {one["name"]: one for one in client.get("/api/themes/figures", headers=admin).json()["themes"]}
        path = f"/api/themes/{known['bikes']['theme_id']}"
        assert client.post(path, json={"name": "x"}).status_code == 401
        for odd in ({}, {"name": " "}, {"title": "x"}, {"name": "a\0"}):
            assert client.post(path, json=odd, headers=admin).status_code == 400
        done = client.post(path, json={"name": "weather", "description": "two wheels"}, headers=admin).json()
        assert (done["merged"], done["sessions"], done["name"]) == (True, 1, "weather")
        assert client.post(path, json={"name": "x"}, headers=admin).status_code == 404
        acts = client.get(f"/api/themes/{done['theme_id']}/changes", headers=admin).json()["acts"]
        assert {one["called"] for one in acts} == {"bikes", "weather"}


def test_the_commands_list_rename_and_describe(truth: str, say: Say, tmp_path: Path) -> None:
    say("a", "bikes")
    variables = {"REGRAFT_POSTGRES__DSN": truth, "REGRAFT_DATA_DIR": str(tmp_path / "data")}

    def give(*arguments: str) -> Any:
        done = CliRunner().invoke(app, ["themes", *arguments, "--json"], env=variables)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    assert [row["name"] for row in give("list")] == ["bikes"]
    assert give("rename", "bikes", "bicycles", "--by", "ann")["sessions"] == 1
    assert give("describe", "bicycles", "two wheels", "--by", "ann")["description"] == "two wheels"
    shown = CliRunner().invoke(app, ["themes", "list"], env=variables).output
    assert "two wheels" in shown
    missing = CliRunner().invoke(app, ["themes", "rename", "bikes", "x"], env=variables)
    assert isinstance(missing.exception, NotFoundError)
