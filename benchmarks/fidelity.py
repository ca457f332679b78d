"""Are recorded agents reproduced? A rollout of every trajectory on a model that repeats its answers.

    python benchmarks/fidelity.py FOLDER... [--policy strict]

A folder holds recorded conversations in any format that `regraft import` reads. Each trajectory is replayed from its
first answer, through a gateway, with its tools answered from the record. Prints the share of trajectories that were
reproduced (every answer, every turn of the user, fidelity 1.0, no new node) and of tool results from the record, and
writes JSON to benchmarks/results/fidelity.json. Starts a PostgreSQL, a NATS and a separate gateway. Exits with 1 when
a trajectory was not reproduced.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from _postgres import temporary_postgres

from regraft.domain.ids import canonical_json, parse_json
from regraft.domain.replay.job import Job, Variant, plan
from regraft.flows.capture.importing import import_files
from regraft.flows.capture.waiting import wait_until_stored
from regraft.flows.lineage import build as lineage
from regraft.flows.replay.execution import JobResult, Tally, execute
from regraft.flows.replay.rollouts import RolloutOptions, Rollouts
from regraft.infra.embedded.nats import EmbeddedNats
from regraft.infra.llm.retrying_client import RetryingClient
from regraft.infra.postgres.pool import connect
from regraft.infra.postgres.replay import plans as replays

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.consumer import consuming
from support.gateways import Upstream
from support.rollouts import Turns
from support.scripted_upstream import Script, Seen, plain
from support.whole_path import gateway_before

RESULTS = Path(__file__).parent / "results"
TRAJECTORIES = b"""
WITH RECURSIVE walk AS (
    SELECT n.node_id AS leaf, n.node_id, n.parent_node_id, n.turn_id, n.depth FROM conversation_branch_nodes n
    WHERE n.depth > 0 AND NOT EXISTS (SELECT FROM conversation_branch_nodes c WHERE c.parent_node_id = n.node_id)
    UNION ALL
    SELECT walk.leaf, n.node_id, n.parent_node_id, n.turn_id, n.depth
    FROM walk JOIN conversation_branch_nodes n ON n.node_id = walk.parent_node_id WHERE n.depth > 0)
SELECT walk.leaf, (array_agg(walk.node_id ORDER BY walk.depth))[1] AS first,
    array_agg(m.body::text ORDER BY walk.depth) AS answers
FROM walk JOIN session_turn t USING (turn_id) JOIN message m ON m.message_id = t.answer_id
GROUP BY walk.leaf ORDER BY walk.leaf
"""
COUNTS = b"SELECT count(*) AS nodes, sum(runs)::int AS runs FROM conversation_branch_nodes"


class Repeating:
    """A model that gives one list of answers for each name that it is called by."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Any]] = {}
        self._given: Counter[str] = Counter()

    def __call__(self, seen: Seen) -> Script:
        name = json.loads(seen.body)["model"]
        place, answers = self._given[name], self.answers[name]
        self._given[name] += 1
        if place >= len(answers):
            return plain(500, b'{"error":{"message":"no more answers"}}')
        choice = {"index": 0, "finish_reason": "stop", "message": answers[place]}
        reply = {"id": "x", "model": name, "choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
        return plain(200, canonical_json(reply).encode())


def measure(dsn: str, gateway: str, model: Repeating, folder: Path, policy: str) -> dict[str, Any]:
    """Import a folder, roll everything out, and count."""
    import_files(dsn, sorted(folder.glob("conversations*.jsonl.zst")) or [folder])
    with connect(dsn) as connection:
        found = connection.execute(TRAJECTORIES).fetchall()
        before = connection.execute(COUNTS).fetchone() or {}
        origins = {each.node_id: each for each in replays.origins(connection, {row["first"] for row in found})}
    ended: dict[str, dict[str, Any]] = {}
    jobs, growers, wanted = [], {}, {}
    for number, row in enumerate(found):
        name = f"{folder.name}-{number}"
        model.answers[name] = [parse_json(body) for body in row["answers"]]
        options = RolloutOptions(policy=policy, toward=row["leaf"])
        (job,) = plan([origins[row["first"]]], [Variant(model=name)], 1, growth=options.growth())
        jobs.append(job)
        wanted[job.fingerprint] = len(row["answers"])
        growers[job.fingerprint] = Rollouts(dsn, options, lambda job, end: ended.update({job.fingerprint: dict(end)}))

    async def grow(caller: RetryingClient, job: Job) -> JobResult:
        return await growers[job.fingerprint].grow(caller, job)

    began = time.perf_counter()
    turns = Turns()
    asyncio.run(execute(gateway, jobs, 8, Tally(total=len(jobs)), turns, None, grow))
    seconds = time.perf_counter() - began
    wait_until_stored(dsn, turns.turns)
    lineage.build(dsn)
    with connect(dsn) as connection:
        after = connection.execute(COUNTS).fetchone() or {}
    sources: Counter[str] = Counter()
    for end in ended.values():
        sources.update(end["tool_sources"])
    same = [
        mark
        for mark, steps in wanted.items()
        if (end := ended.get(mark)) is not None
        and (end["stop_reason"], end["steps"], end["first_divergence"]) == ("end_of_record", steps, None)
        and end["fidelity"] in (None, 1.0)
    ]
    results = sum(sources.values())
    return {
        "folder": folder.name,
        "trajectories": len(wanted),
        "reproduced": len(same),
        "share": len(same) / len(wanted) if wanted else None,
        "tool_results": results,
        "from_record": (sources["path"] + sources["sibling"]) / results if results else None,
        "new_nodes": after["nodes"] - before["nodes"],
        "calls": len(turns.turns),
        "new_runs": after["runs"] - before["runs"],
        "calls_per_second": len(turns.turns) / seconds,
        "ended": dict(Counter(end["stop_reason"] for end in ended.values())),
        "examples": [end for mark, end in ended.items() if mark not in same][:3],
    }


def main() -> int:
    """Measure each folder in a separate database."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--policy", default="strict", choices=("strict", "recorded"))
    arguments = parser.parse_args()
    found = []
    with temporary_postgres() as postgres:
        for number, folder in enumerate(arguments.folders):
            found.append(_measured(postgres.database(), postgres.folder / str(number), folder, arguments.policy))
            one = found[-1]
            print(
                f"{one['folder']:20} {one['reproduced']:>4}/{one['trajectories']} reproduced, {one['tool_results']} "
                f"tool results, {one['new_nodes']} new nodes, {one['calls_per_second']:.0f} calls/s"
            )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "fidelity.json").write_text(
        json.dumps({"policy": arguments.policy, "folders": found}, indent=2, default=str)
    )
    return 0 if all(one["reproduced"] == one["trajectories"] and not one["new_nodes"] for one in found) else 1


def _measured(dsn: str, home: Path, folder: Path, policy: str) -> dict[str, Any]:
    nats = EmbeddedNats(home / "nats")
    url = nats.start().url
    model = Repeating()
    try:
        with Upstream(model) as upstream, gateway_before(upstream, url, home / "spool") as port, consuming(dsn, url):
            return measure(dsn, f"http://127.0.0.1:{port}", model, folder, policy)
    finally:
        nats.stop()


if __name__ == "__main__":
    sys.exit(main())
