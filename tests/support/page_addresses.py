"""Every page of the UI, as its rooms list them, and an address of each in a filled deployment."""

from __future__ import annotations

import re
from pathlib import Path

from support.filled_stack import JUDGE, FilledStack

_UI = Path(__file__).parents[2] / "ui" / "src"
_PATH = re.compile(r'^\s*(?:\{\s*)?path: "([^"]+)"', re.MULTILINE)


def patterns() -> list[str]:
    """The patterns of all pages, such as ``/sessions/:id``."""
    return sorted({path for file in _UI.glob("*/pages.ts") for path in _PATH.findall(file.read_text("utf-8"))})


def address(pattern: str, stack: FilledStack) -> str:
    """An address that the pattern is for, with something to show."""
    known = {
        "/sessions/:id": lambda: f"/sessions/{stack.shown.session}",
        "/nodes/:id": lambda: f"/nodes/{stack.shown.node}",
        "/replays/:id": lambda: f"/replays/{stack.shown.plan}",
        "/replay": lambda: f"/replay?nodes={stack.shown.node}",
        "/compare/:node": lambda: f"/compare/{stack.shown.node}",
        "/judges/:name": lambda: f"/judges/{JUDGE}",
        "/clusters/:id": lambda: f"/clusters/{stack.shown.cluster}",
        "/datasets/recipes/:name": lambda: "/datasets/recipes/demo-dpo",
        "/datasets/:snapshot": lambda: f"/datasets/{stack.shown.snapshots[1]}",
        "/datasets/:snapshot/rows/:row": lambda: f"/datasets/{stack.shown.snapshots[1]}/rows/{_row(stack)}",
        "/datasets/diff/:a/:b": lambda: f"/datasets/diff/{stack.shown.snapshots[0]}/{stack.shown.snapshots[2]}",
    }
    if pattern in known:
        return known[pattern]()
    assert ":" not in pattern, f"tests/support/page_addresses.py knows no address for the page {pattern}"
    return pattern


def _row(stack: FilledStack) -> str:
    """A row of the snapshot that is looked at."""
    path = f"/api/snapshots/{stack.shown.snapshots[1]}/rows?limit=1"
    status, found = stack.web.ask("GET", path, token=stack.tokens["admin"])
    assert status == 200, found
    return str(found["rows"][0]["row_id"])
