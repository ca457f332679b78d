"""Administration of the review queue over the web: fill it, prioritise items, requeue, gold items, agreement."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from regraft.flows.access import AccessControl
from regraft.flows.evaluation.desk_records import ReviewPolicy
from regraft.flows.evaluation.pairs import propose_pairs
from regraft.flows.evaluation.queue import QueueSize, queue_items
from regraft.flows.evaluation.review_service import ReviewSetup
from regraft.infra.duckdb.evaluation.workbench import Workbench
from regraft.infra.files.web_tokens import WebTokenStore
from regraft.infra.postgres.pool import transaction
from regraft.presentation.web.app import make_app
from support.small_graph import SmallGraph, every_kind
from support.waiting import until

ANN = {"X-Regraft-Reviewer": "ann"}
SETUP = ReviewSetup(policy=ReviewPolicy(random_share=0, gold_share=0), size=QueueSize(overlap=0, random_share=0))


@pytest.fixture
def bench(truth: str, tmp_path: Path) -> Path:
    with transaction(truth) as connection:
        every_kind(SmallGraph(connection))
    return tmp_path / "workbench.duckdb"


@pytest.fixture
def client(truth: str, bench: Path, tmp_path: Path) -> Iterator[TestClient]:
    access = AccessControl("secret", tokens=tmp_path / "tokens.json")
    headers = {**ANN, "Authorization": "Bearer secret"}
    made = make_app(truth, access=access, workbench=bench, reviewing=SETUP)
    with TestClient(made, raise_server_exceptions=False, headers=headers) as opened:
        yield opened


def post(client: TestClient, path: str, body: dict[str, Any] | None = None, status: int = 200, **more: Any) -> Any:
    reply = client.post(f"/api/review/{path}", json=body or {}, **more)
    assert reply.status_code == status, reply.text
    return reply.json()


def fill(client: TestClient, **how: Any) -> Any:
    """Fill the queue; what that did."""
    started = post(client, "queue/fill", how, status=202)
    until(lambda: filling(client)["state"] not in ("waiting", "running"), 60)
    assert filling(client)["job_id"] == started["job_id"]
    assert filling(client)["error"] == ""
    return filling(client)["filled"]


def filling(client: TestClient) -> Any:
    return client.get("/api/review/queue").json()["filling"]


def test_the_queue_is_filled_as_asked_and_as_the_settings_say(client: TestClient, truth: str) -> None:
    state = client.get("/api/review/queue").json()
    assert state["defaults"] == {"size": 500, "reviewers": 1, "overlap": 0.0, "random_share": 0.0}
    assert (state["may_fill"], state["gold"], state["filling"]) == (True, [], None)
    done = fill(client, kinds=["pair"], size=2, reviewers=3)
    assert (done["added"], done["open"]) == (2, 2)
    assert {(each.kind, each.needed) for each in queue_items(truth)} == {("pair", 3)}
    again = fill(client)
    assert again["open"] == len(queue_items(truth, limit=1000)) > 2
    samples = client.get("/api/review/queue").json()["samples"]
    assert {each["kind"] for each in samples} == {"unit", "pair"}
    assert post(client, "queue/fill", {"size": 0}, status=400)["error"]["message"].startswith("size: ")


def test_only_an_admin_fills_the_queue_and_sees_gold(client: TestClient, tmp_path: Path) -> None:
    _, secret = WebTokenStore(tmp_path / "tokens.json").create("cyd", role="reviewer")
    cyd = {"Authorization": f"Bearer {secret}", "X-Regraft-Reviewer": "cyd"}
    assert "role admin" in post(client, "queue/fill", status=403, headers=cyd)["error"]["message"]
    state = client.get("/api/review/queue", headers=cyd).json()
    assert (state["may_fill"], state["gold"]) == (False, None)
    fill(client)
    item = client.get("/api/review/items", headers=cyd).json()["items"][0]["item_id"]
    reply = client.put(f"/api/review/items/{item}/gold", json={"rating_low": 4, "rating_high": 5}, headers=cyd)
    assert reply.status_code == 403


def test_a_page_fetches_ahead_without_reading_what_it_has_again(client: TestClient, truth: str) -> None:
    fill(client, kinds=["pair"])
    first = post(client, "claim", {"kind": "pair", "limit": 3})
    known = [each["lease_id"] for each in first["items"]]
    assert first["leases"] == known
    post(client, f"leases/{known[0]}/submit", {"preference": "equal"})
    more = post(client, "claim", {"kind": "pair", "limit": 3, "known": known})
    assert more["leases"][:2] == known[1:]
    (item,) = more["items"]
    assert item["lease_id"] not in known
    with transaction(truth) as connection:
        connection.execute(b"UPDATE review_leases SET expires_at = now() - interval '1 minute'")
    late = post(client, "claim", {"kind": "pair", "limit": 1, "known": known})
    assert not set(late["leases"]) & set(known)
    held = late["leases"] + [each["lease_id"] for each in post(client, "claim", {"kind": "pair", "limit": 5})["items"]]
    less = post(client, "claim", {"kind": "pair", "limit": 1, "known": held})
    assert (set(less["leases"]), less["items"]) == (set(held), [])


def test_pairs_and_paths_are_put_first_by_their_nodes(client: TestClient, truth: str, bench: Path) -> None:
    fill(client, kinds=["unit"])
    propose_pairs(truth, bench)
    pair = Workbench(bench).pairs()[0]
    nowhere = "00000000-0000-7000-8000-000000000000"
    sides = [{"node_id": str(one), "other_node_id": str(pair["node_a"])} for one in (pair["node_b"], nowhere)]
    unit = queue_items(truth, limit=100)[-1]
    done = post(client, "items", {"pairs": sides, "nodes": [str(unit.subject_id)], "reviewers": 2})
    assert done == {"queued": 1, "again": 1, "unknown": 1}
    first = {(each.kind, each.subject_id): each.needed for each in queue_items(truth, limit=2)}
    assert first == {("pair", pair["pair_id"]): 2, ("unit", unit.subject_id): 2}
    assert post(client, "items", {"pairs": sides[:1]}) == {"queued": 0, "again": 1, "unknown": 0}
    assert post(client, "claim", {"kind": "pair"})["items"]
    assert "needs nodes or pairs" in post(client, "items", {}, status=400)["error"]["message"]


def test_a_closed_item_is_asked_for_again(client: TestClient) -> None:
    fill(client, kinds=["unit"])
    item = post(client, "claim", {"kind": "unit"})["items"][0]
    post(client, f"leases/{item['lease_id']}/submit", {"rating": 2})
    closed = client.get("/api/review/items", params={"state": "closed"}).json()["items"]
    assert [each["item_id"] for each in closed] == [item["item_id"]]
    assert post(client, f"items/{item['item_id'][:13]}/requeue", {"note": "odd"})["item_id"] == item["item_id"]
    bob = {"X-Regraft-Reviewer": "bob"}
    given = post(client, "claim", {"kind": "unit", "limit": 10}, headers=bob)["items"]
    assert item["item_id"] in {each["item_id"] for each in given}
    acts = client.get(f"/api/review/items/{item['item_id']}/acts").json()["acts"]
    assert [(each["act"], each["note"]) for each in acts] == [("submitted", ""), ("requeued", "odd")]
    assert post(client, "items/0000000000/requeue", status=404)["error"]["code"] == "not_found"


def test_gold_items_look_like_others_to_reviewers(client: TestClient) -> None:
    fill(client, kinds=["unit"])
    before = client.get("/api/review/items").json()["items"]
    item = before[0]["item_id"]
    made = client.put(f"/api/review/items/{item}/gold", json={"rating_low": 4, "rating_high": 5, "note": "checked"})
    assert made.status_code == 200, made.text
    listed = {each["item_id"]: each for each in client.get("/api/review/items").json()["items"]}
    assert set(listed) == {each["item_id"] for each in before}
    assert listed[item]["needed"] == 1
    (gold,) = client.get("/api/review/queue").json()["gold"]
    assert (gold["item_id"], gold["rating_low"], gold["made_by"]) == (item, 4, "ann")
    assert client.put(f"/api/review/items/{item}/gold", json={"preference": "a"}).status_code == 400
    assert client.delete(f"/api/review/items/{item}/gold").status_code == 200
    assert client.get("/api/review/queue").json()["gold"] == []
    assert client.delete(f"/api/review/items/{item}/gold").status_code == 404


def test_agreement_is_measured_when_labels_changed(client: TestClient) -> None:
    fill(client, kinds=["unit"], reviewers=2)
    for reviewer, rating in (("ann", 1), ("bob", 5)):
        headers = {"X-Regraft-Reviewer": reviewer}
        for item in post(client, "claim", {"kind": "unit", "theme": "tools", "limit": 10}, headers=headers)["items"]:
            post(
                client,
                f"leases/{item['lease_id']}/submit",
                {"rating": rating, "note": f"by {reviewer}"},
                headers=headers,
            )
    assert client.get("/api/review/agreement").json() == {"themes": []}
    assert [post(client, "agreement")["measured"] for _ in range(2)] == [True, False]
    (rating,) = (each for each in client.get("/api/review/agreement").json()["themes"] if each["measure"] == "rating")
    assert (rating["theme"], rating["reviewers"], rating["disputed"]) == ("tools", 2, rating["subjects"])
    found = client.get("/api/review/disputes").json()["disputes"]
    assert [each["said"] for each in found] == [["1", "5"]] * len(found)
    assert found[0]["answers"][0]["role"] == "assistant"
    decided = post(client, f"disputes/{found[0]['subject_id']}", {"rating": 4})
    assert decided["subject_id"] == found[0]["subject_id"]
    assert len(client.get("/api/review/disputes").json()["disputes"]) == len(found) - 1
