"""The card of an exported dataset: what is in it, who decided, what was refused, and how to prove it."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from regraft.domain.datasets.filter_figures import filter_figures
from regraft.domain.datasets.formats.features import features_yaml
from regraft.domain.datasets.formats.format import Format
from regraft.domain.datasets.reasons import REASONS
from regraft.domain.datasets.recipe import Recipe
from regraft.flows.datasets.freeze import Frozen

_MARKS = re.compile(r"([\\\\`*\[\]|~#])")
_DIRECTIONS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(slots=True, kw_only=True)
class WrittenFiles:
    """What an export has written: digests (SHA-256) by file, rows by split and by file, rows left out by reason."""

    splits: dict[str, int]
    digests: dict[str, str] = field(default_factory=dict)
    lines: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def rows(self) -> int:
        """How many rows were written."""
        return self.lines.total()

    def add(self, path: Path, content: str) -> None:
        """Write a file beside the rows."""
        encoded = content.encode()
        path.write_bytes(encoded)
        self.digests[path.name] = sha256(encoded).hexdigest()


def card(snapshot: Frozen, recipe: Recipe, target: Format, written: WrittenFiles) -> str:
    """The card as Markdown, with the metadata that the Hugging Face hub reads."""
    files = "\n".join(f"  - split: {name.partition('.')[0]}\n    path: {name}" for name in sorted(written.lines))
    rows = _counts(written.lines)
    refused = _reasons(snapshot.refused)
    leaks = snapshot.leakage
    fence = _fence(recipe.text)
    features = target.features(snapshot.kind, last_only=recipe.content.learn == "last")
    columns = ", ".join(f"`{column}`" for column in features)
    return f"""---
configs:
- config_name: default
  data_files:
{files}
dataset_info:
  config_name: default
  features:
{features_yaml(features, "  ")}
tags:
- {target.name}
- {snapshot.kind}
---
# {recipe.name}

{_plain(recipe.description) or "A dataset of recorded and replayed conversations."}

Snapshot `{snapshot.snapshot_id}`, kind {snapshot.kind}, written for {target.name} (columns {columns}; {target.note}).
Made by Regraft {snapshot.code_version} from build {snapshot.lineage_build} of the conversation graph.

| file | rows |
|---|---|
{rows}

In more than one split: {leaks["sessions_in_two_splits"]} sessions, {leaks["contents_in_two_splits"]} contents, of
{leaks["components"]} connected components of sessions and equal contents.

| decided by | rows |
|---|---|
{_counts(snapshot.report.get("labels", {}))}

| stratum | rows |
|---|---|
{_counts(snapshot.report.get("strata", {}))}

| refused because | candidates | which means |
|---|---|---|
{refused}

| filter | rows refused | what it looked for and found |
|---|---|---|
{_filters(snapshot)}

| left out of these files because {target.name} cannot express them | rows | which means |
|---|---|---|
{_reasons(written.left_out)}

Content hash `{snapshot.content_hash}`; Iceberg table `{snapshot.iceberg_table}`, snapshot
`{snapshot.iceberg_snapshot_id}`. `regraft dataset verify {snapshot.snapshot_id}` proves it. To train from the table
itself, `load_dataset("iceberg", ...)` and map it with `regraft.domain.datasets.formats.trl.from_stored`. The recipe:

{fence}toml
{recipe.text.strip()}
{fence}
"""


def _filters(snapshot: Frozen) -> str:
    rows = (
        f"| {_cell(one.name.replace('_', ' '))} | {one.refused} | {_cell(one.text)} |"
        for one in filter_figures(snapshot.report, snapshot.refused)
    )
    return "\n".join(rows) or "| none | 0 | |"


def _counts(counts: Mapping[str, int]) -> str:
    return "\n".join(f"| {_cell(name)} | {count} |" for name, count in sorted(counts.items())) or "| none | 0 |"


def _reasons(counts: Mapping[str, int]) -> str:
    rows = (
        f"| {_cell(name)} | {count} | {_cell(str(REASONS.get(name, '')))} |" for name, count in sorted(counts.items())
    )
    return "\n".join(rows) or "| none | 0 | |"


def _cell(text: str) -> str:
    """Text that stays in one cell of a table, as the characters that it is."""
    return _plain(" ".join(text.split())) or "none"


def _plain(text: str) -> str:
    """Text without what Markdown, HTML, or the direction of writing would make of it."""
    shown = "".join(_escaped(each) if _steers(each) else each for each in text)
    return _MARKS.sub(r"\\\1", shown).replace("<", "&lt;")


def _steers(each: str) -> bool:
    return (each not in "\n\t" and unicodedata.category(each) in ("Cc", "Cs")) or each in _DIRECTIONS


def _escaped(each: str) -> str:
    return f"U+{ord(each):04X}"


def _fence(text: str) -> str:
    """A fence that no line of the text ends."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    return "`" * max(3, longest + 1)
