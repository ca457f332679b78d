"""Datasets: what is frozen, what was refused and why, and whether it is still what was frozen."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from boards.panels import RED, bars, board, figure, limits, lines, listing, window
from boards.sources import Sql, ask, fact_quantile, fact_rate


def datasets() -> dashboard.Dashboard:
    """The dashboard."""
    made = board(
        "datasets",
        "Regraft: datasets",
        "Frozen datasets: rows, splits, what was refused, and verifications.",
        span="now-30d",
        refresh="1m",
    ).with_variable(window())
    broken = 'regraft_datasets_verifications_total{result="broken"}'
    panels = (
        figure("Datasets", "Snapshots that are not withdrawn.", Sql("datasets", "snapshots"), width=6),
        figure("Rows", "In snapshots that are not withdrawn.", Sql("datasets", "rows"), width=6),
        figure("Withdrawn", "Snapshots that must not be trained on.", Sql("datasets", "withdrawn"), width=6),
        figure(
            "Broken",
            "Verifications that found a difference, since facts are counted.",
            ask(f"max(sum by (job) (max_over_time({broken}[$__range]))) or vector(0)"),
            steps=limits((1, RED)),
            width=6,
            decimals=0,
        ),
        listing("Snapshots", "In the time range, the latest first.", Sql("datasets", "list")),
        bars("Rows by kind and split", "Of snapshots that are not withdrawn.", Sql("datasets", "splits"), width=12),
        bars(
            "Refused, by reason",
            "Paths that gave no row, in freezes of the time range.",
            Sql("datasets", "refused"),
            width=12,
        ),
        lines(
            "Rows frozen, by day and dataset",
            "Exact.",
            Sql("datasets", "by_day", shape="time_series"),
            bars=True,
            stacked=True,
        ),
        lines(
            "Rows exported a minute",
            "By a trainer's format.",
            ask(f"60 * {fact_rate('regraft_datasets_rows_exported_total', 'format')}", "{{format}}"),
            stacked=True,
        ),
        lines(
            "Time of a freeze",
            "By kind of dataset.",
            ask(fact_quantile(0.5, "regraft_datasets_freeze_seconds", "kind"), "{{kind}} p50"),
            ask(fact_quantile(0.95, "regraft_datasets_freeze_seconds", "kind"), "{{kind}} p95", ref="B"),
            unit="s",
        ),
        lines("Rows in store", "By kind, exact.", ask("max by (kind) (regraft_store_snapshot_rows)", "{{kind}}")),
    )
    for panel in panels:
        made = made.with_panel(panel)
    return made
