"""Follow a guide like a reader: write its files, run its commands, and compare the output.

In a guide, a block of ``sh`` is commands; the block of ``text`` after it is what they print, where ``...`` is any
number of lines. A block with ``title="NAME"`` is a file. A comment before a block says what a reader sees elsewhere:
``<!-- exits: 2 -->`` how the last command ends, ``<!-- types: a q -->`` the keys for a command that asks,
``<!-- needs: NAME -->`` a program that is not part of Regraft.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_BLOCK = re.compile(
    r"(?:^<!-- (?P<key>\w+): (?P<value>[^\n]*?) -->\n)?"
    r'^```(?P<kind>\w+)(?: title="(?P<title>[^"\n]+)")?\n(?P<text>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)
_IDS = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){0,4}(?:-?[0-9a-f]{8,12})?…?|\b\d{16,}\b|\b[0-9a-f]{16,64}\b")
_TIMES = re.compile(r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d)?Z?|\b\d+(?:\.\d+)? (?:ms|s)\b")
_KEYS = frozenset({"exits", "types", "needs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class GuideBlock:
    """``place`` is for messages: the page and the line."""

    place: str
    kind: str
    text: str
    title: str = ""
    said: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Followed:
    """The result of following a guide."""

    commands: int = 0
    compared: int = 0
    left_out: dict[str, str] = field(default_factory=dict)  # place -> the program that is not installed


def blocks_of(page: Path) -> list[GuideBlock]:
    """The fenced blocks of a page."""
    text = page.read_text("utf-8")
    found = []
    for each in _BLOCK.finditer(text):
        said = {each["key"]: each["value"]} if each["key"] else {}
        assert said.keys() <= _KEYS, f"{page.name}: {said}"
        place = f"{page.name}:{text.count(chr(10), 0, each.start('text')) + 1}"
        found.append(
            GuideBlock(place=place, kind=each["kind"], text=each["text"], title=each["title"] or "", said=said)
        )
    return found


def follow(
    page: Path,
    folder: Path,
    *,
    instead: Mapping[str, str],
    variables: Mapping[str, str],
    without: Collection[str] = (),
) -> Followed:
    """Follow the page in ``folder``. ``instead``: addresses of the page, and where those servers are here.
    ``without``: programs that are left out even where they are installed."""
    shutil.copytree(page.parent / "samples", folder / "samples", dirs_exist_ok=True)
    followed, shown = Followed(), ""
    for block in blocks_of(page):
        text = block.text
        for there, here in instead.items():
            text = text.replace(there, here)
        if block.title:
            (folder / block.title).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.title).write_text(text, "utf-8")
        elif block.kind == "sh":
            program = block.said.get("needs")
            if program and (program in without or shutil.which(program, path=_path()) is None):
                followed.left_out[block.place] = program
                continue
            shown = _run(block, text, folder, variables)
            followed.commands += 1
        elif block.kind == "text":
            assert like(shown, text), f"{block.place} shows\n{text}\nbut this was printed:\n{shown}"
            followed.compared += 1
    return followed


def _run(block: GuideBlock, text: str, folder: Path, variables: Mapping[str, str]) -> str:
    """What the commands of a block print, errors too."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("REGRAFT_")}
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", text],
        cwd=folder,
        env={**clean, "PATH": _path(), **variables},
        input="".join(f"{key}\n" for key in block.said.get("types", "").split()),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == int(block.said.get("exits", "0")), (
        f"{block.place}: {done.returncode}\n{text}\n{done.stdout}"
    )
    assert "Traceback" not in done.stdout, f"{block.place}\n{done.stdout}"
    return done.stdout


def _path() -> str:
    """Where programs are searched for: beside this Python first."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def like(printed: str, shown: str) -> bool:
    """Whether a page shows what was printed: ids, times and the width of columns aside, ``...`` for any lines."""
    wanted = [_plain(line) for line in shown.splitlines() if line.strip()]
    pattern = "".join(r"(?:[^\n]*\n)*" if line == "..." else re.escape(line) + r"\n" for line in wanted)
    lines = [_plain(line) for line in printed.splitlines() if line.strip()]
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in lines)) is not None


def _plain(line: str) -> str:
    return " ".join(_TIMES.sub("TIME", _IDS.sub("ID", line)).split())
