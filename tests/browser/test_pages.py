"""Every page loads without a fault and fits its window, from a phone to 4K, light and dark; axe finds nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page

from browser.conftest import Visit
from support.accessibility import violations
from support.filled_stack import FilledStack
from support.page_addresses import address, patterns
from support.page_guard import PageGuard
from support.settled import failure, settle

WIDTHS = {"light": (360, 1280, 2560), "dark": (2560, 1280, 360)}
HEIGHTS = {360: 740, 1280: 800, 2560: 1440}
_OVERFLOW = """() => {
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  return wide <= 0 ? "" : [...document.querySelectorAll("main *")]
    .filter((each) => each.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .slice(0, 5).map((each) => `${each.tagName}.${each.className}`).join(", ") || `${wide} px`;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("pattern", patterns())
def test_a_page_loads_fits_and_is_accessible(
    visit: Visit, filled: FilledStack, artefacts: Path, pattern: str, scheme: str
) -> None:
    first, *others = WIDTHS[scheme]
    page = visit("admin", color_scheme=scheme, viewport={"width": first, "height": HEIGHTS[first]})
    page.goto(address(pattern, filled))
    settle(page)
    assert failure(page) == ""
    assert page.title() != "Regraft"
    faults = _look(page, artefacts, pattern, scheme, first)
    for width in others:
        page.set_viewport_size({"width": width, "height": HEIGHTS[width]})
        faults += _look(page, artefacts, pattern, scheme, width)
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("role", ["viewer", "ann"])
def test_whoever_may_less_sees_every_page_without_a_fault(
    visit: Visit, filled: FilledStack, guard: PageGuard, role: str
) -> None:
    page = visit(role)
    faults: list[str] = []
    for pattern in patterns():
        page.goto(address(pattern, filled))
        settle(page)
        faults += [f"{pattern}: {fault}" for fault in (failure(page), *guard.faults) if fault]
        guard.faults.clear()
    assert not faults, "\n".join(faults)


def _look(page: Page, artefacts: Path, pattern: str, scheme: str, width: int) -> list[str]:
    """Keep a picture; what is wrong at this width."""
    settle(page)
    name = re.sub(r"\W+", "-", pattern).strip("-") or "start"
    page.screenshot(path=artefacts / f"{name}-{width}-{scheme}.png")
    faults = [f"{width} px, {scheme}: {rule}" for rule in violations(page)] if width != 2560 else []
    if over := page.evaluate(_OVERFLOW):
        faults.append(f"{width} px, {scheme}: wider than the window: {over}")
    return faults
