"""Measured paths, candidate pairs and labels as Arrow tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa

from regraft.domain.evaluation.calibration import standing
from regraft.flows.columns import BATCH, TEXT, TEXTS, TIME, Key, batches_of, column, paged
from regraft.flows.evaluation.calibration import calibrate, figures
from regraft.flows.evaluation.clusters import carry_clusters
from regraft.flows.evaluation.named_session import session_id
from regraft.flows.evaluation.pairs import propose_pairs
from regraft.flows.evaluation.trajectories import materialise_units
from regraft.infra.duckdb.evaluation.clusters import Clusters
from regraft.infra.duckdb.evaluation.workbench import Workbench
from regraft.infra.postgres.evaluation import labels as store
from regraft.infra.postgres.lineage.reading import resolve_session
from regraft.infra.postgres.pool import transaction

_INT, _FLOAT, _BOOL = pa.int64(), pa.float64(), pa.bool_()

UNITS = pa.schema(
    [
        column("unit_id", TEXT, "its id: that of the last node of the path"),
        column("session_id", TEXT, "the session"),
        column("turn_id", TEXT, "the first run of the last node"),
        column("anchor", TEXT, "the turn under which the last answer is compared; null: none"),
        column("theme", TEXT, "the theme; '': none"),
        column("task_key", TEXT, "the task that the path works at; null: none"),
        column("purpose", TEXT, "what the last call was made for"),
        column("model", TEXT, "the model of the last answer"),
        column("node_status", TEXT, "ok, error, cut, ambiguous or unknown"),
        column("path_nodes", TEXTS, "nodes from the first turn to the last"),
        column("path_anchors", TEXTS, "their anchors"),
        column("kinds", TEXTS, "their branch kinds"),
        column("finish_reasons", TEXTS, "how their answers ended"),
        column("turns", _INT, "answers on the path"),
        column("tool_calls", _INT, "calls of tools"),
        column("tool_errors", _INT, "results that are errors"),
        column("repeated_calls", _INT, "calls that were made before with the same arguments"),
        column("recovered_calls", _INT, "calls that failed and whose tool succeeded later"),
        column("prompt_tokens", _INT, "tokens that models read"),
        column("completion_tokens", _INT, "tokens that they wrote"),
        column("seconds", _FLOAT, "seconds that the calls took together"),
        column("answer_empty", _BOOL, "whether the last answer says nothing"),
        column("answer_length", _INT, "characters of the last answer"),
        column("relative_length", _FLOAT, "that, over the median of its siblings"),
        column("repetition", _FLOAT, "how much the last answer repeats itself, 0 to 1"),
        column("quality", _FLOAT, "from the measured signals alone, 0 to 1"),
        column("outcome", _FLOAT, "reported by what is neither a person nor a model, 0 to 1; null: nothing"),
        column("outcome_source", TEXT, "who reported it"),
        column("human_outcome", _FLOAT, "reported for a person, 0 to 1"),
        column("judge_outcome", _FLOAT, "reported by a model, 0 to 1"),
        column("imported_human", _FLOAT, "came with an import, from people, 0 to 1"),
        column("imported_outcome", _FLOAT, "came with an import, from a program or an unknown source, 0 to 1"),
        column("imported_judge", _FLOAT, "came with an import, from models, 0 to 1"),
        column("imported_rank", _FLOAT, "came with an import; 1 is the best of those ranked together"),
        column("fidelity", _FLOAT, "share of recorded tool results in a rollout, 0 to 1; null: no rollout"),
    ]
)

CLUSTERS = pa.schema(
    [
        column("unit_id", TEXT, "the path: the id of its last node"),
        column("session_id", TEXT, "the session"),
        column("theme", TEXT, "the theme; '': none"),
        column("cluster_id", TEXT, "the cluster at the default layer; null: none"),
        column("name", TEXT, "its name; null: no cluster"),
        column("strength", _FLOAT, "cosine to the middle of the cluster; 0 without one"),
        column(
            "assigned",
            TEXT,
            "`fit`: it was in the fit; `nearest`: it came later; `none`: it came later and fits nowhere",
        ),
        column("x", _FLOAT, "its place on the map, -1 to 1; null: the fit has no clusters"),
        column("y", _FLOAT, "see x"),
    ]
)

PAIRS = pa.schema(
    [
        column("pair_id", TEXT, "its id"),
        column("anchor_turn_id", TEXT, "the turn under which both answers are compared"),
        column("session_id", TEXT, "the session"),
        column("theme", TEXT, "the theme; '': none"),
        *(column(f"node_{side}", TEXT, f"the node of answer {side}") for side in "ab"),
        *(column(f"turn_{side}", TEXT, f"the first run of answer {side}") for side in "ab"),
        *(column(f"kind_{side}", TEXT, f"the branch kind of answer {side}") for side in "ab"),
        *(column(f"model_{side}", TEXT, f"the model of answer {side}") for side in "ab"),
        *(column(f"purpose_{side}", TEXT, f"what answer {side} was asked for") for side in "ab"),
        column("verdict", TEXT, "`legal` or `refused`"),
        column("reason", TEXT, "why it is refused; '': it is legal"),
        column("source", TEXT, "who decided: human, imported, ratings, outcome, model, signals or none"),
        column(
            "basis",
            TEXT,
            "what decided: preference, rank or rating, or strengths from votes over several answers; null: none",
        ),
        column("decided_by", TEXT, "sources with their annotators, or judges"),
        column("given_by", TEXT, "`person` or `model`; '': not known"),
        column("margin", _FLOAT, "twice the probability that the better answer wins, less one: 0 to 1"),
        column("chosen", TEXT, "the node that is preferred; null: none is"),
        column("rejected", TEXT, "the other node"),
        column("tools_digest", TEXT, "digest of the tool list of both; null: none, or not the same"),
        *(column(f"human_{side}", _FLOAT, f"people's judgement of answer {side}, 0 to 1") for side in "ab"),
        *(column(f"outcome_{side}", _FLOAT, f"reported outcome of answer {side}, 0 to 1") for side in "ab"),
        *(column(f"judge_{side}", _FLOAT, f"models' judgement of answer {side}, 0 to 1") for side in "ab"),
        *(column(f"signals_{side}", _FLOAT, f"measured signals of answer {side}, 0 to 1") for side in "ab"),
        *(column(f"strength_{side}", _FLOAT, f"strength of answer {side}, log odds; null: none") for side in "ab"),
    ]
)

LABELS = pa.schema(
    [
        column("label_id", TEXT, "its id"),
        column("kind", TEXT, "`rating` or `preference` of a review, `judgement` of a client or an import"),
        column("session_id", TEXT, "the session"),
        column("node_id", TEXT, "the node that it is about; of a preference side a"),
        column("other_node_id", TEXT, "of a preference side b; null otherwise"),
        column("name", TEXT, "what was judged: rating, preference, reward, or a word of the source"),
        column("value", _FLOAT, "a rating from 1 to 5, a judgement on its own scale; null for a preference"),
        column("scale_low", _FLOAT, "least value of the scale; null: not known"),
        column("scale_high", _FLOAT, "greatest value of the scale; null: not known"),
        column("preference", TEXT, "of a preference: a, b, equal or both_bad"),
        column("source", TEXT, "human, model, imported, or the source that the client or the import named"),
        column("decided_by", TEXT, "the reviewer, annotator or model; null: not known"),
        column("given_by", TEXT, "of a judgement, `person` or `model`; null or '': not known"),
        column("comparison", TEXT, "judgements with the same one were made over one another; null: none"),
        column("categories", TEXTS, "categories that a reviewer named"),
        column("note", TEXT, "what the judge wrote; '' or null: nothing"),
        column("imported", _BOOL, "whether it came with an import"),
        column("given_at", TIME, "when"),
    ]
)


JUDGES = pa.schema(
    [
        column("judge", TEXT, "a judge, or a source with its annotator; `people`: each against the others"),
        column("judge_version", TEXT, "its version; '': it was imported or reported"),
        column("source", TEXT, "`judge`, `imported`, `reported` or `people`"),
        column("given_by", TEXT, "`model`, `program` or `person`; '': not known"),
        column("model", TEXT, "the model that a judge asks"),
        column("task", TEXT, "`categories`, `preference` or `rating`"),
        column("category", TEXT, "of the task categories"),
        column("theme", TEXT, "the theme; null: all"),
        column("status", TEXT, "`calibrated`, or why it is not"),
        column("items", _INT, "that people judged too"),
        column("components", _INT, "sessions that they are from"),
        column("kappa", _FLOAT, "Cohen's; of ratings with quadratic weights; null: not defined"),
        column("kappa_low", _FLOAT, "lower end of its 95 % interval"),
        column("kappa_high", _FLOAT, "upper end"),
        column("agreement", _FLOAT, "what recipes ask for"),
        column("accuracy", _FLOAT, "share of items with the label of people"),
        column("precision", _FLOAT, "of a category"),
        column("recall", _FLOAT, "of a category"),
        column("f1", _FLOAT, "of a category; the mean over labels otherwise"),
        column("flips", _FLOAT, "share of pairs on which the order changed its preference"),
        column("first_share", _FLOAT, "share of its votes for the answer that was shown first"),
        column("longer_share", _FLOAT, "share of its preferences for the longer answer"),
        column("people_longer_share", _FLOAT, "the same of people, on the same pairs"),
        column("own_share", _FLOAT, "share of its preferences for its own model family"),
        column("people_own_share", _FLOAT, "the same of people, on the same pairs"),
        column("prevalence", _FLOAT, "share of the paths that it labelled to which it gives the category"),
        column("corrected_prevalence", _FLOAT, "that, without its errors"),
        column("kappa_early", _FLOAT, "of the first half of its judgements in time"),
        column("kappa_late", _FLOAT, "of the second half"),
        column("stale", TEXT, "`rubric` or `model`, where that changed since; '': neither did"),
    ]
)


def units(
    dsn: str, workbench: Path, *, theme: str | None = None, session: str | None = None, refresh: bool = True
) -> Iterator[pa.RecordBatch]:
    """Paths in the columns of ``UNITS``, by id. ``refresh``: measure what changed in the graph first.

    The workbench is opened for each batch and closed after it, so that others can write to it meanwhile.
    """
    if refresh:
        materialise_units(dsn, workbench)
    yield from _paged(workbench, "unit", UNITS, theme, session_id(dsn, session))


def clusters(
    dsn: str, workbench: Path, *, theme: str | None = None, session: str | None = None, refresh: bool = True
) -> Iterator[pa.RecordBatch]:
    """Clusters of paths in the columns of ``CLUSTERS``, by id. ``refresh``: new paths that have a vector get theirs."""
    if refresh:
        materialise_units(dsn, workbench)
        carry_clusters(dsn, workbench)
    bench, wanted = Clusters(workbench), session_id(dsn, session)

    def page(rows: int, after: Key | None) -> pa.Table:
        return bench.page(rows, after=after[0] if after else None, theme=theme, session=wanted)

    yield from paged(page, CLUSTERS, ("unit_id",))


def pairs(
    dsn: str,
    workbench: Path,
    *,
    theme: str | None = None,
    session: str | None = None,
    verdict: str | None = None,
    refresh: bool = True,
) -> Iterator[pa.RecordBatch]:
    """Candidate pairs in the columns of ``PAIRS``, by id. ``refresh``: compare what changed in the graph first."""
    if refresh:
        propose_pairs(dsn, workbench)
    yield from _paged(workbench, "pair", PAIRS, theme, session_id(dsn, session), verdict)


def _paged(
    workbench: Path, noun: str, schema: pa.Schema, theme: str | None, session: str | None, verdict: str | None = None
) -> Iterator[pa.RecordBatch]:
    bench = Workbench(workbench)

    def page(rows: int, after: Key | None) -> pa.Table:
        return bench.page(noun, rows, after=after[0] if after else None, theme=theme, session=session, verdict=verdict)

    yield from paged(page, schema, (f"{noun}_id",))


def judges(dsn: str, workbench: Path, *, refresh: bool = True) -> Iterator[pa.RecordBatch]:
    """Figures of judges in the columns of ``JUDGES``. ``refresh``: compare them with people first."""
    if refresh:
        calibrate(dsn, workbench)
    found = [{**asdict(one), "status": standing(one)} for one in figures(workbench)]
    yield from batches_of(found, JUDGES)


def labels(dsn: str, *, theme: str | None = None, session: str | None = None) -> Iterator[pa.RecordBatch]:
    """Labels that count today in the columns of ``LABELS``, the oldest first, all as of one moment."""
    with transaction(dsn, name="regraft-labels") as connection:
        wanted = resolve_session(connection, session) if session is not None else None
        yield from batches_of(store.labels(connection, theme=theme, session=wanted, at_once=BATCH), LABELS)
