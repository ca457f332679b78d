"""Findings of ``regraft doctor`` about erasures and frozen datasets, and their repair."""

from __future__ import annotations

from collections.abc import Iterator

from regraft.domain.errors import RegraftError
from regraft.presentation.cli.context import CommandContext
from regraft.presentation.cli.services.finding import Finding
from regraft.presentation.cli.services.status import services
from regraft.presentation.cli.words import counted

_REPAIR = "`regraft doctor --repair` does it."


def unfinished_erasures(run: CommandContext, *, repair: bool) -> Iterator[Finding]:
    """Interrupted erasures, with their remaining steps."""
    from regraft.flows.datasets import erase as flow

    if not repair and not _postgres_runs(run):
        return
    left = [one for one in flow.certificates(run.postgres_dsn()) if one.finished_at is None]
    if repair and left:
        from regraft.presentation.cli.datasets.erase import places_of

        for one in flow.resume(places_of(run)):
            yield Finding("ok", f"the erasure {one.erasure_id} was finished")
        return
    for one in left:
        steps = ", ".join(one.remaining)
        mend = "`regraft erase --resume` finishes it."
        yield Finding("wrong", f"The erasure {one.erasure_id} ({one.kind}) is not finished; left: {steps}.", mend)


def warehouse_leftovers(run: CommandContext, *, repair: bool) -> Iterator[Finding]:
    """Leftovers of interrupted freezes."""
    from regraft.flows.datasets.erase_workbench import remove_drafts
    from regraft.flows.datasets.withdraw import sweep

    if not repair and not _postgres_runs(run):
        yield Finding("ok", "erasures and the warehouse are checked only while postgres runs; --repair starts it")
        return
    if repair and (drafts := remove_drafts(run.workbench().parent)):
        yield Finding("ok", f"{drafts} folders with rows of freezes that were killed were removed")
    try:
        found = sweep(run.postgres_dsn(), run.warehouse(), repair=repair)
    except (RegraftError, OSError) as error:
        yield Finding("warning", f"The warehouse {run.warehouse()} cannot be looked through: {error}")
        return
    for one in found:
        parts = f"{counted(len(one.snapshots), 'snapshot')}, {counted(len(one.tags), 'tag')}"
        what = f"{parts} and {counted(len(one.files), 'file')} of {one.table}"
        if repair:
            yield Finding("ok", f"{what} that no frozen dataset needs were removed")
        else:
            yield Finding("warning", f"{what} belong to no frozen dataset: a freeze was killed.", _REPAIR)
    if not found:
        yield Finding("ok", "nothing in the warehouse is left over")


def _postgres_runs(run: CommandContext) -> bool:
    return any(row["service"] == "postgres" and row["state"] != "stopped" for row in services(run))
