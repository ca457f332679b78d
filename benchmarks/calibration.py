"""Calibration of judges over 100,000 labels: agreement with people, with intervals, biases and themes.

    python benchmarks/calibration.py [--pairs 10000]

A person, four judges and two imported annotators judge each pair of answers; a person and a judge rate each path.
Prints the seconds of a calibration (target: under 2 for 100,000 labels), beside two limits measured in the same run:
PostgreSQL's answers to the same queries, read and thrown away; and Cohen's kappa of scikit-learn over the same labels,
with as many resamples of components for its interval, for one judge. Writes JSON to
benchmarks/results/calibration.json. Starts a separate PostgreSQL in a temporary folder."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from _postgres import TemporaryPostgres, temporary_postgres
from sklearn.metrics import cohen_kappa_score

from regraft.flows.capture.importing import import_files
from regraft.flows.evaluation.calibration import TABLES, calibrate, figures
from regraft.flows.lineage import build as lineage
from regraft.infra.postgres.arrow import reading
from regraft.infra.postgres.pool import connect
from regraft.infra.statistics.bootstrap import RESAMPLES

RESULTS = Path(__file__).parent / "results"
TARGET = 2.0  # seconds for so many labels:
LABELS = 100_000
SEEDED = "SELECT setseed(0.5)"
PAIRED = """CREATE TABLE bench_pair AS
    SELECT gen_random_uuid() AS pair_id, context_anchor_turn_id AS anchor, min(node_id::text)::uuid AS a,
        max(node_id::text)::uuid AS b, CASE WHEN random() < 0.5 THEN 'a' ELSE 'b' END AS better
    FROM response_branch_records GROUP BY context_anchor_turn_id HAVING count(DISTINCT node_id) = 2"""
VERSIONS = """INSERT INTO judge_versions (judge_version, judge, task, model, definition, first_used, last_used)
    SELECT 'judge' || n || '@1', 'judge' || n, 'preference', 'm', '{}'::jsonb, now(), now()
    FROM generate_series(1, 4) AS n
    UNION ALL SELECT 'rates@1', 'rates', 'rating', 'm', '{}'::jsonb, now(), now()"""
PREFERRED = """INSERT INTO preference_labels (label_id, pair_id, anchor_turn_id, node_a, node_b, source, decided_by,
        preference, shown_first, shown_hash, created_at, judge_version)
    SELECT gen_random_uuid(), pair_id, anchor, a, b, CASE WHEN n = 0 THEN 'human' ELSE 'model' END,
        CASE WHEN n = 0 THEN 'ann' ELSE 'judge' || n END,
        CASE WHEN random() < 0.7 + 0.05 * n THEN better WHEN random() < 0.3 THEN 'equal'
             WHEN better = 'a' THEN 'b' ELSE 'a' END,
        'a', '', now(), CASE WHEN n > 0 THEN 'judge' || n || '@1' END
    FROM bench_pair CROSS JOIN generate_series(0, 4) AS n"""
IMPORTED = """INSERT INTO feedback (feedback_id, scope, turn_id, name, value, source, given_at, imported, annotator,
        given_by, comparison)
    SELECT gen_random_uuid(), 'default', node_of.turn_id, 'preferred', CASE WHEN v.said = side THEN 1 ELSE 0 END, 'set',
        now(), true, CASE n WHEN 1 THEN 'expert' ELSE 'gpt-4' END, CASE n WHEN 1 THEN 'person' ELSE 'model' END,
        v.pair_id::text
    FROM (SELECT p.*, n, CASE WHEN random() < 0.8 THEN better WHEN better = 'a' THEN 'b' ELSE 'a' END AS said
          FROM bench_pair p CROSS JOIN generate_series(1, 2) AS n) AS v
    CROSS JOIN unnest(ARRAY['a', 'b']) AS side
    JOIN conversation_branch_nodes node_of ON node_of.node_id = CASE side WHEN 'a' THEN v.a ELSE v.b END"""
RATED = """INSERT INTO human_eval_labels
        (label_id, unit_id, session_id, reviewer, rating, shown_hash, shown, created_at)
    SELECT gen_random_uuid(), node_id, session_id, 'ann', 1 + floor(random() * 5)::int, '', '', now()
    FROM conversation_branch_nodes WHERE parent_node_id IS NOT NULL LIMIT %(n)s"""
JUDGED = """INSERT INTO judge_votes (vote_id, judge_version, session_id, unit_id, shown_first, vote_index,
        model_snapshot, answer, value, shown_hash, created_at)
    SELECT gen_random_uuid(), 'rates@1', session_id, unit_id, '', 0, 'm@1', '', jsonb_build_object('rating',
        greatest(1, least(5, rating + floor(random() * 3)::int - 1))), '', now()
    FROM human_eval_labels"""


def planted(server: TemporaryPostgres, pairs: int) -> tuple[str, int]:
    """A log of pairs with their labels, and how many labels those are."""
    dsn = server.database()
    file = server.folder / "chats.jsonl"
    with file.open("w") as out:
        for number in range(pairs):
            for answer in range(2):
                asked = {"role": "user", "content": f"Question {number}: what is it?"}
                said = {
                    "role": "assistant",
                    "content": f"Answer {answer} " + "word " * ((number * 7 + answer * 3) % 40),
                }
                out.write(json.dumps({"messages": [asked, said], "model": f"model-{answer}"}) + "\n")
    import_files(dsn, [file])
    lineage.build(dsn)
    with connect(dsn, autocommit=True) as connection:
        for statement in (SEEDED, PAIRED, VERSIONS, PREFERRED, IMPORTED):
            connection.execute(statement.encode())
        connection.execute(RATED.encode(), {"n": max(0, pairs // 2)})
        connection.execute(JUDGED.encode())
        connection.execute("ANALYZE")
        found = connection.execute(
            "SELECT (SELECT count(*) FROM preference_labels) + (SELECT count(*) FROM feedback)"
            " + (SELECT count(*) FROM human_eval_labels) + (SELECT count(*) FROM judge_votes) AS n"
        ).fetchone()
    return dsn, found["n"] if found else 0


def by_scikit_learn(items: int) -> float:
    """Seconds for one judge's kappa and its interval."""
    dice = np.random.default_rng(0)
    people = dice.integers(0, 2, items)
    said = np.where(dice.random(items) < 0.8, people, 1 - people)
    began = time.perf_counter()
    cohen_kappa_score(people, said)
    few = 20
    for _ in range(few):
        drawn = dice.integers(0, items, items)
        cohen_kappa_score(people[drawn], said[drawn])
    return (time.perf_counter() - began) / few * RESAMPLES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=10_000, help="pairs of answers")
    options = parser.parse_args()
    with temporary_postgres() as server:
        dsn, labels = planted(server, options.pairs)
        began = time.perf_counter()
        with reading(dsn, "postgres/evaluation/calibration") as truth:
            for name in TABLES:
                truth.table(name)
        limit = time.perf_counter() - began
        bench = server.folder / "bench.duckdb"
        seconds = []
        for _ in range(3):
            began = time.perf_counter()
            done = calibrate(dsn, bench)
            seconds.append(time.perf_counter() - began)
        judges = sum(one.is_whole for one in figures(bench))
    best = min(seconds)
    result = {
        "labels": labels,
        "items compared": done.items,
        "judges with figures": judges,
        "first calibration, s": seconds[0],
        "calibration, s": best,
        "s for 100,000 labels over the target of 2": best * LABELS / labels / TARGET,
        "the queries alone, s": limit,
        "over the queries alone": best / limit,
        "scikit-learn, one judge with an interval, s": by_scikit_learn(options.pairs),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "calibration.json").write_text(json.dumps(result, indent=1))
    for label, value in result.items():
        print(f"{label:<46} {value:>14,.2f}")


if __name__ == "__main__":
    main()
