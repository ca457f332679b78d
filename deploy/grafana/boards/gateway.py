"""Gateway health: capture, model servers, what the gateway itself costs, and the way to the stores."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from boards.panels import GREEN, RED, YELLOW, board, figure, limits, lines, listing, window
from boards.sources import ask, quantile_of

OVERHEAD, UPSTREAM = "regraft_gateway_overhead_seconds", "regraft_gateway_upstream_seconds"


def gateway() -> dashboard.Dashboard:
    """The dashboard."""
    made = board(
        "gateway", "Regraft: gateway health", "Whether calls are answered, captured and stored, and what that costs."
    ).with_variable(window())
    for panel in (*_figures(), *_calls(), *_capture(), *_storing()):
        made = made.with_panel(panel)
    return made


def _figures():
    up = limits((1, GREEN), base=RED)
    return (
        figure("Gateways up", "That answer Prometheus.", ask('sum(up{job="regraft-gateway"})'), steps=up, decimals=0),
        figure(
            "Stream reachable",
            "1 where every gateway reaches NATS.",
            ask("min(regraft_gateway_stream_up)"),
            steps=up,
            decimals=0,
        ),
        figure(
            "Stores reachable",
            "Of PostgreSQL and NATS, as `regraft metrics` sees them.",
            ask("sum(regraft_store_up)"),
            steps=limits((2, GREEN), base=RED),
            decimals=0,
        ),
        figure(
            "Spool",
            "Captured, and not in the stream yet.",
            ask("sum(regraft_gateway_spool_bytes)"),
            unit="bytes",
            steps=limits((16777216, YELLOW), (1073741824, RED)),
        ),
        figure(
            "Quarantine",
            "Calls that could not be read, and wait for a person.",
            ask('max(regraft_store_quarantined{state="refused"})'),
            steps=limits((1, YELLOW)),
            decimals=0,
        ),
        figure(
            "Alerts",
            "That fire now.",
            ask('count(ALERTS{alertstate="firing"}) or vector(0)'),
            steps=limits((1, RED)),
            decimals=0,
        ),
    )


def _calls():
    return (
        lines(
            "Calls a second, by model server and status",
            "`cut`: no status reached the client.",
            ask("sum by (upstream, status) (rate(regraft_gateway_calls_total[$window]))", "{{upstream}} {{status}}"),
            unit="reqps",
            stacked=True,
        ),
        lines(
            "Failed calls, by model server",
            "Share answered with 5xx, or cut, over five minutes.",
            ask("regraft:gateway_failed_calls:ratio5m", "{{upstream}}"),
            unit="percentunit",
        ),
        lines(
            "Calls in flight",
            "Whose answer has not ended, and those of them that wait for their turn at a limit.",
            ask("sum(regraft_gateway_calls_in_flight)", "in flight"),
            ask("sum by (limit, upstream) (regraft_gateway_calls_waiting)", "waiting {{limit}} {{upstream}}", ref="B"),
        ),
        lines(
            "Time of model servers, p95",
            "Until the end of the answer, as the gateway measures it.",
            ask(quantile_of(0.95, UPSTREAM, "upstream"), "{{upstream}}"),
            unit="s",
        ),
        lines(
            "Time of the gateway itself",
            "Of a call, without waiting for the model server.",
            ask(quantile_of(0.5, OVERHEAD), "p50"),
            ask(quantile_of(0.95, OVERHEAD), "p95", ref="B"),
            ask(quantile_of(0.99, OVERHEAD), "p99", ref="C"),
            unit="s",
        ),
        lines(
            "Retries, cuts and refusals a minute",
            "Refusals are the gateway's own: no valid HTTP, no key, too large.",
            ask("60 * sum by (upstream) (rate(regraft_gateway_retries_total[$window]))", "retry {{upstream}}"),
            ask("60 * sum by (by) (rate(regraft_gateway_cuts_total[$window]))", "cut by {{by}}", ref="B"),
            ask("60 * sum by (reason) (rate(regraft_gateway_refusals_total[$window]))", "refused {{reason}}", ref="C"),
        ),
    )


def _capture():
    return (
        lines(
            "Captured, published, stored a second",
            "The three go together; where one stays behind, calls pile up before it.",
            ask("sum(rate(regraft_gateway_captured_total[$window]))", "captured"),
            ask("sum(rate(regraft_gateway_published_total[$window]))", "published", ref="B"),
            ask("sum(rate(regraft_ingest_turns_total[$window]))", "stored", ref="C"),
            unit="reqps",
        ),
        lines("Spool", "By gateway.", ask("regraft_gateway_spool_bytes", "{{instance}}"), unit="bytes"),
        lines(
            "Waiting to be stored",
            "Packs of calls in the stream.",
            ask("max(regraft_stream_packs_waiting)", "waiting"),
            ask("max(regraft_stream_redelivered)", "given again", ref="B"),
            width=8,
        ),
        lines(
            "Ingest lag",
            "Age of the oldest call that waits.",
            ask("max(regraft_stream_oldest_seconds)", "oldest"),
            unit="s",
            width=8,
        ),
        lines(
            "Not captured, a minute",
            "Must be nothing but 0: failures, and calls whose client asked not to be captured.",
            ask("60 * sum(rate(regraft_gateway_capture_failures_total[$window]))", "failed"),
            ask("60 * sum(rate(regraft_gateway_opted_out_total[$window]))", "opted out", ref="B"),
            width=8,
        ),
    )


def _storing():
    return (
        lines(
            "Time to store a batch",
            "From its arrival to its commit.",
            ask(quantile_of(0.5, "regraft_ingest_batch_seconds"), "p50"),
            ask(quantile_of(0.95, "regraft_ingest_batch_seconds"), "p95", ref="B"),
            unit="s",
            width=8,
        ),
        lines(
            "Turns that the graph has not placed",
            "`failed` ones are set aside until they are tried again.",
            ask("max(regraft_store_turns_waiting)", "waiting"),
            ask("max(regraft_store_turns_failed)", "failed", ref="B"),
            width=8,
        ),
        lines(
            "Quarantine",
            "`waiting` ones need an earlier call; `refused` ones could not be read.",
            ask("max by (state) (regraft_store_quarantined)", "{{state}}"),
            width=8,
        ),
        lines(
            "Size of the stores",
            "On disk.",
            ask("max by (part) (regraft_store_bytes)", "{{part}}"),
            unit="bytes",
            stacked=True,
        ),
        lines(
            "Conversations that begin in the middle",
            "Share of the last day's: more than a few are one conversation held as several.",
            ask("max(regraft_store_fracture_suspects_ratio)", "suspects"),
            unit="percentunit",
        ),
        lines(
            "Processor time",
            "Of each process, in cores.",
            ask('rate(process_cpu_seconds_total{job=~"regraft-.*"}[$window])', "{{job}} {{instance}}"),
        ),
        lines(
            "Memory",
            "Resident, of each process.",
            ask('process_resident_memory_bytes{job=~"regraft-.*"}', "{{job}} {{instance}}"),
            unit="bytes",
        ),
        listing(
            "Alerts that fire",
            "What to do is in docs/how-to/operate.md, under the alert's name.",
            ask('ALERTS{alertstate="firing"}', now=True),
            height=8,
        ),
    )
