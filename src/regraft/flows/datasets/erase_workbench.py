"""The workbench without what was erased: made again from the truth in a new file, which takes the old one's place.

Deleted rows leave their bytes in a DuckDB file. Vectors of texts that still read the same are carried over.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from regraft.flows.capture.runtime import build_runtime
from regraft.flows.datasets import assembly, export_archive
from regraft.flows.evaluation.calibration import calibrate
from regraft.flows.evaluation.clusters import carry_clusters
from regraft.flows.evaluation.neighbours import forget_dropped
from regraft.flows.evaluation.pairs import propose_pairs
from regraft.flows.evaluation.pivots import materialise_pivots
from regraft.flows.evaluation.trajectories import materialise_units
from regraft.infra.duckdb.datasets import selection
from regraft.infra.duckdb.evaluation.embeddings import Embeddings
from regraft.infra.files.drafts import remove_abandoned

_DRAFT = ".erasing"


def remove_drafts(folder: Path) -> int:
    """Remove what freezes, previews and exports left when they were killed; returns the number of files."""
    return remove_abandoned((assembly.DRAFT, selection.DRAFT, export_archive.DRAFT), folder)


def rebuild_workbench(dsn: str, workbench: Path) -> int:
    """Make the workbench again, and PostgreSQL's copy of its vectors; how many vectors it keeps. A missing workbench
    stays missing.

    Raises UnavailableError while another process holds the file.
    """
    draft = workbench.with_name(workbench.name + _DRAFT)
    for path in (draft, draft.with_name(draft.name + ".wal")):
        path.unlink(missing_ok=True)
    if not workbench.exists():
        forget_dropped(dsn, workbench)
        return 0
    build_runtime(dsn, draft)
    materialise_units(dsn, draft)
    propose_pairs(dsn, draft)
    materialise_pivots(dsn, draft)
    calibrate(dsn, draft)
    kept = Embeddings(workbench).move_to(draft)
    forget_dropped(dsn, workbench)
    carry_clusters(dsn, workbench)
    for path in workbench.parent.glob(f"{workbench.name}.tmp*"):  # what DuckDB spilled to disk
        with contextlib.suppress(OSError):
            for file in path.iterdir() if path.is_dir() else ():
                file.unlink()
    return kept
