"""Judgements that came with imported data, as the truth keeps them."""

from __future__ import annotations

import json

from regraft.domain.capture.importers.conversation import Judgement


def imported_judgements(listed: str) -> tuple[Judgement, ...]:
    """The judgements of one node from the JSON that the queries ``units`` and ``siblings`` give."""
    return tuple(
        Judgement(
            name=name,
            value=value,
            source=source,
            annotator=annotator or "",
            given_by=given_by or "",
            comparison=comparison or "",
            scale=None if low is None or high is None else (low, high),
        )
        for name, value, source, annotator, given_by, comparison, low, high in json.loads(listed)
    )
