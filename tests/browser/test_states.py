"""Pages with nothing to show say what to do; pages whose server is gone say so, and continue when it is back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from browser.conftest import Visit, bare_web
from regraft.infra.embedded.postgres import PostgresEndpoint
from support.accessibility import violations
from support.page_addresses import patterns
from support.page_guard import PageGuard
from support.settled import failure, settle
from support.web_process import WebProcess

LISTS = [path for path in patterns() if ":" not in path and path not in ("/sign-in", "/replay")]
NOWHERE = "00000000-0000-7000-8000-000000000000"
OF_ONE = [path for path in patterns() if ":" in path]


@pytest.fixture
def mortal_web(postgres: PostgresEndpoint, built_page: None, tmp_path: Path) -> Iterator[WebProcess]:
    """A web process that a test may stop."""
    with bare_web(postgres, tmp_path) as web:
        yield web


def test_every_page_of_an_empty_deployment_says_what_to_do(
    visit: Visit, empty_web: WebProcess, artefacts: Path
) -> None:
    page = visit(web=empty_web)
    faults: list[str] = []
    for path in LISTS:
        page.goto(path)
        settle(page)
        name = path.strip("/").replace("/", "-") or "start"
        page.screenshot(path=artefacts / f"empty-{name}.png")
        faults += [f"{path}: {fault}" for fault in (failure(page), *violations(page)) if fault]
        if len(page.locator("main").inner_text().split()) < 5:
            faults.append(f"{path}: says nothing")
    assert not faults, "\n".join(faults)


def test_a_thing_that_does_not_exist_is_said_to_be_missing(
    visit: Visit, empty_web: WebProcess, guard: PageGuard
) -> None:
    guard.allow(r"Failed to load resource: the server responded with a status of 40[04]")
    page = visit(web=empty_web)
    faults: list[str] = []
    for pattern in OF_ONE:
        path = "/".join(NOWHERE if part.startswith(":") else part for part in pattern.split("/"))
        page.goto(path)
        settle(page)
        if not failure(page) and "no " not in page.locator("main").inner_text().lower():
            faults.append(f"{pattern}: does not say that there is no such thing")
    assert not faults, "\n".join(faults)
    page.goto("/no/such/page")
    expect(page.get_by_role("heading", level=1)).to_have_text("No such page")


def test_every_page_says_that_the_server_is_gone_and_goes_on_when_it_is_back(
    visit: Visit, mortal_web: WebProcess, guard: PageGuard
) -> None:
    guard.allow(r"net::ERR_CONNECTION_REFUSED|net::ERR_INCOMPLETE_CHUNKED|net::ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET")
    page = visit(web=mortal_web)
    page.goto("/")
    settle(page)
    page.route("**/api/**", lambda route: route.abort("connectionrefused"))
    faults: list[str] = []
    for path in LISTS:
        page.goto(path)
        settle(page)
        if page.get_by_role("alert").count() == 0:
            faults.append(f"{path}: says nothing of the server that does not answer")
    page.unroute("**/api/**")
    assert not faults, "\n".join(faults)
    page.goto("/")
    settle(page)
    mortal_web.stop()
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Themes").click()
    expect(page.get_by_role("alert").first).to_be_visible()
    mortal_web.start()
    page.get_by_role("button", name="Try again").first.click()
    expect(page.get_by_role("alert")).to_have_count(0)
    settle(page)
