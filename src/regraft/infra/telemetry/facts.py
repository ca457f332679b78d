"""Facts: small events about what each room does, for metrics. They hold counts, durations and names from configuration.

A fact never holds content, and no id of a session, node or person. It is told once by the process that knows it, after
the transaction that made it true, and may be lost with that process or counted twice: exact numbers come from
PostgreSQL.
"""

from __future__ import annotations

import msgspec


class Fact(msgspec.Struct, frozen=True, kw_only=True, tag_field="fact", omit_defaults=False):
    """One event. ``fact`` in its JSON is ``ROOM.NOUN_VERB``; ``at`` (Unix seconds) is added when it is encoded."""

    @classmethod
    def room(cls) -> str:
        """The room that it is about."""
        return cls.name().partition(".")[0]

    @classmethod
    def name(cls) -> str:
        """``ROOM.NOUN_VERB``."""
        return str(cls.__struct_config__.tag)


class CallStored(Fact, tag="capture.call_stored", frozen=True, kw_only=True):
    """A captured call was stored for the first time. ``error`` is empty for a whole answer, else an HTTP status,
    ``cut_client``, ``cut_upstream`` or ``failed``. Times are unset where they were not measured, as in imports."""

    operation: str
    provider: str
    model: str
    purpose: str
    client: str
    error: str
    duration_seconds: float
    first_chunk_seconds: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


class CallsPublished(Fact, tag="capture.calls_published", frozen=True, kw_only=True):
    """The gateway's drainer moved a pack of calls from the spool to the stream. ``bytes`` as they travel."""

    calls: int
    bytes: int


class CallsQuarantined(Fact, tag="capture.calls_quarantined", frozen=True, kw_only=True):
    """Calls were set aside. ``reason``: ``unreadable``, ``refused`` (the client's own mistake) or ``waiting``."""

    reason: str
    calls: int


class CallsImported(Fact, tag="capture.calls_imported", frozen=True, kw_only=True):
    """Calls of a file were stored for the first time. ``format`` is that of the importer."""

    format: str
    calls: int


class GraphBuilt(Fact, tag="lineage.graph_built", frozen=True, kw_only=True):
    """A builder placed turns: one transaction. ``failed`` turns were set aside."""

    turns: int
    nodes: int
    failed: int
    seconds: float


class NodesAdded(Fact, tag="lineage.nodes_added", frozen=True, kw_only=True):
    """Nodes that a builder added, of one branch kind."""

    branch_kind: str
    nodes: int


class JobEnded(Fact, tag="replay.job_ended", frozen=True, kw_only=True):
    """A job of a replay plan ended. ``status``: ``done`` or ``failed``."""

    status: str
    model: str
    seconds: float


class RolloutPlaced(Fact, tag="replay.rollout_placed", frozen=True, kw_only=True):
    """A call of a rollout was placed in the graph. ``fidelity``: the share of tool results on the way to it, from 0 to
    1, that come from the record."""

    fidelity: float


class OrchestrationCallEnded(Fact, tag="orchestration.call_ended", frozen=True, kw_only=True):
    """A call of an orchestrated request ended, with its retries and tools. ``caller`` asked ``worker``: ``client`` asks
    the orchestrator's own model, which asks workers by their names in the configuration. ``step``: ``plan``, ``work``
    or ``answer``; ``result``: ``done``, ``failed`` or ``cancelled``."""

    orchestrator: str
    caller: str
    worker: str
    step: str
    result: str
    seconds: float


class OrchestrationEnded(Fact, tag="orchestration.plan_ended", frozen=True, kw_only=True):
    """An orchestrated request ended. ``steps`` were planned; ``result``: ``done``, ``failed`` or ``cancelled``."""

    orchestrator: str
    result: str
    steps: int
    seconds: float


class JudgementMade(Fact, tag="evaluation.judgement_made", frozen=True, kw_only=True):
    """A judge's answer was stored. ``result``: ``valid``, ``unreadable`` or ``failed``; ``score`` from 0 to 1 where
    the judge gave one."""

    judge: str
    result: str
    score: float | None = None


class LabelGiven(Fact, tag="evaluation.label_given", frozen=True, kw_only=True):
    """A rating or a preference was stored. ``source``: ``person``, ``import``, ``feedback``; ``kind``: ``rating`` or
    ``preference``."""

    source: str
    kind: str


class ReviewAnswered(Fact, tag="evaluation.review_answered", frozen=True, kw_only=True):
    """A person answered an item of the review queue, ``seconds`` after it was claimed."""

    kind: str
    seconds: float


class SnapshotFrozen(Fact, tag="datasets.snapshot_frozen", frozen=True, kw_only=True):
    """A dataset was frozen: its ``rows``, and the paths that gave none."""

    kind: str
    rows: int
    refused: int
    seconds: float


class SnapshotVerified(Fact, tag="datasets.snapshot_verified", frozen=True, kw_only=True):
    """A snapshot was compared with the log. ``result``: ``held`` or ``broken``."""

    result: str


class RowsExported(Fact, tag="datasets.rows_exported", frozen=True, kw_only=True):
    """Rows of a snapshot were written in a trainer's format."""

    format: str
    rows: int


FACTS: tuple[type[Fact], ...] = tuple(Fact.__subclasses__())
_BY_NAME = {each.name(): each for each in FACTS}
_ENCODE = msgspec.json.Encoder().encode


def encode_fact(fact: Fact, at: float) -> bytes:
    """A line of NDJSON without its end."""
    return b'{"at":%.3f,%b' % (at, _ENCODE(fact)[1:])


class _Named(msgspec.Struct):
    fact: str = ""


_NAMED = msgspec.json.Decoder(_Named)
_DECODERS = {name: msgspec.json.Decoder(each) for name, each in _BY_NAME.items()}


def decode_fact(line: bytes) -> Fact | None:
    """The fact of a line; None when this version does not know it, or it is damaged."""
    try:
        decoder = _DECODERS.get(_NAMED.decode(line).fact)
        return decoder.decode(line) if decoder is not None else None
    except msgspec.MsgspecError:
        return None
