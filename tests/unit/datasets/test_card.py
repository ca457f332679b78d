"""The card of an export: whatever a recipe or a theme says, its metadata parses and its tables stay whole."""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from regraft.domain.datasets.formats import FORMATS
from regraft.flows.datasets.card import WrittenFiles, card
from regraft.flows.datasets.freeze import Frozen
from regraft.infra.files.recipes import parse_recipe

HOSTILE = [
    'a "quoted" | piped \\ name',
    "two\nlines\r\n---\n# Title",
    "\u202egnp.exe \u200f",
    "[bold]x[/] [link](http://example.org) <script>alert(1)</script> `code`",
    "nul \x00 bell \x07 escape \x1b[31m",
    "```\n```toml\n---",
]


def frozen(**report: Any) -> Frozen:
    empty: dict[str, int] = {}
    leakage = {"sessions_in_two_splits": 0, "contents_in_two_splits": 0, "components": 1}
    return Frozen(
        snapshot_id="odd-1", dataset="odd", kind="sft", created=True, row_counts={"train": 1}, refused={"no_answer": 2},
        passed_over=empty, leakage=leakage, report=report, content_hash="00", hash_version=2, recipe_hash="00",
        code_version="1", lineage_build=1, iceberg_table="regraft.odd", iceberg_snapshot_id=1,
        created_at=datetime(2026, 1, 1, tzinfo=UTC), withdrawn_at=None,
    )  # fmt: skip


def basic(text: str) -> str:
    """The text as a basic string of TOML."""
    inside = "".join(each if each.isprintable() and each not in '"\\' else f"\\u{ord(each):04X}" for each in text)
    return f'"{inside}"'


@pytest.mark.parametrize("text", HOSTILE)
def test_a_card_is_whole_whatever_a_recipe_and_its_strata_say(text: str) -> None:
    written = WrittenFiles(splits={"train": 1})
    written.lines["train.jsonl"] = 1
    recipe = parse_recipe(f'name = "odd"\nkind = "sft"\ndescription = {basic(text)}\n# {"`" * 5}\n')
    assert recipe.description == text
    made = card(frozen(strata={text: 1}, labels={"human": 1}), recipe, FORMATS["trl"], written)
    _, metadata, body = made.split("---\n", 2)
    assert yaml.safe_load(metadata)["configs"][0]["data_files"] == [{"split": "train", "path": "train.jsonl"}]
    table = body[body.index("| stratum |") :].split("\n\n")[0].splitlines()
    assert len(table) == 3
    assert len(re.findall(r"(?<!\\)\|", table[2])) == 3
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u200e\u200f\u202a-\u202e]", made)
    before = body[: body.index("The recipe:")]
    assert "<script" not in before
    assert not re.search(r"(?<!\\)\[link", before)
    fence = re.findall(r"^(`{3,})toml$", body, re.MULTILINE)[-1]
    inside = body.rsplit(f"{fence}toml\n", 1)[1].rsplit(f"\n{fence}", 1)[0]
    assert tomllib.loads(inside)["description"] == text
