"""One conversation through every room: captured, seen, replayed, judged, frozen, and found again from the row."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from browser.conftest import Visit
from regraft.flows.capture.waiting import wait_until_stored
from support.filled_stack import FilledStack
from support.messages import system, user
from support.settled import settle
from support.shop_talks import named

QUESTION = "Do you repair unicycles at the weekend?"
SAMPLES = 3
RECIPE = """name = "story"
kind = "dpo"
description = "What was judged about unicycles"

[source]
labels = ["human"]
themes = ["story"]

[splits]
train = 1.0
"""


def test_a_call_is_captured_replayed_judged_frozen_and_found_again(visit: Visit, filled: FilledStack) -> None:
    live = visit("admin")
    live.goto("/live")
    settle(live)
    turn, _ = filled.client.call([system("Be brief."), user(QUESTION)], named("unicycles", "story"))
    expect(live.get_by_text("unicycles").first).to_be_visible()
    wait_until_stored(filled.deployment.dsn, [turn])
    live.context.close()

    page = visit("admin")
    node = _open_the_turn(page)
    _replay(page)
    _judge_all_pairs(page)
    snapshot = _freeze(page)
    found = _back_to_the_node(page, snapshot)
    (row,) = filled.deployment.ask("SELECT node_id FROM session_turn WHERE turn_id = %(turn)s", turn=turn)
    assert str(row["node_id"]) == node
    siblings = filled.deployment.ask(
        """SELECT node_id FROM response_branch_records WHERE context_anchor_turn_id = %(turn)s""", turn=turn
    )
    assert found in {str(sibling["node_id"]) for sibling in siblings}


def _open_the_turn(page: Page) -> str:
    """From the list of sessions, searched by its words, into the tree; the node of its turn."""
    page.goto("/sessions")
    settle(page)
    page.keyboard.press("/")
    page.keyboard.type("unicycles")
    row = page.get_by_role("row").filter(has_text=QUESTION)
    expect(row.first).to_be_visible()
    row.first.click()
    page.wait_for_url("**/sessions/*")
    settle(page)
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("region", name="Turn")).to_contain_text(QUESTION)
    found = re.search(r"node=([0-9a-f-]{36})", page.url)
    assert found is not None
    return found[1]


def _replay(page: Page) -> None:
    """Three more answers, hotter; the tree has them."""
    page.get_by_role("region", name="Turn").get_by_role("link", name="Replay").first.click()
    page.wait_for_url("**/replay?*")
    settle(page)
    page.get_by_label("Temperatures").fill("1.3")
    page.get_by_label("Samples of each").fill(str(SAMPLES))
    start = page.get_by_role("button", name=re.compile("^Start"))
    expect(start).to_be_enabled()
    start.click()
    page.wait_for_url("**/replays/*")
    expect(page.get_by_role("region", name="Progress", exact=True)).to_contain_text("Done", timeout=60_000)
    page.get_by_role("link", name="Compare answers").first.click()
    page.wait_for_url("**/compare/*")
    settle(page)
    expect(page.get_by_text("1.3").first).to_be_visible()


def _judge_all_pairs(page: Page) -> None:
    """Fill the queue, and prefer the first answer of every pair of the theme, by keys."""
    page.goto("/review/queue?fill=1")
    settle(page)
    page.get_by_role("dialog").get_by_role("button", name=re.compile("^Fill")).click()
    expect(page.get_by_role("dialog").get_by_role("button", name="Done")).to_be_visible(timeout=60_000)
    page.goto("/review?kind=pair&theme=story")
    settle(page)
    expect(page.get_by_text(QUESTION).first).to_be_visible()
    for _ in range(SAMPLES + 1):
        if page.get_by_text(QUESTION).count() == 0:
            break
        page.keyboard.press("a")  # one key answers, and shows the next
        page.wait_for_timeout(500)


def _freeze(page: Page) -> str:
    """Edit a copy of a recipe, look at what it would give, and freeze it; the snapshot."""
    page.goto("/datasets")
    settle(page)
    page.get_by_role("link", name="demo-dpo").first.click()
    settle(page)
    page.get_by_label("Recipe (TOML)").fill(RECIPE)
    freeze = page.get_by_role("button", name="Freeze …")
    expect(freeze).to_be_enabled()
    freeze.click()
    page.get_by_role("dialog").get_by_role("button", name="Freeze", exact=True).click()
    page.wait_for_url("**/datasets/story-*", timeout=60_000)
    settle(page)
    return page.url.rpartition("/")[2]


def _back_to_the_node(page: Page, snapshot: str) -> str:
    """From a row of the snapshot to the node that it was made from."""
    page.goto(f"/datasets/{snapshot}?tab=rows")
    settle(page)
    page.get_by_role("region", name="Rows").get_by_role("row").nth(1).click()
    page.wait_for_url("**/rows/*")
    settle(page)
    came_from = page.get_by_role("region", name="Where it came from")
    came_from.get_by_role("listitem").filter(has_text="chosen").get_by_role("link").first.click()
    page.wait_for_url("**/sessions/*")
    settle(page)
    expect(page.get_by_role("region", name="Turn")).to_contain_text(QUESTION)
    return page.url.partition("node=")[2][:36]
