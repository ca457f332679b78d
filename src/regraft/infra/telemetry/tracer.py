"""Where spans go: to the exporter of this process, or nowhere.

One for the process, like logging and facts: a flow tells a span without knowing who runs it. ``trace`` never waits and
never fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from regraft.infra.telemetry.span import Span
from regraft.infra.telemetry.span_exporter import SpanExporter, TraceSettings

_exporter: SpanExporter | None = None


def trace(spans: Iterable[Span]) -> None:
    """Export spans, if this process exports any."""
    if _exporter is not None:
        _exporter.take(spans)


def trace_ratio() -> float | None:
    """The share of traces without a parent that are exported; None where none are: asked before work for spans."""
    return _exporter.settings.ratio if _exporter is not None else None


def exporter() -> SpanExporter | None:
    """The exporter of this process."""
    return _exporter


@contextmanager
def exporting_spans(settings: TraceSettings | None, service: str) -> Iterator[None]:
    """Export the spans that are told in this process while the block runs; none without ``settings``.

    At the end what still waits is exported, for two seconds at most.
    """
    global _exporter
    if settings is None:
        yield
        return
    before, made = _exporter, SpanExporter(settings, service)
    _exporter = made
    try:
        yield
    finally:
        _exporter = before
        made.close()
