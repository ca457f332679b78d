"""Everything can be reached with the keyboard, in an order that follows the page, with a focus that can be seen."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from browser.conftest import Visit
from support.filled_stack import FilledStack
from support.page_addresses import address, patterns
from support.settled import settle

MOST = 60  # presses of Tab
_FOCUSED = """() => {
  const focused = document.activeElement;
  if (!focused || focused === document.body) return null;
  const box = focused.getBoundingClientRect();
  const marked = (element) => {  // itself, or the frame around it
    const style = getComputedStyle(element);
    return (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none";
  };
  const ring = [focused, focused.parentElement, focused.parentElement?.parentElement].some((one) => one && marked(one));
  return {
    what: `${focused.tagName.toLowerCase()} ${focused.getAttribute("aria-label") ?? focused.textContent.slice(0, 40)}`,
    seen: ring && box.width > 0 && box.height > 0,
    inMain: document.querySelector("main").contains(focused) && focused.tagName !== "MAIN",
  };
}"""


@pytest.mark.parametrize("pattern", patterns())
def test_tab_reaches_the_page_and_shows_where_it_is(visit: Visit, filled: FilledStack, pattern: str) -> None:
    page = visit("admin")
    page.goto(address(pattern, filled))
    settle(page)
    stops = _stops(page)
    assert any(stop["inMain"] for stop in stops), f"no Tab leads into the page: {[stop['what'] for stop in stops]}"
    unseen = [stop["what"] for stop in stops if not stop["seen"]]
    assert not unseen, f"the focus cannot be seen on {unseen}"


def test_the_first_tab_offers_to_skip_the_navigation(visit: Visit) -> None:
    page = visit("admin")
    page.goto("/")
    settle(page)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_from_the_list_into_a_session_and_back_by_keys_alone(visit: Visit) -> None:
    page = visit("admin")
    page.goto("/sessions")
    settle(page)
    rows = page.locator("main tr[data-index]")
    expect(rows.first).to_be_visible()
    for _ in range(MOST):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('main tr[data-index]')"):
            break
    page.keyboard.press("ArrowDown")
    page.keyboard.press("j")
    page.wait_for_timeout(100)
    assert page.evaluate("document.activeElement.dataset.index") == "2"
    page.keyboard.press("Enter")
    page.wait_for_url("**/sessions/*")
    settle(page)
    page.go_back()  # Alt and the left arrow: a window without a frame has no such key
    page.wait_for_url(lambda url: url.endswith("/sessions"))
    settle(page)
    expect(rows.first).to_be_visible()


def test_the_sheet_of_keys_opens_and_closes_by_keys(visit: Visit) -> None:
    page = visit("admin")
    page.goto("/sessions")
    settle(page)
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog")
    expect(sheet).to_be_visible()
    expect(sheet).to_contain_text("Show the keys")
    page.keyboard.press("Escape")
    expect(sheet).to_have_count(0)


def test_the_back_button_leads_through_every_page_that_was_seen(visit: Visit) -> None:
    page = visit("admin")
    page.goto("/sessions")
    settle(page)
    seen = [page.url]
    links = page.get_by_role("navigation", name="Main").get_by_role("link").all()
    for href in [link.get_attribute("href") for link in links][1:6]:
        page.locator(f"nav a[href='{href}']").first.click()
        settle(page)
        if page.url != seen[-1]:
            seen.append(page.url)
    for url in reversed(seen[:-1]):
        page.go_back()
        settle(page)
        assert page.url == url


def _stops(page: Page) -> list[dict[str, Any]]:
    """Where Tab leads, until it comes around or MOST times. A page may have put the focus somewhere already."""
    stops: list[dict[str, Any]] = []
    rounds = 0
    for _ in range(MOST):
        page.keyboard.press("Tab")
        stop = page.evaluate(_FOCUSED)
        if stop is None:
            rounds += 1
            if rounds == 2:
                break
            continue
        stops.append(stop)
        if len(stops) > 10 and stop["inMain"] and sum(each["inMain"] for each in stops) > 25:
            break
    return stops
