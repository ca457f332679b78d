"""Live conversations: the five figures that matter first, then what is being said by whom to which model."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from boards.panels import RED, YELLOW, board, figure, limits, lines, linked, listing, shown_as, window
from boards.sources import Sql, ask, fact_quantile, fact_rate

CALLS, TOKENS = "regraft_capture_calls_total", "gen_ai_client_token_usage_sum"
DURATION = "gen_ai_client_operation_duration_seconds"
FIRST_CHUNK = "gen_ai_client_operation_time_to_first_chunk_seconds"
FAILED = 'sum(rate(regraft_gateway_calls_total{status=~"5xx|cut"}[$window]))'
ALL = "sum(rate(regraft_gateway_calls_total[$window]))"
CONVERSATION = "/d/regraft-conversation?var-session=${__value.raw}&${__url_time_range}"


def live() -> dashboard.Dashboard:
    """The dashboard."""
    made = board("live", "Regraft: live conversations", "What is being said now, and whether all of it is captured.")
    made = made.with_variable(window())
    for panel in (*_figures(), *_traffic()):
        made = made.with_panel(panel)
    sessions = listing(
        "Latest conversations",
        "The latest 50 in the time range. A click on an id opens its graph.",
        Sql("live", "sessions"),
    )
    return made.with_panel(
        sessions.override_by_name("conversation", linked("Graph of this conversation", CONVERSATION))
        .override_by_name("tokens", shown_as("short"))
        .override_by_name("seconds", shown_as("s"))
    )


def _figures():
    return (
        figure("Calls a minute", "Calls that gateways answered.", ask(f"60 * {ALL}"), width=5, decimals=1),
        figure(
            "Duration, p95",
            "From a request to the end of its answer, of stored calls: 19 of 20 are faster.",
            ask(fact_quantile(0.95, DURATION)),
            unit="s",
            width=5,
        ),
        figure(
            "Failed calls",
            "Share that the model server answered with 5xx, or whose answer was cut.",
            ask(f"({FAILED} or vector(0)) / ({ALL} > 0)"),
            unit="percentunit",
            steps=limits((0.01, YELLOW), (0.1, RED)),
            width=5,
            decimals=1,
        ),
        figure(
            "Not captured",
            "Calls in the time range that were answered and could not be written to the spool. Must be 0.",
            ask("sum(increase(regraft_gateway_capture_failures_total[$__range]))"),
            steps=limits((0.5, RED)),
            width=5,
            decimals=0,
        ),
        figure(
            "Ingest lag",
            "How long the oldest captured call waits to be stored.",
            ask("max(regraft_stream_oldest_seconds)"),
            unit="s",
            steps=limits((15, YELLOW), (60, RED)),
            decimals=0,
        ),
    )


def _traffic():
    by_model = "gen_ai_request_model"
    legend = f"{{{{{by_model}}}}}"
    return (
        lines(
            "Calls a minute, by purpose",
            "Stored calls: chats, replays, judges, steps of orchestrators, side calls of clients.",
            ask(f"60 * {fact_rate(CALLS, 'purpose')}", "{{purpose}}"),
            stacked=True,
        ),
        lines(
            "Calls a minute, by client",
            "Clients as Regraft recognises them.",
            ask(f"60 * {fact_rate(CALLS, 'client')}", "{{client}}"),
            stacked=True,
        ),
        lines(
            "Duration by model, p95",
            "From a request to the end of its answer.",
            ask(fact_quantile(0.95, DURATION, by_model), legend),
            unit="s",
        ),
        lines(
            "Time to the first chunk by model, p95",
            "Of streamed calls.",
            ask(fact_quantile(0.95, FIRST_CHUNK, by_model), legend),
            unit="s",
        ),
        lines(
            "Tokens a minute by model",
            "As model servers count them.",
            ask(f"60 * {fact_rate(TOKENS, by_model, 'gen_ai_token_type')}", f"{legend} {{{{gen_ai_token_type}}}}"),
            stacked=True,
        ),
        lines(
            "New nodes a minute, by kind of branch",
            "Continuations lengthen a conversation; the other kinds are branches of it.",
            ask(f"60 * {fact_rate('regraft_lineage_nodes_total', 'branch_kind')}", "{{branch_kind}}"),
            stacked=True,
        ),
    )
