"""Which models answered, from which builds, and which of these is current."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from regraft.domain.replay.staleness import NAME, current
from regraft.infra.postgres.pool import Source, reading_from
from regraft.infra.postgres.replay import models


def listed(source: Source, model: str | None = None) -> list[dict[str, Any]]:
    """Builds, the one seen last first, of one model or of all; each with ``state``.

    ``current``, ``replaced`` (then ``replaced_by`` names the current one) or ``unknown``: only its name is known.
    """
    with reading_from(source) as connection:
        known = models.snapshots(connection)
    now = current(known)
    rows = []
    for each in known:
        if model is not None and each.model != model:
            continue
        replaced = now[each.key] != each.key
        state = "unknown" if each.pinned_by == NAME else "replaced" if replaced else "current"
        rows.append({**asdict(each), "state": state, "replaced_by": now[each.key][2] if replaced else None})
    return rows
