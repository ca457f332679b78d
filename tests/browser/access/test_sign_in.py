"""Signing in and out: with the owner's address, with a token, and where a token is required."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from browser.conftest import Visit
from regraft.infra.files.owner_token import OwnerTokenFile
from support.accessibility import violations
from support.filled_stack import FilledStack
from support.page_guard import PageGuard
from support.settled import settle
from support.web_process import WebProcess


def test_the_owners_address_signs_in_and_its_key_leaves_it(
    visit: Visit, empty_web: WebProcess, guard: PageGuard
) -> None:
    owner = OwnerTokenFile(empty_web.folder / "data").current()
    page = visit(web=empty_web)
    page.goto("/sessions")
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    page.goto(f"/sessions?q=plum#key={owner}")
    page.wait_for_url(re.compile(r"/sessions\?q=plum$"))
    expect(page.get_by_text("admin", exact=True)).to_be_visible()
    assert "key=" not in page.url
    assert owner not in page.content()
    assert page.evaluate("document.cookie") == ""
    (cookie,) = page.context.cookies()
    assert cookie["name"] == f"regraft_{empty_web.port}"
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.context.cookies() == []
    guard.allow("401")
    page.goto("/#key=rgw_no-such-key")
    expect(page.get_by_role("alert")).to_contain_text("regraft open")


def test_where_a_token_is_needed_a_page_is_shown_after_the_sign_in(
    visit: Visit, filled: FilledStack, guard: PageGuard
) -> None:
    guard.allow("401")  # what is asked before someone is signed in
    page = visit(web=filled.web)
    page.goto("/sessions?sort=turns")
    page.wait_for_url(re.compile(r"/sign-in\?next="))
    settle(page)
    assert violations(page) == []
    token = page.get_by_label("Token")
    expect(token).to_be_focused()
    token.fill("rgw_wrong")
    token.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not valid")
    token.fill(filled.tokens["ann"])
    token.press("Enter")
    page.wait_for_url(re.compile(r"/sessions\?sort=turns$"))
    expect(page.get_by_title("ann: reviewer")).to_be_visible()
    expect(page.get_by_role("link", name="Admin")).to_have_count(0)
    page.reload()
    expect(page.get_by_title("ann: reviewer")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    page.goto("/sessions")
    page.wait_for_url(re.compile(r"/sign-in\?next="))
