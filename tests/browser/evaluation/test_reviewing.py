"""A reviewer at the desk, by keyboard: judging, undoing, drafts, lost connections, other keys, several reviewers."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from browser.conftest import Visit
from support.filled_stack import FilledStack
from support.page_guard import PageGuard
from support.waiting import until

SHOWN = "[data-lease]:not([hidden])"
LABELS = """SELECT l.item_id, l.decided_by, l.preference, l.note, l.seconds FROM current_preference_labels l
    WHERE l.source = 'human' AND l.item_id IS NOT NULL ORDER BY l.created_at"""
TWICE = """SELECT item_id, decided_by FROM current_preference_labels WHERE item_id IS NOT NULL
    GROUP BY 1, 2 HAVING count(*) > 1"""
TOO_MANY = """SELECT q.item_id FROM human_sample_queue q WHERE q.done + q.leased > q.needed
    OR (SELECT count(*) FROM review_leases l WHERE l.item_id = q.item_id AND l.ended IS NULL) > q.needed"""


@pytest.fixture
def desk(visit: Visit, filled: FilledStack) -> Page:
    """Ann's desk with a pair on it; what she held before is given back."""
    return desk_of(visit, filled, "ann")


def desk_of(visit: Visit, filled: FilledStack, name: str) -> Page:
    filled.command("queue", "requeue", "--release", name)
    page = visit(name)
    page.goto("/review")
    expect(page.locator(SHOWN)).to_be_visible()
    return page


def shown(page: Page) -> str:
    expect(page.locator(SHOWN)).to_be_visible()
    lease = page.locator(SHOWN).get_attribute("data-lease")
    assert lease
    return lease


def press(page: Page, key: str) -> str:
    """Press a key that moves on; the lease that was shown before."""
    before = shown(page)
    page.keyboard.press(key)
    expect(page.locator(f'[data-lease="{before}"]:not([hidden])')).to_have_count(0)
    return before


def labels(filled: FilledStack, name: str = "ann") -> list[dict[str, Any]]:
    return [dict(row) for row in filled.deployment.ask(LABELS) if row["decided_by"] == name]


def until_labels(filled: FilledStack, count: int, name: str = "ann") -> list[dict[str, Any]]:
    until(lambda: len(labels(filled, name)) == count, 15)
    return labels(filled, name)


def test_ten_pairs_are_judged_blind_by_keyboard_alone(desk: Page, filled: FilledStack) -> None:
    before = len(labels(filled))
    claims: list[str] = []
    desk.on("response", lambda reply: claims.append(reply.text()) if reply.url.endswith("/claim") else None)
    for number, key in enumerate("abexabexab"):
        if number == 4:
            desk.keyboard.press("c")
            desk.keyboard.type("clearer, and right")
            desk.keyboard.press("Escape")
        press(desk, key)
    made = until_labels(filled, before + 10)[-10:]
    assert claims
    assert not [name for name in ('"model"', '"purpose"', "branch_kind", "node_") if name in "".join(claims)]
    assert sum(label["note"] == "clearer, and right" for label in made) == 1
    assert {label["preference"] for label in made} >= {"equal", "both_bad"}
    assert all(label["seconds"] is not None and label["seconds"] < 60 for label in made)


def test_undo_takes_back_and_shows_what_was_said(desk: Page, filled: FilledStack) -> None:
    before = len(labels(filled))
    first = press(desk, "e")
    press(desk, "x")
    until_labels(filled, before + 2)
    desk.keyboard.press("u")
    desk.keyboard.press("u")
    until_labels(filled, before)
    assert shown(desk) == first
    expect(desk.get_by_role("button", name="Equal")).to_have_attribute("aria-pressed", "true")
    press(desk, "a")
    assert until_labels(filled, before + 1)[-1]["preference"] in {"a", "b"}


def test_a_draft_survives_a_reload_and_follows_to_another_browser(
    desk: Page, visit: Visit, filled: FilledStack
) -> None:
    lease = shown(desk)
    desk.keyboard.press("c")
    with desk.expect_response(lambda reply: reply.url.endswith("/renew")):
        desk.keyboard.type("a and b, not submitted: abex")
        desk.reload()
        assert shown(desk) == lease
        expect(desk.get_by_role("textbox", name="Comment")).to_have_value("a and b, not submitted: abex")
        desk.get_by_role("textbox", name="Comment").press("End")
        desk.keyboard.type("!")
    other = visit("ann")
    other.goto("/review")
    assert shown(other) == lease
    expect(other.get_by_role("textbox", name="Comment")).to_have_value("a and b, not submitted: abex!")


def test_an_answer_given_without_a_connection_is_kept_and_arrives(
    desk: Page, filled: FilledStack, guard: PageGuard
) -> None:
    guard.allow("ERR_INTERNET_DISCONNECTED|Failed to fetch")
    before = len(labels(filled))
    desk.context.set_offline(True)
    lease = press(desk, "a")
    expect(desk.get_by_text("1 answer could not be saved")).to_be_visible()
    desk.keyboard.press("k")
    assert shown(desk) == lease
    expect(desk.get_by_role("button", name="A is better")).to_have_attribute("aria-pressed", "true")
    assert len(labels(filled)) == before
    desk.context.set_offline(False)
    expect(desk.get_by_text("could not be saved")).to_have_count(0)
    until_labels(filled, before + 1)
    expect(desk.get_by_text("✓ saved")).to_be_visible()


