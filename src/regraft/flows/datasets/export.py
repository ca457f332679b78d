"""Export a frozen dataset: the files that a trainer reads, with a dataset card and a manifest of digests."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from regraft.domain.datasets.content import content_hash
from regraft.domain.datasets.formats import format_named
from regraft.domain.datasets.formats.format import Format, write_row
from regraft.domain.datasets.recipe import Recipe
from regraft.domain.datasets.rows import RowRefusal
from regraft.domain.errors import IllegalRowError, IntegrityError, UsageError
from regraft.flows.datasets.freeze import Frozen, find_snapshot, stored_rows

_MANIFEST = "manifest.json"
_GENERATOR = "regraft dataset export"


@dataclass(frozen=True, slots=True)
class Exported:
    """Files that were written (name -> SHA-256), rows by split, and rows left out by reason."""

    snapshot_id: str
    target: str
    folder: Path
    files: Mapping[str, str]
    row_counts: Mapping[str, int]
    left_out: Mapping[str, int]


def export(snapshot_id: str, folder: Path, *, dsn: str, warehouse: str, format: str = "trl") -> Exported:
    """Write a snapshot's files in a format: one JSON Lines file a split, a dataset card and a manifest of digests.

    A row that the format cannot express without loss is left out, and counted by its reason in the card, in the
    manifest and in the result. Raises UsageError for an unknown format, or when the folder holds anything but an
    earlier export; IllegalRowError when no row can be written; IntegrityError when the stored rows are not the ones
    that were frozen.
    """
    target = format_named(format)
    snapshot, recipe = find_snapshot(dsn, snapshot_id)
    snapshot_id = snapshot.snapshot_id
    old = _own_files(folder)
    rows = stored_rows(dsn, warehouse, snapshot)
    if content_hash(rows).hex() != snapshot.content_hash:
        raise IntegrityError(
            f"{snapshot_id} is not what was frozen. `regraft dataset verify {snapshot_id}` says what changed."
        )
    lines: dict[str, list[str]] = {split: [] for split in recipe.splits}
    refused: Counter[str] = Counter()
    for row, split in rows:
        line = write_row(target, row)
        if isinstance(line, RowRefusal):
            refused[line.reason] += 1
        else:
            lines[split].append(line)
    if not any(lines.values()):
        why = ", ".join(f"{count} {reason}" for reason, count in sorted(refused.items()))
        raise IllegalRowError(f"No row of {snapshot_id} can be written for {target.name}: {why}.")
    contents = {target.file_name(split): "".join(f"{line}\n" for line in each) for split, each in lines.items() if each}
    contents["README.md"] = _card(snapshot, recipe, target, lines, refused)
    digests = {name: sha256(content.encode()).hexdigest() for name, content in contents.items()}
    counts = {split: len(each) for split, each in lines.items()}
    manifest = {
        "generator": _GENERATOR,
        "code_version": snapshot.code_version,
        "snapshot_id": snapshot.snapshot_id,
        "target": target.name,
        "kind": snapshot.kind,
        "content_hash": snapshot.content_hash,
        "recipe_hash": snapshot.recipe_hash,
        "rows": counts,
        "left_out": dict(sorted(refused.items())),
        "leakage": dict(snapshot.leakage),
        "sha256": digests,
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name in old:
        if name != _MANIFEST:
            (folder / name).unlink(missing_ok=True)
    # The manifest first: an export that is cut short is then known to be ours, and its digests say it is not whole.
    _write(folder / _MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    for name, content in contents.items():
        _write(folder / name, content)
    return Exported(snapshot_id, target.name, folder, digests, counts, dict(sorted(refused.items())))


def _write(path: Path, content: str) -> None:
    path.write_text(content, "utf-8", newline="\n")


def _own_files(folder: Path) -> list[str]:
    """The files of an earlier export in this folder. Raises UsageError when there is anything else."""
    if not folder.exists():
        return []
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder.")
    present = sorted(one.name for one in folder.iterdir())
    if not present:
        return []
    try:
        manifest = json.loads((folder / _MANIFEST).read_text("utf-8"))
        own = {_MANIFEST, *manifest["sha256"]} if manifest["generator"] == _GENERATOR else set()
    except (OSError, ValueError, KeyError, TypeError):
        own = set()
    foreign = [name for name in present if name not in own]
    if foreign:
        raise UsageError(f"{folder} holds {foreign[0]}, which no export wrote. Name an empty or a new folder.")
    return present


def _card(
    snapshot: Frozen, recipe: Recipe, target: Format, lines: Mapping[str, list[str]], left_out: Mapping[str, int]
) -> str:
    files = "\n".join(
        f"  - split: {split}\n    path: {target.file_name(split)}" for split, each in lines.items() if each
    )
    rows = "\n".join(f"| {split} | {len(each)} |" for split, each in lines.items())
    refused = _counts(snapshot.refused)
    leaks = snapshot.leakage
    columns = ", ".join(f"`{column}`" for column in target.columns(snapshot.kind))
    return f"""---
configs:
- config_name: default
  data_files:
{files}
tags:
- {target.name}
- {snapshot.kind}
---
# {recipe.name}

{recipe.description or "A dataset of recorded and replayed conversations."}

Snapshot `{snapshot.snapshot_id}`, kind {snapshot.kind}, written for {target.name} (columns {columns}; {target.note}).
Made by Regraft {snapshot.code_version} from build {snapshot.lineage_build} of the conversation graph.

| split | rows |
|---|---|
{rows}

In more than one split: {leaks["sessions_in_two_splits"]} sessions, {leaks["contents_in_two_splits"]} contents, of
{leaks["components"]} connected components of sessions and equal contents.

| refused because | candidates |
|---|---|
{refused}

| left out of these files because {target.name} cannot express them | rows |
|---|---|
{_counts(left_out)}

Content hash `{snapshot.content_hash}`; Iceberg table `{snapshot.iceberg_table}`, snapshot
`{snapshot.iceberg_snapshot_id}`. `regraft dataset verify {snapshot.snapshot_id}` proves it. To train from the table
itself, `load_dataset("iceberg", ...)` and map it with `regraft.domain.datasets.formats.trl.from_stored`. The recipe:

```toml
{recipe.text.strip()}
```
"""


def _counts(counts: Mapping[str, int]) -> str:
    return "\n".join(f"| {name} | {count} |" for name, count in sorted(counts.items())) or "| none | 0 |"
