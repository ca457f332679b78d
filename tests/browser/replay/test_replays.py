"""Replays in the browser: the form is estimated at once, the plan is watched, stopped, resumed, compared."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from browser.conftest import Visit
from support.filled_stack import FilledStack, node_of
from support.messages import system, user
from support.settled import settle
from support.shop_model import ShopModel
from support.shop_talks import named

JOBS = "jobs"  # the test id of the number of calls


@pytest.fixture
def model(filled: FilledStack) -> Iterator[ShopModel]:
    made = filled.deployment.model
    assert isinstance(made, ShopModel)
    yield made
    made.thinks = 0.0


@pytest.fixture
def node(filled: FilledStack, request: pytest.FixtureRequest) -> str:
    """A context of this test alone."""
    filled.client.call(
        [system("You are brief."), user(f"What does {request.node.name} cost?")], named(request.node.name, "sales")
    )
    filled.wait()
    return node_of(filled.deployment, filled.client.turns[-1])


def test_a_replay_is_counted_while_it_is_entered_and_its_answers_are_compared(
    visit: Visit, filled: FilledStack, node: str, model: ShopModel
) -> None:
    page = visit("admin")
    page.goto(f"/replay?nodes={node}")
    settle(page)
    expect(page.get_by_test_id(JOBS)).to_have_text("1")
    expect(page.get_by_label("Nodes", exact=True)).to_contain_text("You are brief.")
    page.get_by_label("Temperatures").fill("0.3, 0.9")
    page.get_by_label("Samples of each").fill("2")
    expect(page.get_by_test_id(JOBS)).to_have_text("4")
    page.get_by_role("button", name="large", exact=True).click()
    expect(page.get_by_test_id(JOBS)).to_have_text("8")
    start = page.get_by_role("button", name="Start")
    page.get_by_label("Temperatures").fill("0.3, hot")
    expect(page.get_by_role("alert").filter(has_text="hot")).to_be_visible()
    expect(start).to_be_disabled()
    expect(page).to_have_url(re.compile("hot"))
    page.get_by_label("Temperatures").fill("0.3, 0.9")
    expect(page).to_have_url(re.compile("temperature=0.3.*0.9"))
    page.reload()
    expect(page.get_by_test_id(JOBS)).to_have_text("8")  # the address holds what was entered

    model.thinks = 0.15
    start.click()
    expect(page).to_have_url(re.compile("/replays/[0-9a-f-]{36}"))
    progress = page.get_by_label("Progress", exact=True)
    expect(progress).to_contain_text("Running")
    expect(progress).to_contain_text("Done")
    expect(progress).to_contain_text("8 / 8")
    variants = page.get_by_label("Calls by variant")
    expect(variants.get_by_role("row")).to_have_count(5)

    page.get_by_role("link", name="Compare answers").click()
    settle(page)
    expect(page.get_by_role("heading", name="9 answers")).to_be_visible()
    page.get_by_role("button", name="model large, temperature 0.3").click()
    expect(page.get_by_role("heading", name="2 answers of 9")).to_be_visible()
    cards = page.get_by_role("article", name=re.compile("^Answer"))
    expect(cards).to_have_count(3)  # the base stays beside them
    expect(cards.nth(1).locator("ins").first).to_be_visible()
    cards.nth(1).get_by_role("button", name="Use as base").click()
    expect(page).to_have_url(re.compile(r"variant=\w+.*base=\d"))
    shown = page.url
    page.goto(shown)
    expect(page.get_by_role("heading", name="2 answers of 9")).to_be_visible()
    grown = cards.nth(0).get_by_role("link").get_attribute("href")
    status, found = filled.web.ask("GET", f"/api{grown}", token=filled.tokens["admin"])
    assert (status, found["run_records"][0]["purpose"]) == (200, "replay")
    with page.expect_download() as saved:
        page.get_by_role("button", name="CSV").click()
    assert saved.value.path().read_text().count("model large") == 2


def test_a_plan_is_cancelled_and_gone_on_with_and_asks_nothing_twice(
    visit: Visit, filled: FilledStack, node: str, model: ShopModel
) -> None:
    model.thinks = 0.4
    asked = len(model.asked)
    page = visit("admin")
    page.goto(f"/replay?nodes={node}&temperature=0.5&samples=16")
    settle(page)
    expect(page.get_by_test_id(JOBS)).to_have_text("16")
    page.get_by_role("button", name="Start").click()
    progress = page.get_by_label("Progress", exact=True)
    expect(progress).to_contain_text(re.compile(r"[1-9] / 16"))
    page.get_by_role("button", name="Cancel").click()
    expect(progress).to_contain_text("Cancelled")
    stopped_at = len(model.asked) - asked
    assert stopped_at < 16
    model.thinks = 0.0
    page.get_by_role("button", name="Resume").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Calls at once").fill("4")
    dialog.get_by_role("button", name="Resume").click()
    expect(progress).to_contain_text("16 / 16")
    expect(progress).to_contain_text("Done")
    assert len(model.asked) - asked == 16
    page.get_by_role("tab", name="Calls (16)").click()
    expect(page.get_by_role("row").filter(has_text="done")).to_have_count(16)


def test_failures_are_told_by_reason(visit: Visit, filled: FilledStack, node: str) -> None:
    page = visit("admin")
    page.goto(f"/replay?nodes={node}&user=please+fail&samples=2")
    settle(page)
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_label("Progress", exact=True)).to_contain_text("Ended with failures")
    page.get_by_role("tab", name="Failures (2)").click()
    expect(page.get_by_text("out of memory")).to_be_visible()
    page.goto("/replays")
    expect(page.get_by_role("row").filter(has_text="2 failed")).to_be_visible()


def test_who_only_reads_is_told_so(visit: Visit, node: str) -> None:
    page = visit("viewer")
    page.goto(f"/replay?nodes={node}&temperature=0.2")
    settle(page)
    expect(page.get_by_text("Only admins can start replays")).to_be_visible()
    expect(page.get_by_role("button", name="Start")).to_be_disabled()


def test_the_form_is_filled_by_keyboard_alone(visit: Visit, node: str) -> None:
    page: Page = visit("admin")
    page.goto(f"/replay?nodes={node}")
    settle(page)
    page.get_by_label("Another model").focus()
    page.keyboard.type("large")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("0.4")
    expect(page).to_have_url(re.compile("temperature=0.4"))
    expect(page.get_by_role("button", name="Start")).to_be_enabled()
    page.keyboard.press("Control+Enter")
    expect(page).to_have_url(re.compile("/replays/[0-9a-f-]{36}"))
    expect(page.get_by_label("Progress", exact=True)).to_contain_text("Done")
