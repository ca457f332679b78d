"""Access to the web UI: roles, browser sessions, and attacks by foreign pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from regraft.domain.errors import ConfigError
from regraft.flows.access import AccessControl, SessionPolicy
from regraft.infra.files.owner_token import OwnerTokenFile
from regraft.infra.files.web_tokens import WebTokenStore
from regraft.infra.postgres.pool import connect
from regraft.presentation.web.app import make_app

PAGE = {"X-Regraft-Csrf": "sign-in"}
COOKIE = "regraft_4701"


@pytest.fixture
def tokens(tmp_path: Path) -> WebTokenStore:
    return WebTokenStore(tmp_path / "web-tokens.json")


@pytest.fixture
def owner(tmp_path: Path) -> OwnerTokenFile:
    return OwnerTokenFile(tmp_path / "data")


@pytest.fixture
def client(truth: str, tokens: WebTokenStore, owner: OwnerTokenFile) -> Iterator[TestClient]:
    with browser(truth, AccessControl(tokens=tokens.path, owner=owner)) as opened:
        yield opened


def browser(truth: str, access: AccessControl, url: str = "http://127.0.0.1:4701") -> TestClient:
    """A client that keeps cookies, as a browser of one person does."""
    return TestClient(make_app(truth, ("regraft.example",), access), base_url=url, raise_server_exceptions=False)


def sign_in(client: TestClient, token: str) -> dict[str, Any]:
    reply = client.post("/api/sign-in", json={"token": token}, headers=PAGE)
    assert reply.status_code == 200, reply.text
    me: dict[str, Any] = reply.json()
    return me


def code(reply: httpx2.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["error"]["code"]


def claim(client: TestClient, **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/api/review/claim", json={}, headers=named)


def test_without_a_token_everything_is_read_and_nothing_is_written(client: TestClient) -> None:
    me = client.get("/api/me").json()
    assert me == {"name": None, "role": "viewer", "scope": None, "signed_in": False, "csrf": ""}
    assert client.get("/api/sessions").status_code == 200
    refused = claim(client)
    assert code(refused) == (403, "forbidden")
    assert "regraft open" in refused.json()["error"]["message"]
    assert client.get("/api/review/progress").status_code == 200


def test_the_owner_signs_in_and_out(client: TestClient, owner: OwnerTokenFile) -> None:
    me = sign_in(client, owner.find_or_make())
    assert (me["role"], me["scope"], me["signed_in"]) == ("admin", None, True)
    assert me["name"]
    assert client.get("/api/me").json() == me
    assert claim(client, X_Regraft_Csrf=me["csrf"]).status_code == 200
    kept = client.cookies.get(COOKIE)
    assert client.post("/api/sign-out", headers={"X-Regraft-Csrf": me["csrf"]}).status_code == 200
    assert COOKIE not in client.cookies
    assert not client.get("/api/me", headers={"Cookie": f"{COOKIE}={kept}"}).json()["signed_in"]


@pytest.mark.parametrize(("role", "may"), [("viewer", False), ("reviewer", True), ("admin", True)])
def test_a_role_says_what_may_be_done(client: TestClient, tokens: WebTokenStore, role: Any, may: bool) -> None:
    secret = tokens.create("ann", role=role)[1]
    me = sign_in(client, secret)
    assert (me["name"], me["role"]) == ("ann", role)
    for headers in ({"Authorization": f"Bearer {secret}"}, {"X-Regraft-Csrf": me["csrf"]}):
        reply = client.post("/api/review/claim", json={}, headers=headers)
        assert (reply.status_code == 200) is may, reply.text
        if may:
            assert reply.json()["reviewer"] == "ann"
        else:
            assert "--role reviewer" in reply.json()["error"]["message"]


def test_the_cookie_is_kept_from_scripts_and_from_other_sites(client: TestClient, owner: OwnerTokenFile) -> None:
    reply = client.post("/api/sign-in", json={"token": owner.find_or_make()}, headers=PAGE)
    name, _, flags = reply.headers["set-cookie"].partition("=")
    assert name == COOKIE
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {flag.strip() for flag in flags.split(";")}
    assert "Domain" not in flags
    assert "Secure" not in flags


def test_over_https_the_cookie_stays_there_and_no_other_host_sets_it(truth: str, owner: OwnerTokenFile) -> None:
    token = owner.find_or_make()
    behind_a_proxy = AccessControl(owner=owner, sessions=SessionPolicy(https=True))
    with browser(truth, behind_a_proxy, "http://regraft.example") as client:
        shown = client.post("/api/sign-in", json={"token": token}, headers=PAGE).headers["set-cookie"]
    assert shown.startswith("__Host-regraft_443=")
    assert "; Secure" in shown
    with browser(truth, AccessControl(owner=owner), "https://regraft.example:8443") as client:
        sign_in(client, token)
        assert client.get("/api/me").json()["signed_in"]
        assert "__Host-regraft_8443" in client.cookies


def test_servers_on_two_ports_do_not_sign_each_others_browsers_out(truth: str, owner: OwnerTokenFile) -> None:
    token = owner.find_or_make()
    with browser(truth, AccessControl(owner=owner)) as client:
        sign_in(client, token)
        first = client.cookies.get(COOKIE)
        client.base_url = httpx2.URL("http://127.0.0.1:4711")
        assert not client.get("/api/me").json()["signed_in"]
        sign_in(client, token)
        assert client.cookies.get(COOKIE) == first
        assert client.cookies.get("regraft_4711") not in (None, first)


def test_a_foreign_page_cannot_use_a_browser_that_is_signed_in(client: TestClient, owner: OwnerTokenFile) -> None:
    csrf = sign_in(client, owner.find_or_make())["csrf"]
    for headers in (
        {},
        {"X-Regraft-Csrf": ""},
        {"X-Regraft-Csrf": "x" * len(csrf)},
        {"X-Regraft-Csrf": "é"},
        # Pages of other ports are of the same site, and their requests bear the cookie.
        {"X-Regraft-Csrf": csrf, "Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "same-site"},
        {"X-Regraft-Csrf": csrf, "Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"X-Regraft-Csrf": csrf, "Origin": "null"},
        {"X-Regraft-Csrf": csrf, "Host": "rebound.example:4701"},
    ):
        assert code(client.post("/api/review/claim", json={}, headers=_bytes(headers))) == (403, "forbidden"), headers
        assert code(client.post("/api/sign-out", headers=_bytes(headers))) == (403, "forbidden"), headers
    read = {"Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}
    assert code(client.get("/api/me", headers=read)) == (403, "forbidden")
    assert code(client.get("/api/me", headers={"Sec-Fetch-Site": "same-site"})) == (403, "forbidden")
    assert claim(client, X_Regraft_Csrf=csrf).status_code == 200


def _bytes(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def test_no_page_signs_a_browser_in_as_somebody_else(client: TestClient, owner: OwnerTokenFile) -> None:
    body = {"token": owner.find_or_make()}
    assert code(client.post("/api/sign-in", json=body)) == (403, "forbidden")  # what a form of a foreign page can send
    for origin in ("https://evil.example", "http://127.0.0.1:3000"):
        assert client.post("/api/sign-in", json=body, headers={**PAGE, "Origin": origin}).status_code == 403
    assert COOKIE not in client.cookies
    mine, planted = sign_in(client, body["token"]), "x" * 43
    both = {"Cookie": f"{COOKIE}={client.cookies.get(COOKIE)}; {COOKIE}={planted}"}
    client.cookies.clear()
    assert mine["signed_in"]
    assert not client.get("/api/me", headers=both).json()["signed_in"]


def test_a_sign_in_makes_a_session_of_its_own(client: TestClient, owner: OwnerTokenFile) -> None:
    client.cookies.set(COOKIE, "chosen-by-somebody-else", domain="127.0.0.1")
    sign_in(client, owner.find_or_make())
    first = client.cookies.get(COOKIE, domain="127.0.0.1")
    assert first != "chosen-by-somebody-else"
    sign_in(client, owner.find_or_make())
    second = client.cookies.get(COOKIE, domain="127.0.0.1")
    assert second != first
    client.cookies.clear()
    assert not client.get("/api/me", headers={"Cookie": f"{COOKIE}={first}"}).json()["signed_in"]
    assert client.get("/api/me", headers={"Cookie": f"{COOKIE}={second}"}).json()["signed_in"]


def test_every_wrong_token_gets_the_same_answer_and_few_can_be_tried(
    client: TestClient, tokens: WebTokenStore, owner: OwnerTokenFile
) -> None:
    revoked, secret = tokens.create("ann")
    tokens.revoke(revoked.key_id)
    good = owner.find_or_make()
    wrong = (secret, good[:-1], "rgw_", "é", "x" * 500, "\x00")
    replies = [_try(client, token) for token in (*wrong, *wrong[:4])]
    assert {code(reply) for reply in replies} == {(401, "unauthorized")}
    assert len({reply.text for reply in replies}) == 1
    for token in (wrong[0], good):  # anyone who guesses does not learn whether the last guess was right
        late = _try(client, token)
        assert code(late) == (429, "too_many_requests")
        assert 0 < int(late.headers["retry-after"]) <= 60
    assert "regraft_4701" not in client.cookies


def _try(client: TestClient, token: str) -> httpx2.Response:
    body = json.dumps({"token": token}).encode()
    return client.post("/api/sign-in", content=body, headers={**PAGE, "Content-Type": "application/json"})


def test_a_revoked_token_ends_its_browsers(client: TestClient, tokens: WebTokenStore) -> None:
    token, secret = tokens.create("ann", "alpha", role="reviewer")
    assert sign_in(client, secret)["scope"] == "alpha"
    tokens.revoke(token.key_id)
    tokens.create("bob")
    _forget_what_was_read(client)
    assert code(client.get("/api/me")) == (401, "unauthorized")


def test_a_new_owner_token_ends_the_browsers_of_the_old_one(client: TestClient, owner: OwnerTokenFile) -> None:
    former = owner.find_or_make()
    sign_in(client, former)
    owner.path.unlink()
    assert owner.find_or_make() != former
    _forget_what_was_read(client)
    assert not client.get("/api/me").json()["signed_in"]


def _forget_what_was_read(client: TestClient) -> None:
    """As if a second had gone by: files and sessions are looked at again."""
    sessions = client.app.state.sessions  # type: ignore[attr-defined]
    sessions._seen.clear()
    access = sessions._access
    access._owner._looked = access._store._looked = float("-inf")


def test_what_is_stored_of_a_session_opens_nothing(client: TestClient, truth: str, owner: OwnerTokenFile) -> None:
    token = owner.find_or_make()
    csrf = sign_in(client, token)["csrf"]
    with connect(truth) as connection:
        (row,) = connection.execute("SELECT b::text AS row FROM browser_sessions b").fetchall()
    for secret in (token, str(client.cookies.get(COOKIE)), csrf):
        assert secret not in row["row"]
        assert secret.encode().hex() not in row["row"]
    assert owner.path.stat().st_mode & 0o077 == 0


def test_a_session_ends_unless_it_is_used(truth: str, owner: OwnerTokenFile) -> None:
    access = AccessControl(owner=owner, sessions=SessionPolicy(idle=timedelta(days=2)))
    with browser(truth, access) as client:
        sign_in(client, owner.find_or_make())
        for ago, expected in ((1, True), (3, False)):
            with connect(truth, autocommit=True) as connection:
                connection.execute(
                    "UPDATE browser_sessions SET last_used_at = last_used_at - make_interval(days => %(ago)s),"
                    " expires_at = expires_at - make_interval(days => %(ago)s)",
                    {"ago": ago},
                )
            client.app.state.sessions._seen.clear()  # type: ignore[attr-defined]
            assert client.get("/api/me").json()["signed_in"] is expected
        sign_in(client, owner.find_or_make())
        with connect(truth) as connection:  # what is over is forgotten
            assert connection.execute("SELECT count(*) AS n FROM browser_sessions").fetchone() == {"n": 1}


def test_where_a_token_is_needed_a_browser_signs_in_too(truth: str) -> None:
    with browser(truth, AccessControl("a-token-of-sixteen-signs")) as client:
        for path in ("/api/me", "/api/sessions", "/metrics"):
            assert code(client.get(path)) == (401, "unauthorized")
            assert client.head(path).status_code == 401
        assert sign_in(client, "a-token-of-sixteen-signs")["role"] == "admin"
        assert client.get("/api/sessions").status_code == 200
        assert client.head("/api/sessions").status_code == 200
        # A token that is shown counts alone.
        assert code(client.get("/api/sessions", headers={"Authorization": "Bearer wrong"})) == (401, "unauthorized")


def test_tokens_of_earlier_versions_keep_what_they_may_do(tokens: WebTokenStore) -> None:
    made = {name: tokens.create(name)[1] for name in ("reads", "judges")}
    stored = json.loads(tokens.path.read_text())
    for key in stored["keys"]:
        del key["role"]
        key["review"] = key["name"] == "judges"
    tokens.path.write_text(json.dumps(stored))
    access = AccessControl(tokens=tokens.path)
    grants = {name: access.grant(secret) for name, secret in made.items()}
    assert {name: grant and grant.role for name, grant in grants.items()} == {"reads": "viewer", "judges": "reviewer"}


def test_a_file_of_the_owners_token_that_others_can_read_is_not_used(owner: OwnerTokenFile) -> None:
    assert owner.find_or_make() == OwnerTokenFile(owner.path.parent).find_or_make()
    owner.path.chmod(0o640)
    with pytest.raises(ConfigError, match="Other accounts can read"):
        OwnerTokenFile(owner.path.parent).current()
