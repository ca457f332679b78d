"""Evaluation: replays, judges, labels and the review queue."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from boards.panels import RED, YELLOW, bars, board, figure, limits, lines, listing, shown_as, window
from boards.sources import Sql, ask, fact_quantile, fact_rate


def evaluation() -> dashboard.Dashboard:
    """The dashboard."""
    made = board(
        "evaluation",
        "Regraft: evaluation",
        "What is replayed, how judges and people judge it, and what waits for people.",
        span="now-7d",
        refresh="30s",
    ).with_variable(window())
    for panel in (*_figures(), *_replays(), *_judgements(), *_tables()):
        made = made.with_panel(panel)
    return made


def _figures():
    return (
        figure("Waiting for review", "Open items of the queue.", ask("max(regraft_store_review_items_open)"), width=4),
        figure(
            "Oldest item",
            "How long the item that waits longest for people has waited.",
            ask("max(regraft_store_review_oldest_seconds)"),
            unit="s",
            steps=limits((86400 * 3, YELLOW), (86400 * 7, RED)),
        ),
        figure(
            "Judges not calibrated",
            "Judges that agree too little with people, or were never compared with them. Their votes decide nothing.",
            ask("max(regraft_store_judges_uncalibrated)"),
            steps=limits((1, YELLOW)),
        ),
        figure("Judgements", "Answers of judges in the time range.", Sql("evaluation", "votes")),
        figure("Labels of people", "Ratings and preferences in the time range.", Sql("evaluation", "human_labels")),
        figure(
            "Fidelity",
            "Mean share of tool results of rollouts that come from the record.",
            Sql("evaluation", "fidelity"),
            unit="percentunit",
            steps=limits((0.5, YELLOW), (0.8, "#73BF69"), base=RED),
        ),
    )


def _replays():
    return (
        lines(
            "Jobs of replays a minute, by result",
            "Each job makes one answer again.",
            ask(f"60 * {fact_rate('regraft_replay_jobs_total', 'status')}", "{{status}}"),
            stacked=True,
        ),
        lines("Jobs of replays by state", "All plans, exact.", ask("regraft_store_replay_jobs", "{{status}}")),
        lines(
            "Time of a job",
            "From its first call to its last.",
            ask(fact_quantile(0.5, "regraft_replay_job_seconds"), "p50"),
            ask(fact_quantile(0.95, "regraft_replay_job_seconds"), "p95", ref="B"),
            unit="s",
        ),
        bars("How rollouts ended", "In the time range.", Sql("evaluation", "rollout_ends"), width=12),
    )


def _judgements():
    return (
        lines(
            "Answers of judges a minute",
            "Unreadable ones have no value.",
            ask(f"60 * {fact_rate('regraft_evaluation_judgements_total', 'judge', 'result')}", "{{judge}} {{result}}"),
            stacked=True,
        ),
        lines(
            "Scores of judges",
            "Median and lower tenth of scores from 0 to 1.",
            ask(fact_quantile(0.5, "regraft_evaluation_score", "judge"), "{{judge}} p50"),
            ask(fact_quantile(0.1, "regraft_evaluation_score", "judge"), "{{judge}} p10", ref="B"),
        ),
        lines(
            "Labels a day, by source",
            "Ratings and preferences.",
            Sql("evaluation", "labels_by_day", shape="time_series"),
            bars=True,
            stacked=True,
        ),
        lines(
            "Time of a review, p50 and p90",
            "From claiming an item to its answer.",
            ask(fact_quantile(0.5, "regraft_evaluation_review_seconds", "kind"), "{{kind}} p50"),
            ask(fact_quantile(0.9, "regraft_evaluation_review_seconds", "kind"), "{{kind}} p90", ref="B"),
            unit="s",
        ),
    )


def _tables():
    return (
        listing("Latest replay plans", "In the time range.", Sql("evaluation", "plans"), height=8),
        bars("Open items by kind and theme", "The 20 largest.", Sql("evaluation", "queue"), width=12),
        bars("Ratings of people", "In the time range.", Sql("evaluation", "ratings"), width=12),
        listing("Judges", "Each version that was asked, the last used first.", Sql("evaluation", "judges"), width=12),
        listing(
            "Agreement of people", "Krippendorff's alpha by theme.", Sql("evaluation", "agreement"), width=12
        ).override_by_name("alpha", shown_as("none")),
    )
