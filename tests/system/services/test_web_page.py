"""The files of the page: which file is sent for an address, and that nothing else is served."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from regraft.flows.access import AccessControl
from regraft.presentation.web.app import HEADERS, make_app
from regraft.presentation.web.page import MISSING, BuiltPage

START = "<!doctype html><title>Regraft</title>"
SCRIPT = "export const words = [" + "'a'," * 1000 + "];"


@pytest.fixture
def page(tmp_path: Path) -> TestClient:
    folder = tmp_path / "built"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text(START)
    (folder / "assets" / "index-abc.js").write_text(SCRIPT)
    (folder / ".sources").write_text("a digest")
    (tmp_path / "secret.txt").write_text("a secret")
    return TestClient(BuiltPage(folder))


@pytest.mark.parametrize("path", ["/", "/sessions", "/sessions/0192f0a1", "/datasets/diff/a/b"])
def test_every_address_of_the_page_is_its_start(page: TestClient, path: str) -> None:
    answer = page.get(path)
    assert (answer.status_code, answer.text) == (200, START)
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["cache-control"] == "no-cache"


def test_a_file_with_a_digest_in_its_name_is_kept_for_ever(page: TestClient) -> None:
    answer = page.get("/assets/index-abc.js")
    assert answer.text == SCRIPT
    assert "immutable" in answer.headers["cache-control"]
    assert "javascript" in answer.headers["content-type"]


def test_files_are_packed_for_clients_that_take_it(page: TestClient) -> None:
    with page.stream("GET", "/assets/index-abc.js", headers={"Accept-Encoding": "gzip"}) as answer:
        packed = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert len(packed) < len(SCRIPT) / 10
    assert gzip.decompress(packed).decode() == SCRIPT
    plain = page.get("/assets/index-abc.js", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers


def test_an_unchanged_file_is_not_sent_again(page: TestClient) -> None:
    tag = page.get("/").headers["etag"]
    again = page.get("/", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    ["/assets/gone.js", "/.sources", "/../secret.txt", "/assets/../../secret.txt", "/%2e%2e/secret.txt", "/robots.txt"],
)
def test_other_files_are_not_found(page: TestClient, path: str) -> None:
    answer = page.get(path)
    assert answer.status_code == 404
    assert "secret" not in answer.text.replace("secret.txt", "")


def test_the_page_is_only_read(page: TestClient) -> None:
    answer = page.post("/")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_a_checkout_without_the_page_says_how_to_build_it(tmp_path: Path) -> None:
    answer = TestClient(BuiltPage(tmp_path / "none")).get("/")
    assert (answer.status_code, answer.text) == (404, MISSING)


def test_the_page_needs_no_token_and_runs_only_its_own_code(truth: str) -> None:
    with TestClient(make_app(truth, access=AccessControl("a-token-of-32-characters-or-more"))) as client:
        start, data, unknown = client.get("/"), client.get("/api/sessions"), client.get("/api/none")
    assert (data.status_code, unknown.status_code) == (401, 401)
    assert start.status_code in (200, 404)  # built or not
    for name, value in HEADERS.items():
        if name != "Cache-Control":
            assert start.headers[name] == value