def test_an_answer_that_did_not_arrive_before_a_reload_arrives_after_it(
    desk: Page, filled: FilledStack, guard: PageGuard
) -> None:
    guard.allow("ERR_FAILED|Failed to fetch")
    before = len(labels(filled))
    desk.route("**/submit", lambda route: route.abort())
    lease = press(desk, "b")
    expect(desk.get_by_text("1 answer could not be saved")).to_be_visible()
    desk.unroute("**/submit")
    desk.reload()
    assert shown(desk) != lease
    until_labels(filled, before + 1)


def test_what_the_server_refuses_is_rolled_back(desk: Page, guard: PageGuard) -> None:
    guard.allow("409")
    refusal = {"error": {"code": "conflict", "message": "What you were shown has changed since."}}
    desk.route("**/submit", lambda route: route.fulfill(status=409, json=refusal))
    lease = press(desk, "a")
    expect(desk.get_by_text("An answer was refused. What you were shown has changed since.")).to_be_visible()
    desk.get_by_role("button", name="Go to it").click()
    assert shown(desk) == lease
    expect(desk.get_by_role("button", name="A is better")).to_have_attribute("aria-pressed", "true")


def test_keys_do_nothing_while_text_is_written_or_a_dialog_is_open(desk: Page, filled: FilledStack) -> None:
    lease = shown(desk)
    desk.keyboard.press("c")
    desk.keyboard.type("abexjkusf?")
    assert shown(desk) == lease
    expect(desk.get_by_role("textbox", name="Comment")).to_have_value("abexjkusf?")
    desk.keyboard.press("Escape")
    desk.keyboard.press("s")
    dialog = desk.get_by_role("dialog", name="Skip")
    expect(dialog).to_be_visible()
    desk.keyboard.press("a")
    assert shown(desk) == lease
    desk.keyboard.press("2")
    expect(dialog).to_have_count(0)
    assert shown(desk) != lease
    skipped = "SELECT reason FROM review_acts WHERE lease_id = %(lease)s AND act = 'skipped'"
    until(lambda: bool(filled.deployment.ask(skipped, lease=lease)), 15)
    assert filled.deployment.ask(skipped, lease=lease)[0]["reason"] == "too_long"


def test_a_path_is_rated_with_categories_by_numbers(desk: Page, filled: FilledStack) -> None:
    desk.goto("/review?kind=unit")
    lease = shown(desk)
    desk.keyboard.press("4")
    desk.keyboard.press("ArrowDown")
    desk.keyboard.press("3")
    desk.keyboard.press("5")
    desk.keyboard.press("ArrowDown")
    desk.keyboard.type("a tool would help")
    desk.keyboard.press("Control+Enter")
    assert shown(desk) != lease
    found = (
        "SELECT l.* FROM current_human_eval_labels l JOIN review_leases r USING (label_id) WHERE lease_id = %(lease)s"
    )
    until(lambda: bool(filled.deployment.ask(found, lease=lease)), 15)
    (label,) = filled.deployment.ask(found, lease=lease)
    assert (label["rating"], label["note"]) == (4, "a tool would help")
    assert sorted(label["categories"]) == ["hallucination", "overlong"]


def test_a_key_can_be_another_one_unless_it_is_taken(desk: Page) -> None:
    desk.get_by_role("button", name="Keys", exact=True).click()
    change = desk.get_by_role("button", name="A is better: a. Change")
    change.click()
    desk.keyboard.press("b")
    expect(desk.get_by_role("alert")).to_contain_text("B is better")
    desk.keyboard.press("h")
    expect(desk.get_by_role("button", name="A is better: h. Change")).to_be_visible()
    desk.keyboard.press("Escape")
    lease = shown(desk)
    desk.keyboard.press("a")
    assert shown(desk) == lease
    press(desk, "h")
    desk.reload()
    press(desk, "h")
    desk.keyboard.press("?")
    expect(desk.get_by_role("dialog", name="Keys")).to_contain_text("A is better")


def test_a_hold_that_ran_out_is_said_and_an_answer_still_counts(
    desk: Page, filled: FilledStack, guard: PageGuard
) -> None:
    guard.allow("409")
    before = len(labels(filled))
    filled.command("queue", "requeue", "--release", "ann")
    desk.keyboard.press("c")
    desk.keyboard.type("long thought")
    desk.keyboard.press("Escape")
    expect(desk.get_by_text("Your claim on this item expired")).to_be_visible()
    expect(desk.get_by_role("textbox", name="Comment")).to_have_value("long thought")
    press(desk, "b")
    assert until_labels(filled, before + 1)[-1]["note"] == "long thought"


def test_two_reviewers_at_once_get_no_item_too_often(visit: Visit, filled: FilledStack) -> None:
    pages = [desk_of(visit, filled, name) for name in ("ann", "bob")]
    before = [len(labels(filled, name)) for name in ("ann", "bob")]
    for _ in range(4):
        for page in pages:
            press(page, "a")
    for name, count in zip(("ann", "bob"), before, strict=True):
        until_labels(filled, count + 4, name)
    assert filled.deployment.ask(TWICE) == []
    assert filled.deployment.ask(TOO_MANY) == []


def test_who_only_reads_is_told_how_to_judge(visit: Visit) -> None:
    page = visit("viewer")
    page.goto("/review")
    expect(page.get_by_text("You can read, but not judge")).to_be_visible()


def test_where_nothing_waits_it_is_said_what_to_do(visit: Visit) -> None:
    for role, says in (("ann", "An admin can fill the queue"), ("admin", "Fill the queue")):
        page = visit(role)
        page.goto("/review?theme=nowhere")
        expect(page.get_by_text("No item waits for you")).to_be_visible()
        expect(page.locator("main")).to_contain_text(says)
        page.get_by_role("link", name="Drop the filter").click()
        expect(page.locator(SHOWN)).to_be_visible()
