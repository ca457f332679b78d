"""The page of a tree: by keys from the root to a leaf, found by words, answers side by side, kept as a file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from browser.conftest import Visit
from support.filled_stack import FilledStack
from support.messages import system, user
from support.settled import settle
from support.shop_talks import named

PAINTED = "canvas[data-painted]"


@pytest.fixture
def tree(visit: Visit, filled: FilledStack) -> Page:
    """The tree of a session that has replays, before an administrator."""
    page = visit("admin")
    page.goto(f"/sessions/{filled.shown.session}")
    settle(page)
    page.wait_for_selector(PAINTED)
    return page


def chosen(page: Page) -> str:
    """The node that the address names; empty: none."""
    found = re.search(r"[?&]node=([0-9a-f-]{36})", page.url)
    return found[1] if found else ""


def press(page: Page, key: str) -> str:
    """Press a key, and give the node that is selected then."""
    page.keyboard.press(key)
    page.wait_for_timeout(50)
    return chosen(page)


def test_keys_lead_from_the_root_to_a_leaf_and_back(tree: Page) -> None:
    root = press(tree, "ArrowRight")
    way = [root]
    while (following := press(tree, "ArrowRight")) != way[-1]:
        way.append(following)
    assert len(way) > 2
    for node in reversed(way[:-1]):
        assert press(tree, "ArrowLeft") == node
    assert press(tree, "End") == way[-1]
    assert press(tree, "Home") == root
    expect(tree.get_by_role("treeitem", selected=True)).to_have_count(1)


def test_a_turn_is_read_with_its_captured_call(tree: Page, filled: FilledStack) -> None:
    tree.goto(f"/sessions/{filled.shown.session}?node={filled.shown.node}")
    turn = tree.get_by_role("region", name="Turn")
    expect(turn.get_by_role("heading", name="Asked")).to_be_visible()
    expect(turn.get_by_role("heading", name="Answer")).to_be_visible()
    turn.get_by_text("Captured request and answer").click()
    expect(turn.get_by_text('"messages"')).to_be_visible()
    link = turn.get_by_role("link", name="Replay from here")
    assert filled.shown.node in (link.get_attribute("href") or "")


def test_answers_are_compared_side_by_side_and_the_address_keeps_them(tree: Page, filled: FilledStack) -> None:
    tree.goto(f"/sessions/{filled.shown.session}?node={filled.shown.node}")
    tree.get_by_role("button", name="Side by side").click()
    beside = tree.get_by_role("region", name="Answers side by side")
    expect(beside.get_by_role("article").nth(3)).to_be_visible()
    expect(beside.locator("ins").first).to_be_visible()
    tree.reload()
    expect(beside.locator("ins").first).to_be_visible()
    tree.get_by_role("button", name="Close the comparison").click()
    expect(beside).to_have_count(0)


def test_two_nodes_are_taken_into_the_comparison_by_keys(tree: Page) -> None:
    press(tree, "ArrowRight")
    press(tree, "ArrowRight")
    press(tree, "x")
    press(tree, "ArrowDown")
    press(tree, "Space")
    expect(tree.get_by_role("region", name="Answers side by side")).to_be_visible()


def test_a_search_marks_its_hits_and_steps_through_them(tree: Page) -> None:
    tree.keyboard.press("/")
    field = tree.get_by_role("searchbox", name="Search in this tree")
    expect(field).to_be_focused()
    field.fill("the")
    expect(tree.locator("search output")).to_have_text(re.compile(r"^[1-9]"))
    field.press("Enter")
    first = chosen(tree)
    field.press("Enter")
    tree.wait_for_timeout(50)
    assert first
    expect(tree.locator("search output")).to_have_text(re.compile(r"^\d+ of \d+$"))
    field.fill("notawordthatanyonesaid")
    expect(tree.locator("search output")).to_have_text("none")


def test_enter_on_a_button_presses_the_button(tree: Page) -> None:
    tree.get_by_role("button", name="Legend").focus()
    tree.keyboard.press("Enter")
    expect(tree.get_by_text("Replay (hollow)")).to_be_visible()


def test_a_tree_grows_while_it_is_looked_at(visit: Visit, filled: FilledStack) -> None:
    asked = [system("You are brief."), user("Is this tree growing?")]
    turn, _ = filled.client.call(asked, named("growing", "sales"))
    filled.wait()
    (row,) = filled.deployment.ask(
        "SELECT session_id FROM execution_run_records WHERE run_id = %(turn)s",
        turn=turn,
    )
    page = visit("admin")
    page.goto(f"/sessions/{row['session_id']}")
    expect(page.get_by_role("treeitem")).to_have_count(2)
    filled.client.call(asked, named("growing", "sales"), temperature=0.9, seed=7)
    filled.client.call([*asked[:1], user("Is it still?")], named("growing", "sales"))
    filled.wait()
    expect(page.get_by_role("treeitem").nth(2)).to_be_visible()


def test_a_tree_that_was_kept_as_a_file_opens_from_a_disk(
    filled: FilledStack, new_context: object, tmp_path: Path, browser: object
) -> None:
    file = tmp_path / "tree.html"
    told = filled.command("tree", filled.shown.session, "--html", str(file))
    assert told["left_out"] == 0
    context: BrowserContext = browser.new_context(offline=True)  # type: ignore[attr-defined]
    problems: list[str] = []
    page = context.new_page()
    page.on("console", lambda said: problems.append(said.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda asked: problems.append(asked.url) if asked.url != file.as_uri() else None)
    page.goto(file.as_uri())
    page.wait_for_selector(PAINTED)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("region", name="Turn").get_by_role("heading", name="Answer")).to_be_visible()
    assert problems == []
    context.close()
