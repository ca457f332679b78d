"""The traffic as it is captured, and what administrators do in the page."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from browser.conftest import Visit
from support.filled_stack import FilledStack
from support.messages import user
from support.settled import settle
from support.shop_talks import named


def test_a_call_appears_while_the_page_is_open(visit: Visit, filled: FilledStack) -> None:
    page = visit("viewer")
    page.goto("/live")
    settle(page)
    expect(page.get_by_text("live", exact=True)).to_be_visible()
    table = page.get_by_label("Calls, the newest first")
    expect(table.get_by_role("row").nth(1)).to_be_visible()
    asked = "How long does a chain last in <b>winter</b>?"
    filled.client.call([user(asked)], named("live", "sales"))
    filled.wait()
    expect(table.get_by_text(asked)).to_be_visible()
    pair = page.get_by_title("Show only these calls").first
    pair.click()
    expect(pair).to_have_attribute("aria-pressed", "true")
    assert "pair=" in page.url
    page.get_by_role("button", name="Pause").click()
    later = "Is it still open at eight?"
    filled.client.call([user(later)], named("live-2", "sales"))
    filled.wait()
    expect(page.get_by_text("1 new")).to_be_visible()
    expect(table.get_by_text(later)).to_have_count(0)
    page.get_by_role("button", name="Go on").click()
    page.goto("/live")
    table.get_by_text(later).click()
    page.wait_for_url(re.compile(r"/(nodes|sessions)/"))


def test_a_key_and_a_token_are_made_and_revoked(visit: Visit, filled: FilledStack) -> None:
    page = visit("admin")
    for path, what, use in (("/admin", "key", "rgk_"), ("/admin/tokens", "token", "rgw_")):
        page.goto(path)
        page.get_by_role("button", name=f"New {what}").click()
        name = f"a <i>{what}</i> of a test"
        page.get_by_label("Name").fill(name)
        page.get_by_role("button", name=f"Make the {what}").click()
        secret = page.get_by_role("dialog").locator("code")
        expect(secret).to_contain_text(use)
        shown = secret.inner_text()
        page.get_by_role("button", name="Close").locator("visible=true").click()
        row = page.get_by_role("row").filter(has_text=name)
        expect(row).to_be_visible()
        assert shown not in page.content()
        row.get_by_role("button", name="Revoke").click()
        page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        expect(row.get_by_text("revoked")).to_be_visible()


def test_others_are_told_what_administration_needs(visit: Visit, filled: FilledStack) -> None:
    page = visit("ann")
    page.goto("/admin/quarantine")
    expect(page.get_by_role("heading", name="This is for administrators")).to_be_visible()
    expect(page.get_by_role("link", name="Admin", exact=True)).to_have_count(0)


def test_model_servers_say_how_they_do(visit: Visit, filled: FilledStack) -> None:
    page = visit("admin")
    page.goto("/admin/upstreams")
    settle(page)
    server = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="main"))
    expect(server).to_contain_text(re.compile("answers in|does not answer well"))
    expect(server).to_contain_text("median")
    expect(page.get_by_role("heading", name="import:")).to_have_count(0)
