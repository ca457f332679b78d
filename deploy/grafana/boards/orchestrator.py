"""Orchestrator: who talks to whom, how often, how fast, and with what result."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from boards.panels import (
    GREEN,
    RED,
    YELLOW,
    board,
    drawing,
    figure,
    limits,
    lines,
    linked,
    listing,
    nodegraph,
    shown_as,
    window,
)
from boards.sources import Sql, ask, fact_quantile, fact_rate

CALLS, PLANS = "regraft_orchestration_calls_total", "regraft_orchestration_plans_total"
FAILED = 'max(sum by (job) (rate(regraft_orchestration_plans_total{result!="done"}[$window])))'


def orchestrator() -> dashboard.Dashboard:
    """The dashboard."""
    made = board(
        "orchestrator",
        "Regraft: who talks to whom",
        "Clients, orchestrators, judges and replays, and the models that each of them asks.",
        span="now-24h",
        refresh="30s",
    ).with_variable(window())
    arcs = (
        nodegraph.NodeOptions()
        .arcs([_arc("arc__done", GREEN), _arc("arc__failed", RED)])
        .main_stat_unit("short")
        .secondary_stat_unit("s")
    )
    graph = drawing(
        "Who talks to whom",
        "From those who ask to those who answer. In a circle: calls in the time range, and the mean seconds of one; its"
        " ring is green for calls that worked. From the log, exact.",
        Sql("orchestrator", "graph_nodes", ref="nodes"),
        Sql("orchestrator", "graph_edges", ref="edges"),
        height=14,
    )
    plans = listing("Latest orchestrated requests", "In the time range.", Sql("orchestrator", "plans"))
    for panel in (*_figures(), graph.nodes(arcs), *_courses()):
        made = made.with_panel(panel)
    url = "/d/regraft-conversation?var-session=${__value.raw}&${__url_time_range}"
    return made.with_panel(
        plans.override_by_name("conversation", linked("Graph of this conversation", url))
        .override_by_name("seconds", shown_as("s"))
        .override_by_name("model seconds", shown_as("s"))
    )


def _arc(field: str, color: str) -> nodegraph.ArcOption:
    return nodegraph.ArcOption().field(field).color(color)


def _figures():
    every = f"max(sum by (job) (rate({PLANS}[$window])))"
    return (
        figure(
            "Orchestrated a minute", "Requests to orchestrators that ended.", ask(f"60 * {every}"), width=6, decimals=1
        ),
        figure(
            "Orchestrated, p95",
            "Time of an orchestrated request, from the plan to the answer.",
            ask(fact_quantile(0.95, "regraft_orchestration_plan_seconds")),
            unit="s",
            width=6,
        ),
        figure(
            "Orchestrated, not done",
            "Share of orchestrated requests that failed or were cancelled.",
            ask(f"({FAILED} or 0 * {every}) / ({every} > 0)"),
            unit="percentunit",
            steps=limits((0.05, YELLOW), (0.2, RED)),
            width=6,
        ),
        figure("Orchestrated", "Requests in the time range, exact.", Sql("orchestrator", "requests"), width=6),
    )


def _courses():
    pair = "{{caller}} → {{worker}}"
    return (
        lines(
            "Inner calls a minute",
            "By who asked whom, in one orchestrated request.",
            ask(f"60 * {fact_rate(CALLS, 'caller', 'worker')}", pair),
            stacked=True,
        ),
        lines(
            "Inner calls, p95",
            "With their retries and tools.",
            ask(fact_quantile(0.95, "regraft_orchestration_call_seconds", "caller", "worker"), pair),
            unit="s",
        ),
        lines(
            "Inner calls a minute, by step and result",
            "Steps: the plan, the work, the answer.",
            ask(f"60 * {fact_rate(CALLS, 'step', 'result')}", "{{step}} {{result}}"),
            stacked=True,
        ),
        lines(
            "Orchestrated a minute, by result",
            "Requests to orchestrators.",
            ask(f"60 * {fact_rate(PLANS, 'orchestrator', 'result')}", "{{orchestrator}} {{result}}"),
            stacked=True,
        ),
    )
