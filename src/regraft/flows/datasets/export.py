"""Export a frozen dataset: the files that a trainer reads, with a dataset card and a manifest of digests."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import IO, Any

from regraft.domain.datasets.formats import format_named
from regraft.domain.datasets.formats.format import Format, write_row
from regraft.domain.datasets.messages import RowRefusal
from regraft.domain.datasets.rows import Row
from regraft.domain.errors import IllegalRowError, IntegrityError, UsageError
from regraft.flows.datasets.card import WrittenFiles, card
from regraft.flows.datasets.freeze import Frozen, StoredHash, find_snapshot, stored_rows
from regraft.flows.datasets.progress import Progress, unwatched
from regraft.infra.files.drafts import draft_folder
from regraft.infra.garbage import reduced_garbage_collection
from regraft.infra.telemetry.emitter import emit
from regraft.infra.telemetry.facts import RowsExported

_MANIFEST = "manifest.json"
_LEFT_OUT = "left_out.csv"
_GENERATOR = "regraft dataset export"


@dataclass(frozen=True, slots=True)
class ExportResult:
    """Files that were written (name -> SHA-256), rows by split, and rows left out by reason."""

    snapshot_id: str
    target: str
    folder: Path
    files: Mapping[str, str]
    row_counts: Mapping[str, int]
    left_out: Mapping[str, int]


def export(
    snapshot_id: str,
    folder: Path,
    *,
    dsn: str,
    warehouse: str,
    format: str = "trl",
    progress: Progress = unwatched,
) -> ExportResult:
    """Write a snapshot's files in a format: one JSON Lines file a split, a dataset card and a manifest of digests.

    A row that the format cannot express without loss is left out, and counted by its reason in the card, in the
    manifest and in the result; ``left_out.csv`` names each. Raises UsageError for an unknown format, or when the folder
    holds anything but an earlier export; IllegalRowError when no row can be written; IntegrityError when the stored
    rows are not the ones that were frozen.
    """
    target = format_named(format)
    snapshot, recipe = find_snapshot(dsn, snapshot_id)
    snapshot_id = snapshot.snapshot_id
    _own_files(folder)
    home = folder.resolve()  # "." has no name of its own, and its parent is another
    home.parent.mkdir(parents=True, exist_ok=True)
    with draft_folder(f".{home.name}-regraft-export-", home.parent) as place, reduced_garbage_collection():
        stored = _watched(stored_rows(dsn, warehouse, snapshot), sum(snapshot.row_counts.values()), progress)
        written = _write_rows(target, snapshot, place, stored)
        if not written.rows:
            why = ", ".join(f"{count} {reason}" for reason, count in sorted(written.left_out.items()))
            raise IllegalRowError(f"No row of {snapshot_id} can be written for {target.name}: {why}.")
        for name, content in target.companions(snapshot.dataset, snapshot.kind, sorted(written.lines)).items():
            written.add(place / name, content)
        written.add(place / "README.md", card(snapshot, recipe, target, written))
        manifest = {
            "generator": _GENERATOR,
            "code_version": snapshot.code_version,
            "snapshot_id": snapshot.snapshot_id,
            "target": target.name,
            "kind": snapshot.kind,
            "content_hash": snapshot.content_hash,
            "recipe_hash": snapshot.recipe_hash,
            "rows": dict(written.splits),
            "left_out": dict(sorted(written.left_out.items())),
            "leakage": dict(snapshot.leakage),
            "sha256": dict(sorted(written.digests.items())),
        }
        (place / _MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", "utf-8")
        _move(place, home)
    emit(RowsExported(format=target.name, rows=written.rows))
    return ExportResult(
        snapshot_id=snapshot_id,
        target=target.name,
        folder=folder,
        files=dict(sorted(written.digests.items())),
        row_counts=dict(written.splits),
        left_out=dict(sorted(written.left_out.items())),
    )


def _watched(
    batches: Iterable[list[tuple[Row, str]]], total: int, progress: Progress
) -> Iterator[list[tuple[Row, str]]]:
    done = 0
    for rows in batches:
        yield rows
        done += len(rows)
        progress("rows", done, total)


def _write_rows(
    target: Format, snapshot: Frozen, place: Path, batches: Iterable[list[tuple[Row, str]]]
) -> WrittenFiles:
    """One pass over the stored rows: each is proven and written, or named with the reason why it cannot be.

    Raises IntegrityError when they are not as frozen.
    """
    written = WrittenFiles(splits=dict.fromkeys(snapshot.row_counts, 0))
    stored = StoredHash(snapshot.hash_version)
    with ExitStack() as stack:
        files: dict[str, tuple[IO[bytes], Any]] = {}

        def append(name: str, line: str) -> None:
            if name not in files:
                files[name] = (stack.enter_context((place / name).open("wb")), sha256())
            file, digest = files[name]
            encoded = line.encode() + b"\n"
            file.write(encoded)
            digest.update(encoded)

        for rows in batches:
            stored.add(rows)
            for row, split in rows:
                line = write_row(target, row)
                if isinstance(line, RowRefusal):
                    if _LEFT_OUT not in files:
                        append(_LEFT_OUT, "row_id,split,reason,detail")
                    append(_LEFT_OUT, _csv_line(row.row_id, split, line.reason, line.detail))
                    written.left_out[line.reason] += 1
                    continue
                name = target.file_name(row, split)
                append(name, line)
                written.splits[split] += 1
                written.lines[name] += 1
    if stored.hex() != snapshot.content_hash:
        raise IntegrityError(
            f"{snapshot.snapshot_id} differs from what was frozen. `regraft dataset verify {snapshot.snapshot_id}` "
            "shows what changed."
        )
    written.digests |= {name: digest.hexdigest() for name, (_, digest) in files.items()}
    return written


def _csv_line(*cells: str) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="").writerow(" ".join(cell.split()) for cell in cells)
    return text.getvalue()


def _move(place: Path, folder: Path) -> None:
    """Put finished files where they belong: at once where there is no folder yet.

    Into a folder that is there the manifest goes first: an export that is cut short is then known to be ours, and its
    digests say that it is not whole.
    """
    if not folder.exists():
        place.rename(folder)
        return
    new = {path.name for path in place.iterdir()}
    for name in sorted(new, key=lambda name: (name != _MANIFEST, name)):
        (place / name).replace(folder / name)
    for path in folder.iterdir():
        if path.name not in new:
            path.unlink()


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
        raise UsageError(f"{folder} contains {foreign[0]}, which no export wrote. Give an empty or a new folder.")
    return present
