"""Code in documents: the Python blocks of a Markdown page, the code cells of a notebook, and running them in order."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """``place`` is for messages: the file and the line or cell."""

    place: str
    code: str

    def missing(self) -> list[str]:
        """Modules that it imports and that are not installed."""
        names = set()
        for node in ast.walk(ast.parse(self.code)):
            if isinstance(node, ast.Import):
                names |= {each.name.partition(".")[0] for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
        return sorted(name for name in names if not _installed(name))


def _installed(name: str) -> bool:
    spec = find_spec(name)
    return spec is not None and spec.origin is not None  # a folder of the same name on the path is not a module


def markdown_blocks(path: Path) -> list[CodeBlock]:
    """The fenced Python blocks of a page."""
    text = path.read_text("utf-8")
    found = _BLOCK.finditer(text)
    return [CodeBlock(f"{path.name}:{text.count(chr(10), 0, each.start(1)) + 1}", each.group(1)) for each in found]


def notebook_cells(path: Path) -> list[CodeBlock]:
    """The code cells of a notebook."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return [
        CodeBlock(f"{path.name} cell {number}", "".join(cell["source"]))
        for number, cell in enumerate(cells)
        if cell["cell_type"] == "code"
    ]


def run_in_order(blocks: list[CodeBlock]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Run blocks in one namespace. Returns it, and the blocks that were left out with the modules that they lack."""
    namespace: dict[str, Any] = {"__name__": "__document__"}
    left_out: dict[str, list[str]] = {}
    for block in blocks:
        if missing := block.missing():
            left_out[block.place] = missing
        else:
            exec(compile(block.code, block.place, "exec"), namespace)
    return namespace, left_out
