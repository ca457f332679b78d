"""Rows from a recipe: rank candidates, fetch the messages of those that may win, refuse what is not legal.

Candidates are ranked on disk. Messages are fetched in the order of rank, in batches, while the batch before is turned
into rows; the rows go to a temporary file. So memory grows neither with candidates nor with texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from threading import Lock

from regraft.domain.datasets.certificate import UNCALIBRATED
from regraft.domain.datasets.content import compose, content_keys, illegal, row_digest
from regraft.domain.datasets.kinds import KINDS
from regraft.domain.datasets.kinds.kind import Candidates, Counts, Kind, PlannedRow
from regraft.domain.datasets.messages import RowRefusal
from regraft.domain.datasets.reasons import explained
from regraft.domain.datasets.recipe import Recipe
from regraft.domain.datasets.rows import Row
from regraft.domain.datasets.selection import Quota
from regraft.domain.datasets.splits import Members
from regraft.domain.datasets.turns import RecordedTurn
from regraft.domain.evaluation.calibration import MIN_AGREEMENT, Calibrations
from regraft.flows.datasets.filters import RowFilters
from regraft.flows.datasets.progress import Progress, unwatched
from regraft.flows.datasets.recorded_turns import QUERIES, TurnReader
from regraft.flows.evaluation.calibration import known_judges
from regraft.flows.evaluation.clusters import require_clusters
from regraft.flows.evaluation.pairs import propose_pairs
from regraft.flows.evaluation.trajectories import materialise_units
from regraft.infra.duckdb.datasets.selection import SelectionFile, selection_file
from regraft.infra.files.drafts import draft_folder
from regraft.infra.iceberg.row_file import RowFile
from regraft.infra.postgres.arrow import reading

DRAFT = "rows-"  # of the name of the folder where rows lie
_STEP = 2_000  # candidates between two looks at whether the rows are still wanted
_MEASURING = Lock()
_BATCH = 1_000  # rows in memory as messages at a time


@dataclass(slots=True, kw_only=True)
class Assembly:
    """The rows of a recipe, best first in ``rows``; ``members`` and ``digests`` are in the same order.

    ``counts`` are of candidates that became no row. ``dropped`` names message fields that rows leave out, ``build`` is
    the build of the graph; ``looked_at`` counts ranked candidates.
    """

    recipe: Recipe
    build: int
    rows: RowFile
    counts: Counts = field(default_factory=Counts)
    dropped: set[str] = field(default_factory=set)
    members: Members = field(default_factory=Members)
    digests: list[bytes] = field(default_factory=list)
    strata: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    filters: Mapping[str, object] = field(default_factory=dict)
    links: list[tuple[int, int]] = field(default_factory=list)
    looked_at: int = 0

    def __len__(self) -> int:
        return len(self.members)

    def refuse(self, planned: PlannedRow, refusal: RowRefusal) -> None:
        """Count a refused candidate, and keep some of them as examples."""
        self.counts.refuse(refusal.reason, planned.row_id, planned.turns, refusal.detail)

    def refuse_unredacted(self, planned: PlannedRow, refusal: RowRefusal) -> None:
        """Refuse a candidate that was not redacted yet: its detail may quote it, and is dropped."""
        self.refuse(planned, RowRefusal(refusal.reason) if self.recipe.filters.redact else refusal)

    def reasons(self) -> str:
        """Why candidates became no rows: the counts, and a line for each reason with what to do about it."""
        counts = {**+self.counts.refused, **+self.counts.passed_over}
        said = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items())) or "nothing was found"
        return "\n  ".join([f"{said}.", *explained(sorted(counts))])


@contextmanager
def assemble(
    recipe: Recipe,
    dsn: str,
    workbench: Path,
    *,
    at_most: int = 0,
    scope: str | None = None,
    progress: Progress = unwatched,
) -> Iterator[Assembly]:
    """Update the workbench from the graph and make the recipe's rows; the best ``at_most`` of them, all when it is 0.

    ``scope``: only conversations of this tenant are candidates; None: all are. The rows lie in a temporary file beside
    the workbench, until the end of the block.
    """
    with ExitStack() as stack:
        with _alone(progress):
            progress("measuring", 0, 0)
            build = materialise_units(dsn, workbench).build
            propose_pairs(dsn, workbench)
            if "cluster" in recipe.strata:
                require_clusters(dsn, workbench)
            known = known_judges(recipe, dsn, workbench)
            ranking = stack.enter_context(ExitStack())
            selection = ranking.enter_context(selection_file(workbench))
        progress("ranking", 0, 0)
        filters = RowFilters(recipe.filters, workbench.parent)
        place = stack.enter_context(draft_folder(DRAFT, workbench.parent))
        rows = stack.enter_context(RowFile(place / "rows.arrow", recipe.kind))
        if scope is not None:
            selection.keep_sessions(_sessions_of(dsn, scope))
        made = Assembly(recipe=recipe, build=build, rows=rows)
        kind = KINDS[recipe.kind]
        rank(recipe, kind, dsn, selection, made.counts, known, progress)
        digests: set[bytes] = set()
        quota = Quota(kind.limits(recipe))
        candidates = len(selection)
        for batch in _composed(kind, dsn, selection, quota, made, at_most):
            progress("rows", made.looked_at, candidates)
            kept: list[Row] = []
            for planned, row in batch:
                prompt, whole = content_keys(row)
                key = bytes.fromhex(whole)[:16]
                if key in digests:
                    made.refuse(planned, RowRefusal("duplicate_row"))
                    continue
                if not quota.has_room(planned):
                    made.counts.passed_over["not_among_best"] += 1
                    continue
                checked = filters.check(row)
                if isinstance(checked, RowRefusal):
                    made.refuse(planned, checked)
                    continue
                quota.take(planned)
                digests.add(key)
                _keep(made, planned, checked, prompt)
                kept.append(checked)
            rows.write([(row, "") for row in kept])
            if at_most and len(made) >= at_most:
                break
        made.filters, made.links = filters.report(), filters.links()
        rows.close()
        ranking.close()  # what follows needs the memory that ranking took
        yield made


@contextmanager
def _alone(progress: Progress) -> Iterator[None]:
    """Threads of one process share an open workbench: one at a time brings it up to date and copies from it."""
    while not _MEASURING.acquire(timeout=0.2):
        progress("waiting", 0, 0)
    try:
        yield
    finally:
        _MEASURING.release()


def _sessions_of(dsn: str, scope: str) -> list[str]:
    with reading(dsn, QUERIES) as log:
        return [row["session_id"] for row in log.rows("sessions_of", scope)]


def decided_by(planned: PlannedRow) -> str:
    """The label source of a row; of a model that is not known to agree with people it says so."""
    believed = planned.agreement is not None and planned.agreement >= MIN_AGREEMENT
    return UNCALIBRATED if planned.label_source == "model" and not believed else planned.label_source


def _keep(made: Assembly, planned: PlannedRow, row: Row, prompt: str) -> None:
    task = [f"task {planned.task}"] if made.recipe.split_by_task and planned.task else []
    made.members.add(row.row_id, row.session_id, [f"prompt {prompt}", *task])
    made.digests.append(row_digest(row))
    made.strata[row.stratum] += 1
    made.labels[decided_by(planned)] += 1


def rank(
    recipe: Recipe,
    kind: Kind,
    dsn: str,
    selection: SelectionFile,
    counts: Counts,
    known: Calibrations,
    progress: Progress = unwatched,
) -> None:
    """Plan the rows of every candidate that may win, and let them compete."""
    with reading(dsn, "postgres/evaluation/evaluation") as reader:
        ratings = reader.rows("ratings")
    candidates = Candidates(selection.units, lambda: ratings, selection.pairs, known)
    selection.add(_watched(kind.plan(recipe, candidates, counts), progress))
    counts.passed_over["not_among_best"] += selection.compete(recipe.per_context)


def _watched(plans: Iterator[PlannedRow], progress: Progress) -> Iterator[PlannedRow]:
    for number, planned in enumerate(plans):
        if number % _STEP == 0:
            progress("ranking", number, 0)
        yield planned


def _composed(
    kind: Kind, dsn: str, selection: SelectionFile, quota: Quota, made: Assembly, at_most: int
) -> Iterator[list[tuple[PlannedRow, Row]]]:
    """Legal rows by rank, in batches. The next batch is fetched while this one is used."""
    size = min(_BATCH, max(50, at_most)) if at_most else _BATCH
    with reading(dsn, QUERIES) as log, ThreadPoolExecutor(1) as fetching:
        reader = TurnReader(log, models=made.recipe.content.learn == "models")
        plans = _wanted(selection.ranked(), quota, made)
        batch = list(islice(plans, size))
        pending = fetching.submit(_fetch, reader, batch)
        while batch:
            turns = pending.result()
            following = list(islice(plans, size))
            pending = fetching.submit(_fetch, reader, following)
            yield list(_legal(kind, batch, turns, made))
            batch = following


def _wanted(plans: Iterator[PlannedRow], quota: Quota, made: Assembly) -> Iterator[PlannedRow]:
    """The plans whose messages are worth fetching: strata that are full already take no more."""
    for planned in plans:
        made.looked_at += 1
        if planned.refusal:
            made.refuse_unredacted(planned, RowRefusal(planned.refusal))
        elif not quota.offer(planned):
            made.counts.passed_over["not_among_best"] += 1
        else:
            yield planned


def _fetch(reader: TurnReader, batch: list[PlannedRow]) -> dict[str, RecordedTurn]:
    return reader.read(turn for planned in batch for turn in planned.turns.values()) if batch else {}


def _legal(
    kind: Kind, batch: list[PlannedRow], turns: Mapping[str, RecordedTurn], made: Assembly
) -> Iterator[tuple[PlannedRow, Row]]:
    for planned in batch:
        row = compose(planned, turns, made.recipe.content)
        refusal = row if isinstance(row, RowRefusal) else illegal(row)
        refusal = refusal or kind.unfit(made.recipe, {part: turns[turn] for part, turn in planned.turns.items()})
        if refusal:
            made.refuse_unredacted(planned, refusal)
        elif isinstance(row, Row):
            made.dropped.update(*(turns[turn].dropped for turn in planned.turns.values()))
            yield planned, row
