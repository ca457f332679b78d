"""Wait until a page has finished rendering."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

_LOADING = re.compile(r"^Loading the (?!next)")


def settle(page: Page) -> None:
    """Return when the page has a title and loads nothing any more."""
    expect(page.get_by_role("heading", level=1).first).to_be_visible(timeout=30_000)
    expect(page.get_by_role("status").filter(has_text=_LOADING)).to_have_count(0, timeout=30_000)


def failure(page: Page) -> str:
    """What the page says went wrong; empty where nothing did."""
    alerts = page.get_by_role("alert")
    return "; ".join(alerts.all_inner_texts())
