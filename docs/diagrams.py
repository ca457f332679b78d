"""Write the diagrams of docs/images as SVG. ``--check`` only compares."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path

IMAGES = Path(__file__).parent / "images"
_STYLE = """
  text { font: 14px system-ui, sans-serif; fill: #24292f; }
  .small { font-size: 12px; fill: #57606a; }
  .box { fill: #f6f8fa; stroke: #57606a; stroke-width: 1.2; }
  .strong { fill: #ddf4ff; stroke: #0969da; }
  .line { fill: none; stroke: #57606a; stroke-width: 1.5; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .small { fill: #9198a1; }
    .box { fill: #161b22; stroke: #9198a1; } .strong { fill: #10243e; stroke: #4493f8; } .line { stroke: #9198a1; }
  }
"""
_ARROW = (
    '<marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<path d="M0 0 8 4 0 8z" fill="#57606a"/></marker>'
)


@dataclass(frozen=True, slots=True)
class Box:
    """A labelled rectangle; coordinates and sizes are in pixels. ``note`` is a second, smaller line."""

    x: int
    y: int
    width: int
    label: str
    note: str = ""
    strong: bool = False
    height: int = 46

    def svg(self) -> str:
        """The rectangle with its centred lines."""
        middle, kind = self.x + self.width / 2, "box strong" if self.strong else "box"
        first = self.y + (20 if self.note else self.height / 2 + 5)
        lines = f'<text x="{middle:g}" y="{first:g}" text-anchor="middle">{escape(self.label)}</text>'
        if self.note:
            lines += (
                f'<text class="small" x="{middle:g}" y="{self.y + 37}" text-anchor="middle">{escape(self.note)}</text>'
            )
        size = f'width="{self.width}" height="{self.height}" rx="6"'
        return f'<rect class="{kind}" x="{self.x}" y="{self.y}" {size}/>{lines}'


def _arrow(path: str, note: str = "", x: int = 0, y: int = 0) -> str:
    text = f'<text class="small" x="{x}" y="{y}" text-anchor="middle">{escape(note)}</text>' if note else ""
    return f'<path class="line" d="{path}" marker-end="url(#arrow)"/>{text}'


def _picture(title: str, width: int, height: int, parts: list[str]) -> str:
    name = escape(title)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 -20 {width} {height + 20}"',
        f'  role="img" aria-label="{name}">',
        f"<title>{name}</title>",
        f"<style>{_STYLE}</style>",
        f"<defs>{_ARROW}</defs>",
        *parts,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def path() -> str:
    """The one path from a client's call to a trainer."""
    row = [
        Box(10, 30, 110, "client"),
        Box(160, 30, 130, "gateway", "captures", strong=True),
        Box(330, 30, 130, "JetStream", "fsynced packs"),
        Box(500, 30, 130, "ingest", "one batch a commit"),
        Box(670, 30, 150, "PostgreSQL", "calls, graph", strong=True),
    ]
    lower = [
        Box(670, 150, 150, "DuckDB", "paths, pairs, scores"),
        Box(500, 150, 130, "review", "people judge"),
        Box(330, 150, 130, "recipe", "legal rows only"),
        Box(160, 150, 130, "Iceberg", "frozen snapshots", strong=True),
        Box(10, 150, 110, "trainer"),
    ]
    server = Box(160, 240, 130, "model server")
    parts = [each.svg() for each in [*row, *lower, server]]
    parts += [_arrow(f"M{one.x + one.width} 53 H{two.x - 2}") for one, two in pairwise(row)]
    parts += [_arrow(f"M{one.x} 173 H{two.x + two.width + 2}") for one, two in pairwise(lower)]
    parts.append(_arrow("M745 76 V148"))
    parts.append(
        _arrow("M690 30 C640 -8 300 -8 240 28", "replay: any node, asked again through the same gateway", 465, -6)
    )
    parts.append('<path class="line" stroke-dasharray="4 4" d="M140 53 V263 H158" marker-end="url(#arrow)"/>')
    return _picture(
        "The path from a client's call through capture, graph and review to a frozen dataset", 840, 300, parts
    )


def rooms() -> str:
    """The layers and the rooms that each of them has."""
    names = ("capture", "lineage", "replay", "orchestration", "evaluation", "datasets")
    layers = ("presentation", "flows", "infra", "domain")
    parts = []
    for level, layer in enumerate(layers):
        y = 40 + level * 66
        parts.append(f'<text x="10" y="{y + 28}">{layer}</text>')
        parts += [Box(120 + at * 120, y, 110, name, strong=layer == "domain").svg() for at, name in enumerate(names)]
        if level < len(layers) - 1:
            parts.append(_arrow(f"M60 {y + 36} V{y + 76}"))
    parts.append('<text class="small" x="120" y="26">The same six rooms on each layer. Imports go down only.</text>')
    return _picture("Four layers with the same six rooms on each; imports go down only", 850, 310, parts)


def tree() -> str:
    """A conversation tree with one node of most branch kinds."""
    nodes = [
        Box(10, 120, 90, "root", "empty history"),
        Box(140, 120, 110, "turn 1", "continuation"),
        Box(300, 20, 120, "turn 2", "continuation"),
        Box(300, 90, 120, "turn 2'", "retry", strong=True),
        Box(300, 160, 120, "turn 2''", "sampling variant", strong=True),
        Box(300, 230, 120, "turn 2'''", "prompt variant"),
        Box(480, 20, 120, "turn 3", "continuation"),
        Box(650, 20, 130, "turn 4", "compaction"),
    ]
    parts = [each.svg() for each in nodes]
    parts += [_arrow("M100 143 H138")]
    parts += [_arrow(f"M250 143 C275 143 275 {y} 298 {y}") for y in (43, 113, 183, 253)]
    parts += [_arrow("M420 43 H478"), _arrow("M600 43 H648")]
    parts.append('<rect class="line" stroke-dasharray="5 4" x="288" y="10" width="144" height="204" rx="8"/>')
    parts.append('<text class="small" x="450" y="150">one anchor: answers to the same context,</text>')
    parts.append('<text class="small" x="450" y="168">numbered 0, 1, 2. Only these can be legal DPO pairs.</text>')
    parts.append('<text class="small" x="450" y="258">another prompt: never a DPO pair with the others</text>')
    return _picture("A conversation tree: continuations, a retry, variants and a compaction", 790, 290, parts)


PICTURES = {"path.svg": path, "rooms.svg": rooms, "tree.svg": tree}


def main() -> int:
    """Write the pictures, or compare them. Returns the exit code."""
    stale = []
    IMAGES.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        file = IMAGES / name
        drawn = draw()
        if "--check" not in sys.argv:
            file.write_text(drawn, "utf-8")
        elif not file.is_file() or file.read_text("utf-8") != drawn:
            stale.append(name)
    if stale:
        print(f"Stale: {', '.join(stale)}. Run `make docs`.", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
