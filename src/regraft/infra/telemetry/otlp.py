"""Spans to an OTLP receiver over HTTP. It needs the extra ``regraft[otel]``, and is imported late."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from regraft.infra.telemetry.span import Span
from regraft.version import __version__


class OtlpClient:
    """Sends batches; each is retried for up to ``seconds``. Its requests are those of the SDK's exporter."""

    def __init__(self, url: str, headers: Mapping[str, str], service: str, seconds: float) -> None:
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # every try is a line there; ours is one
        self._client = OTLPSpanExporter(
            endpoint=url, headers=dict(headers), timeout=seconds, compression=Compression.Gzip
        )
        self._resource = Resource({"service.name": service, "service.version": __version__})
        self._scope = InstrumentationScope("regraft", __version__)

    def send(self, spans: Sequence[Span]) -> bool:
        """Whether the receiver took them."""
        return self._client.export([self._readable(each) for each in spans]) is SpanExportResult.SUCCESS

    def _readable(self, span: Span) -> ReadableSpan:
        return ReadableSpan(
            name=span.name,
            context=_context(span.trace_id, span.span_id),
            parent=_context(span.trace_id, span.parent_id) if span.parent_id else None,
            resource=self._resource,
            attributes=dict(span.attributes),
            links=[Link(_context(each.trace_id, each.span_id), {"regraft.link": each.relation}) for each in span.links],
            kind=SpanKind.CLIENT if span.kind == "client" else SpanKind.INTERNAL,
            status=Status(StatusCode.ERROR if span.failed else StatusCode.UNSET),
            start_time=span.started_ns,
            end_time=span.ended_ns,
            instrumentation_scope=self._scope,
        )


def _context(trace_id: str, span_id: str) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), False, TraceFlags(TraceFlags.SAMPLED))
