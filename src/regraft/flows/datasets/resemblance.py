"""Near-duplicates in a frozen dataset, found with Daft on this machine or on a Ray cluster."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

from regraft.domain.datasets.kinds import KINDS
from regraft.domain.datasets.splits import Members, components
from regraft.domain.errors import IntegrityError, UsageError
from regraft.flows.datasets.freeze import find_snapshot
from regraft.infra.daft.engine import Compared, ComparedRow, Engine, compare
from regraft.infra.daft.report_files import write_report
from regraft.infra.iceberg import snapshots


@dataclass(frozen=True, slots=True, kw_only=True)
class Resemblance:
    """Counts of a comparison. A ``group`` is rows that are joined by pairs; ``surplus`` rows are those of groups that
    are not the best of their group and label. ``pairs_in_two_splits`` are a leak that exact comparison does not see.

    ``wide_bands`` counts bands that so many rows share that not each was compared with each. ``words`` and
    ``characters`` are of what was said, without instructions.
    """

    snapshot_id: str
    engine: str
    threshold: float
    rows: int
    candidates: int
    wide_bands: int
    pairs: int
    pairs_in_two_splits: int
    groups: int
    largest_group: int
    surplus: int
    words: int
    characters: int
    median_words: int


def resemblance(
    snapshot_id: str, folder: Path, *, dsn: str, warehouse: str, python: Path, ray: str = "", threshold: float = 0.8
) -> Resemblance:
    """Compare the rows of a snapshot and write ``rows.parquet`` (lengths, group, whether to keep it), ``pairs.parquet``
    and ``report.json`` into a folder, in place of those of before.

    ``python`` has Daft; ``ray`` is where it runs: on this machine when it is empty, at the address of a Ray cluster, or
    on ``local:N`` nodes here. Raises UsageError for what cannot be meant, UnavailableError when Daft or Ray fails.
    """
    engine = Engine(python, ray)
    if not 0.1 <= threshold <= 1:
        raise UsageError(f"The threshold is a share of common runs of words from 0.1 to 1, not {threshold:g}.")
    snapshot, _ = find_snapshot(dsn, snapshot_id)
    with snapshots.catalog(dsn, warehouse) as opened:
        files = snapshots.data_files(opened, snapshot.iceberg_table, snapshot.iceberg_snapshot_id)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made: {error.strerror}.") from error
    compared = compare(engine, files, KINDS[snapshot.kind].columns, threshold, folder)
    expected = sum(snapshot.row_counts.values())
    if len(compared.rows) != expected:
        raise IntegrityError(f"{snapshot.snapshot_id} has {expected} rows, and {len(compared.rows)} were read.")
    groups, kept = _groups(compared)
    split = {row.row_id: row.split for row in compared.rows}
    lengths = sorted(row.words for row in compared.rows)
    sizes = [len(members) for members in groups.values()]
    report = Resemblance(
        snapshot_id=snapshot.snapshot_id,
        engine=engine.name,
        threshold=threshold,
        rows=expected,
        candidates=compared.figures["candidates"],
        wide_bands=compared.figures["wide_bands"],
        pairs=len(compared.pairs),
        pairs_in_two_splits=sum(split[pair.row_id] != split[pair.other_row_id] for pair in compared.pairs),
        groups=len(groups),
        largest_group=max(sizes, default=0),
        surplus=expected - len(kept),
        words=sum(lengths),
        characters=sum(row.characters for row in compared.rows),
        median_words=lengths[len(lengths) // 2],
    )
    group = {row_id: first for first, members in groups.items() for row_id in members}
    write_report(
        folder,
        report=asdict(report),
        rows=({**asdict(row), "group": group.get(row.row_id), "keep": row.row_id in kept} for row in compared.rows),
        pairs=map(asdict, compared.pairs),
    )
    return report


def _groups(compared: Compared) -> tuple[dict[str, list[str]], set[str]]:
    """(rows by the first of their group, rows to keep): those alone, and of a group the best of each label, because
    rows that say the same with different labels contradict each other, and which is right is not known here."""
    members = Members()
    number: dict[str, int] = {}
    for row in compared.rows:
        number[row.row_id] = len(number)
        members.add(row.row_id, row.row_id, ())
    links = [(number[pair.row_id], number[pair.other_row_id]) for pair in compared.pairs]
    by_group: dict[str, list[ComparedRow]] = defaultdict(list)
    for row, first in zip(compared.rows, components(members, links), strict=True):
        by_group[compared.rows[first].row_id].append(row)
    kept = set()
    for alike in by_group.values():
        best: dict[str | None, ComparedRow] = {}
        for row in sorted(alike, key=lambda row: (-row.score, row.row_id)):
            best.setdefault(row.label, row)
        kept |= {row.row_id for row in best.values()}
    groups = {first: [row.row_id for row in alike] for first, alike in by_group.items() if len(alike) > 1}
    return groups, kept
