"""The review routes of the web API, as a page of a reviewer uses them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from regraft.flows.access import AccessControl
from regraft.flows.evaluation.desk_records import ReviewPolicy
from regraft.flows.evaluation.queue import QueueSize, fill_queue, queue_items
from regraft.flows.evaluation.review_service import ReviewSetup
from regraft.infra.files.web_tokens import WebTokenStore
from regraft.infra.postgres.pool import transaction
from regraft.presentation.web.app import make_app
from support.small_graph import SmallGraph, every_kind

TOKEN = "a-token-of-sixteen-signs"
ANN = {"X-Regraft-Reviewer": "ann", "Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def queue(truth: str, tmp_path: Path) -> str:
    with transaction(truth) as connection:
        every_kind(SmallGraph(connection))
    fill_queue(truth, tmp_path / "workbench.duckdb", QueueSize(overlap=0))
    return truth


@pytest.fixture
def client(queue: str) -> Iterator[TestClient]:
    setup = ReviewSetup(policy=ReviewPolicy(random_share=0, gold_share=0))
    app = make_app(queue, access=AccessControl(TOKEN), reviewing=setup)
    with TestClient(app, raise_server_exceptions=False, headers=ANN) as made:
        yield made


def post(client: TestClient, path: str, body: dict[str, Any] | None = None, status: int = 200, **more: Any) -> Any:
    reply = client.post(f"/api/review/{path}", json=body or {}, **more)
    assert reply.status_code == status, reply.text
    return reply.json()


def claim(client: TestClient, **wanted: Any) -> dict[str, Any]:
    item: dict[str, Any] = post(client, "claim", wanted)["items"][0]
    return item


def test_a_pair_is_claimed_blind_and_judged_by_place(client: TestClient, queue: str) -> None:
    reply = client.post("/api/review/claim", json={"kind": "pair", "limit": 10})
    items = reply.json()["items"]
    assert len(items) == 5
    for secret in ("large", "model_variant", "retry", "tool_variant", "node_", "purpose"):
        assert secret not in reply.text
    item = items[0]
    assert item["history"][-1]["role"] == "user"
    assert item["answers"][0]["role"] == "assistant"
    assert (item["answers"][0]["content"] or "") in item["answer_texts"][0]
    done = post(client, f"leases/{item['lease_id']}/submit", {"preference": "second", "note": "why", "seconds": 4.5})
    assert not done["changed"]
    assert len(done["revealed"]) == 2
    assert {"model", "branch_kind", "node_id"} <= set(done["revealed"][0])
    with transaction(queue) as connection:
        (label,) = connection.execute("SELECT * FROM preference_labels").fetchall()
    assert (label["decided_by"], label["seconds"], str(label["label_id"])) == ("ann", 4.5, done["label_id"])
    assert str(label[f"node_{label['preference']}"]) == done["revealed"][1]["node_id"]


def test_a_submission_can_be_repeated_changed_and_undone(client: TestClient) -> None:
    item = claim(client, kind="unit")
    submit = f"leases/{item['lease_id']}/submit"
    first = post(client, submit, {"rating": 2, "categories": ["overlong"], "note": "so"})
    assert post(client, submit, {"rating": 2, "categories": ["overlong"], "note": "so"}) == first
    assert post(client, submit, {"rating": 4})["changed"]
    assert post(client, "undo")["item"] is None
    undone = post(client, "undo")
    assert undone["act"] == "submitted"
    assert undone["item"]["lease_id"] == item["lease_id"]
    assert undone["item"]["draft"]["rating"] == 2
    assert undone["item"]["draft"]["categories"] == ["overlong"]
    assert post(client, "undo", status=404)["error"]["message"] == "There is nothing to undo."


def test_a_draft_survives_a_reload(client: TestClient) -> None:
    item = claim(client, kind="unit")
    state = post(
        client, f"leases/{item['lease_id']}/renew", {"draft": {"rating": 4, "note": "not yet", "seconds": 2.5}}
    )
    assert state["expires_at"] > item["expires_at"]
    again = claim(client, kind="unit")
    assert again["lease_id"] == item["lease_id"]
    assert (again["draft"]["rating"], again["draft"]["note"], again["draft"]["seconds"]) == (4, "not yet", 2.5)


def test_skips_flags_and_releases(client: TestClient, queue: str) -> None:
    item = claim(client, kind="unit")
    lease = f"leases/{item['lease_id']}"
    assert post(client, f"{lease}/flag", {"note": "odd"})["flagged"]
    assert claim(client, kind="unit")["flagged"]
    assert not post(client, f"{lease}/flag", {"on": False})["flagged"]
    assert post(client, f"{lease}/release")["expires_at"] is None
    item = claim(client, kind="unit")
    post(client, f"leases/{item['lease_id']}/skip", {"reason": "not_qualified", "note": "law"})
    post(client, f"leases/{item['lease_id']}/skip", {"reason": "not_qualified"})
    assert post(client, f"leases/{item['lease_id']}/renew", status=409)["error"]["code"] == "conflict"
    listed = client.get("/api/review/items", params={"state": "skipped"}).json()["items"]
    assert [each["item_id"] for each in listed] == [item["item_id"]]
    acts = client.get(f"/api/review/items/{item['item_id'][:13]}/acts").json()["acts"]
    assert acts[-1]["act"] == "skipped"
    assert (acts[-1]["reason"], acts[-1]["note"], acts[-1]["reviewer"]) == ("not_qualified", "law", "ann")


def test_progress_is_mine_and_everybodys(client: TestClient, queue: str) -> None:
    before = client.get("/api/review/progress").json()
    assert before["me"]["waiting"] == len(queue_items(queue, limit=100))
    item = claim(client, kind="unit", theme="tools")
    post(client, f"leases/{item['lease_id']}/submit", {"rating": 5})
    after = client.get("/api/review/progress", params={"kind": "unit", "theme": "tools"}).json()
    assert (after["me"]["submitted"], after["me"]["submitted_today"], after["me"]["waiting"]) == (1, 1, 1)
    assert after["me"]["themes"] == [{"kind": "unit", "theme": "tools", "waiting": 1}]
    assert sum(each["complete"] for each in after["all"]) == 1
    bob = client.get("/api/review/progress", headers={"X-Regraft-Reviewer": "bob"}).json()
    assert (bob["me"]["reviewer"], bob["me"]["submitted"]) == ("bob", 0)


def test_the_guidelines_name_every_value_that_an_answer_may_have(client: TestClient) -> None:
    found = client.get("/api/review/guidelines").json()
    assert "Judge what is shown" in found["markdown"]
    names = [each["name"] for each in found["categories"]]
    assert "hallucination" in names
    assert found["categories"][0]["definition"]
    item = claim(client, kind="unit")
    body = {"rating": found["ratings"][-1]["rating"], "categories": names}
    post(client, f"leases/{item['lease_id']}/submit", body)
    for place in found["preferences"]:
        pair = claim(client, kind="pair")
        post(client, f"leases/{pair['lease_id']}/submit", {"preference": place})
    for reason in found["skip_reasons"]:
        item = claim(client, kind="unit")
        post(client, f"leases/{item['lease_id']}/skip", {"reason": reason})


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("claim", {"limit": 11}, "limit: "),
        ("claim", {"kind": "session"}, "kind: "),
        ("claim", {"model": "large"}, "model: "),
        ("claim", {"theme": "a\0b"}, "theme must not contain NUL"),
        ("leases/LEASE/submit", {}, "needs a rating or a preference"),
        ("leases/LEASE/submit", {"rating": 3, "preference": "first"}, "and not both"),
        ("leases/LEASE/submit", {"rating": 6}, "rating: "),
        ("leases/LEASE/submit", {"preference": "a"}, "preference: "),
        ("leases/LEASE/submit", {"preference": "first"}, "A path is rated"),
        ("leases/LEASE/submit", {"rating": 3, "categories": ["a\0"]}, "categories must not contain NUL"),
        ("leases/LEASE/submit", {"rating": 3, "seconds": -1}, "seconds: "),
        ("leases/LEASE/skip", {"reason": "boring"}, "reason: "),
        ("leases/nothing/skip", {"reason": "other"}, "lease_id: "),
    ],
)
def test_a_malformed_request_says_what_is_wrong(
    client: TestClient, path: str, body: dict[str, Any], message: str
) -> None:
    lease = claim(client, kind="unit")["lease_id"]
    failed = post(client, path.replace("LEASE", lease), body, status=400)
    assert message in failed["error"]["message"]


def test_notes_may_hold_anything_and_long_bodies_are_refused(client: TestClient, queue: str) -> None:
    lease = claim(client, kind="unit")["lease_id"]
    post(client, f"leases/{lease}/submit", {"rating": 3, "note": "NUL \0, <script>"})
    with transaction(queue) as connection:
        (label,) = connection.execute("SELECT note FROM human_eval_labels").fetchall()
    assert label["note"].endswith("<script>")
    long = client.post(f"/api/review/leases/{lease}/submit", json={"rating": 3, "note": "x" * 300_000})
    assert (long.status_code, long.json()["error"]["code"]) == (413, "too_long")


def test_a_token_judges_under_its_own_name(queue: str, tmp_path: Path) -> None:
    tokens = tmp_path / "web-tokens.json"
    _, secret = WebTokenStore(tokens).create("cyd", role="reviewer")
    shown = {"Authorization": f"Bearer {secret}"}
    with TestClient(make_app(queue, access=AccessControl(tokens=tokens)), raise_server_exceptions=False) as client:
        assert post(client, "claim", headers=shown)["reviewer"] == "cyd"
        assert post(client, "claim", headers={**ANN, **shown}, status=403)["error"]["message"].endswith("as cyd.")
        assert post(client, "claim", status=401)["error"]["code"] == "unauthorized"


def test_pages_of_other_sites_cannot_judge(client: TestClient) -> None:
    foreign = {"Origin": "https://example.com", "Content-Type": "text/plain"}
    reply = client.post("/api/review/claim", content=b"{}", headers=foreign)
    assert reply.status_code == 403
