"""The list of sessions: filters, sorts and pages, counts by facet, and what is found by an id, a name or words."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from regraft.domain.capture.exchange import Exchange
from regraft.domain.lineage.session_filter import SORTS, SessionFilter
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.datasets.erase import ErasureStores, erase
from regraft.flows.lineage import build as lineage
from regraft.flows.lineage.session_list import every_session, session_facets, session_page
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect
from regraft.presentation.web.app import make_app

Judge = Callable[[str, float], None]
TITLE = "### Task:\nGenerate a concise, 3-5 word title.\n### Chat History:\n<chat_history>\nx\n</chat_history>"


@pytest.fixture
def store(truth: str) -> Callable[..., None]:
    """Store calls and place them."""
    seen = SeenIds()

    def keep(*exchanges: Exchange) -> None:
        with connect(truth, autocommit=True) as connection:
            ingest(connection, [encode_exchange(one) for one in exchanges], seen)
        lineage.build(truth)

    return keep


@pytest.fixture
def client(truth: str, tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(make_app(truth, workbench=tmp_path / "workbench.duckdb")) as opened:
        yield opened


@pytest.fixture
def several(store: Callable[..., None], calls: Any, truth: str) -> dict[str, str]:
    """Sessions by name: a (shop, a retry), b (shop, an error), c (school, another model), d (no theme), e (a title)."""

    def ask(text: str) -> list[Any]:
        return [{"role": "user", "content": text}]

    store(
        calls(ask("a chain for a bicycle"), "one with ten links", who={"session": "a", "theme": "shop"}),
        calls.failed(ask("brakes squeal"), who={"session": "b", "theme": "shop"}),
        calls(ask("seven times eight"), "fifty-six", model="big", who={"session": "c", "theme": "school"}),
        calls(ask("hello"), "hi there", who={"session": "d"}),
        calls(ask(TITLE), "Talk", who={"session": "e"}),
        calls(ask("a chain for a bicycle"), "another", temperature=1.5, who={"session": "a", "theme": "shop"}),
    )
    with connect(truth) as connection:
        rows = connection.execute("SELECT external_id, session_id FROM conversation_sessions").fetchall()
    return {row["external_id"]: str(row["session_id"]) for row in rows}


@pytest.fixture
def judge(store: Callable[..., None], calls: Any) -> Judge:
    """Report the outcome of a session."""

    def report(session: str, reward: float) -> None:
        body = json.dumps({"session": session, "reward": reward}).encode()
        store(calls(request=body, response=b"{}", circumstances={"endpoint": "/v1/feedback"}))

    return report


def names(page: Any) -> list[str]:
    return [row["external_id"] for row in page["sessions"]]


def listed(client: TestClient, **asked: Any) -> list[str]:
    reply = client.get("/api/sessions", params=asked)
    assert reply.status_code == 200, reply.text
    return names(reply.json())


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, "aedcb"),
        ({"theme": "shop"}, "ab"),
        ({"theme": ["shop", "school"]}, "acb"),
        ({"theme": ""}, "ed"),
        ({"model": "big"}, "c"),
        ({"kind": "sampling_variant"}, "a"),
        ({"errors": "true"}, "b"),
        ({"errors": "false", "theme": "shop"}, "a"),
        ({"side": "true"}, "e"),
        ({"side": "false"}, "adcb"),
        ({"purpose": "side:title"}, "e"),
        ({"replays": "true"}, ""),
        ({"text": "chain"}, "a"),
        ({"text": "chain or squeal"}, "ab"),
        ({"text": "nowhere"}, ""),
        ({"theme": "nowhere"}, ""),
        ({"since": "2023-11-14T22:13:24Z"}, "aed"),
        ({"until": "2023-11-14T22:13:24Z"}, "cb"),
        ({"sort": "turns"}, "a"),
        ({"sort": "errors"}, "b"),
        ({"sort": "started", "order": "asc"}, "abcde"),
    ],
)
def test_a_filter_leaves_the_sessions_that_meet_it(
    client: TestClient, several: dict[str, str], asked: dict[str, Any], expected: str
) -> None:
    found = listed(client, **asked)
    if asked.get("sort") in ("turns", "errors"):
        assert found[0] == expected
    else:
        assert "".join(found) == expected


def test_the_outcome_of_a_session_is_known_from_the_feedback_that_came_last(
    client: TestClient, several: dict[str, str], judge: Judge
) -> None:
    judge("a", 0.9)
    judge("c", 0.1)
    assert listed(client, sort="reward", order="asc") == ["c", "a"]
    assert listed(client, least=0.5) == ["a"]
    assert listed(client, most=0.5) == ["c"]
    assert listed(client, judged="false") == ["e", "d", "b"]
    judge("c", 1.0)
    assert listed(client, sort="reward") == ["c", "a"]
    assert client.get("/api/sessions", params={"least": 1, "most": 0}).status_code == 400


def test_an_outcome_that_comes_before_the_session_is_known_too(
    client: TestClient, judge: Judge, store: Callable[..., None], calls: Any
) -> None:
    judge("late", 0.25)
    store(calls(who={"session": "late"}))
    assert listed(client, least=0.25, most=0.25) == ["late"]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("sort", SORTS)
def test_pages_of_every_sort_hold_each_session_once(
    client: TestClient, several: dict[str, str], judge: Judge, sort: str, order: str
) -> None:
    for name in "abcde":
        judge(name, 0.5)
    whole = listed(client, sort=sort, order=order)
    assert sorted(whole) == list("abcde")
    walked, cursor = [], None
    for _ in itertools.count():
        asked = {"sort": sort, "order": order, "limit": 2, **({"before": cursor} if cursor else {})}
        page = client.get("/api/sessions", params=asked).json()
        walked += names(page)
        if (cursor := page["next"]) is None:
            break
    assert walked == whole
    assert client.get("/api/sessions", params={"sort": sort, "before": "nonsense"}).status_code == 400


def test_a_facet_counts_what_its_other_values_would_give(client: TestClient, several: dict[str, str]) -> None:
    def counted(**asked: Any) -> tuple[int, dict[str, dict[str, int]]]:
        reply = client.get("/api/sessions/facets", params=asked).json()
        return reply["total"], {
            each["name"]: {one["value"]: one["sessions"] for one in each["values"]} for each in reply["facets"]
        }

    total, facets = counted()
    assert total == 5
    assert facets["theme"] == {"shop": 2, "": 2, "school": 1}
    assert facets["kind"] == {"sampling_variant": 1}
    assert facets["errors"] == {"false": 4, "true": 1}
    total, facets = counted(theme="shop", errors="true")
    assert total == 1
    assert facets["theme"] == {"shop": 1}  # of those with errors
    assert facets["errors"] == {"true": 1, "false": 1}  # of the theme
    assert facets["model"] == {"m": 1}


def test_of_many_sessions_a_sample_is_counted(truth: str, store: Callable[..., None], calls: Any) -> None:
    store(*(calls([{"role": "user", "content": f"question {n}"}], who={"session": f"s{n}"}) for n in range(200)))
    exact = session_facets(truth, SessionFilter())
    assert (exact.total, exact.estimated) == (200, False)
    sample = session_facets(truth, SessionFilter(), most=100)
    assert sample.estimated
    assert sample.every == 200
    assert 140 <= sample.total <= 260  # 100 of 200 drawn: within six standard errors


def test_a_tenant_lists_and_counts_its_own_sessions(truth: str, store: Callable[..., None], calls: Any) -> None:
    for scope, word in (("one", "mine"), ("two", "theirs")):
        said = [{"role": "user", "content": word}]
        store(calls(said, who={"session": word, "theme": "t"}, circumstances={"scope": scope}))
    for wanted in (SessionFilter(), SessionFilter(themes=("t",)), SessionFilter(text="mine or theirs")):
        assert [row["external_id"] for row in session_page(truth, wanted, scope="one").sessions] == ["mine"]
        counts = session_facets(truth, wanted, scope="one")
        assert (counts.total, counts.every) == (1, 1)
    assert [len(page) for page in every_session(truth, SessionFilter(), scope="two", limit=1)] == [1, 0]


def test_the_list_is_exported_whole(client: TestClient, several: dict[str, str]) -> None:
    reply = client.get("/api/sessions/export", params={"theme": "shop", "sort": "started", "order": "asc"})
    assert [json.loads(line)["external_id"] for line in reply.text.splitlines()] == ["a", "b"]
    reply = client.get("/api/sessions/export", params={"form": "csv"})
    rows = list(csv.DictReader(io.StringIO(reply.text)))
    assert [row["external_id"] for row in rows] == list("aedcb")
    assert rows[0]["opening"] == "a chain for a bicycle"
    assert datetime.fromisoformat(rows[0]["started_at"]).astimezone(UTC).year == 2023


def test_a_cell_is_no_formula(client: TestClient, store: Callable[..., None], calls: Any) -> None:
    store(calls([{"role": "user", "content": "=HYPERLINK(1)"}]))
    (row,) = csv.DictReader(io.StringIO(client.get("/api/sessions/export", params={"form": "csv"}).text))
    assert row["opening"] == "'=HYPERLINK(1)"


def test_anything_is_found_by_an_id_a_name_or_words(client: TestClient, several: dict[str, str], truth: str) -> None:
    def found(text: str) -> list[tuple[str, str]]:
        reply = client.get("/api/find", params={"q": text})
        assert reply.status_code == 200, reply.text
        return [(one["kind"], one["name"] or one["id"]) for one in reply.json()["found"]]

    assert found("") == []
    assert ("session", "a") in found(several["a"][:8])
    assert ("theme", "shop") in found("SHO")
    assert {kind for kind, _ in found("chain")} == {"words"}
    with connect(truth) as connection:
        row = connection.execute("SELECT node_id FROM conversation_branch_nodes WHERE depth = 1 LIMIT 1").fetchone()
    assert row is not None
    assert found(str(row["node_id"]))[0][0] == "node"
    assert client.get("/api/find", params={"q": "\0"}).status_code == 400
    assert found("% _ \\ ' OR 1=1") == []


def test_who_gave_the_outcome_of_an_erased_session_is_forgotten(
    truth: str, several: dict[str, str], judge: Judge, tmp_path: Path
) -> None:
    judge("a", 0.5)
    judge("c", 0.5)
    places = ErasureStores(
        dsn=truth,
        workbench=tmp_path / "workbench.duckdb",
        warehouse=str(tmp_path / "warehouse"),
        spool=tmp_path / "spool",
        data_dir=tmp_path,
    )
    before = session_page(truth, SessionFilter(judged=True)).sessions
    assert {row["reward_source"] for row in before} == {before[0]["reward_source"]} != {"[erased]"}
    erase("session", several["a"], places)
    lineage.build(truth)
    after = {str(row["session_id"]): row["reward_source"] for row in session_page(truth, SessionFilter()).sessions}
    assert after[several["a"]] == "[erased]"
    assert after[several["c"]] == before[0]["reward_source"]
