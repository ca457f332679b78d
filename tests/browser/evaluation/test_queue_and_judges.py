"""The administrator of the review: fills the queue, adjudicates disputes, and sees which judges are calibrated."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from browser.conftest import Visit
from support.filled_stack import JUDGE, FilledStack
from support.waiting import until

DECIDED = "SELECT count(*) AS found FROM review_acts WHERE act = 'adjudicated'"


def test_an_admin_fills_the_queue_in_the_page(visit: Visit) -> None:
    page = visit("admin")
    page.goto("/review/queue")
    page.get_by_role("button", name="Fill the queue").click()
    expect(page).to_have_url(re.compile("fill=1"))
    page.get_by_label("People who judge each").fill("2")
    page.get_by_role("button", name="Fill", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="added")).to_contain_text("open", timeout=60_000)


def test_a_reviewer_cannot_fill_it_and_sees_no_gold(visit: Visit) -> None:
    page = visit("ann")
    page.goto("/review/queue")
    expect(page.get_by_role("tab", name="Progress")).to_be_visible()
    expect(page.get_by_role("button", name="Fill the queue")).to_have_count(0)
    expect(page.get_by_role("tab", name="Gold")).to_have_count(0)


def test_what_people_differ_on_is_decided_by_a_key(visit: Visit, filled: FilledStack) -> None:
    (before,) = filled.deployment.ask(DECIDED)
    page = visit("admin")
    page.goto("/review/queue?tab=differences")
    expect(page.get_by_text(re.compile(r"said: "))).to_be_visible()
    page.keyboard.press("e" if page.get_by_role("button", name="Both bad").count() else "3")
    until(lambda: filled.deployment.ask(DECIDED)[0]["found"] == before["found"] + 1, 15)


def test_an_uncalibrated_judge_says_so_in_words(visit: Visit) -> None:
    page = visit("ann")
    page.goto("/judges")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name=JUDGE, exact=True))
    expect(row).to_contain_text(re.compile("✓ calibrated|✕ uncalibrated"))
    expect(row).to_contain_text(re.compile(r"n \d+"))
    row.get_by_role("link", name=JUDGE, exact=True).click()
    expect(page.get_by_role("heading", name=JUDGE)).to_be_visible()
    expect(page.get_by_role("heading", name="Rubric")).to_be_visible()


def test_items_on_which_a_judge_differs_are_sent_to_review(visit: Visit) -> None:
    page = visit("ann")
    page.goto(f"/judges/{JUDGE}")
    page.get_by_role("button", name=re.compile("Send all")).click()
    expect(page.get_by_role("status").filter(has_text="queued first")).to_be_visible()
    page.get_by_role("table", name="Disagreements").or_(page.get_by_role("region", name="Disagreements")).get_by_role(
        "link"
    ).first.click()
    expect(page).to_have_url(re.compile("/(nodes|sessions)/"))
