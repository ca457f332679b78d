"""Accessibility problems of a page, found by axe."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

_AXE = Path(__file__).parents[2] / "ui" / "node_modules" / "axe-core" / "axe.min.js"
_RUN = """axe.run(document, {
  resultTypes: ["violations"],
  runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
})"""


@cache
def _axe() -> str:
    return _AXE.read_text("utf-8")


def violations(page: Page) -> list[str]:
    """One line for each rule that is broken, with the elements that break it."""
    page.evaluate(_axe())
    found: dict[str, Any] = page.evaluate(_RUN)
    return [
        f"{rule['id']} ({rule['impact']}): {rule['help']}\n"
        + "\n".join(
            f"    {node['html'][:160]}: {' '.join(node['failureSummary'].split())[:300]}" for node in rule["nodes"][:5]
        )
        for rule in found["violations"]
    ]
