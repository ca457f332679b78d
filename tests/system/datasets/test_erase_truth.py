"""Erasures in PostgreSQL: what they reach, what they leave to others, and calls that come meanwhile or afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from regraft.domain.datasets.erasure import TextFinder
from regraft.domain.errors import NotFoundError, UsageError, WithdrawnError
from regraft.domain.replay.experiment import Experiment
from regraft.domain.replay.job import Variant
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.capture.retention import remove_raw_bodies
from regraft.flows.datasets.erase import ErasureStores, certificates, erase, resume
from regraft.flows.datasets.freeze import find_snapshot, freeze
from regraft.flows.datasets.verify import verify
from regraft.flows.datasets.withdraw import sweep, withdraw
from regraft.flows.lineage.build import build
from regraft.flows.lineage.reprojection import rebuild
from regraft.flows.replay.plans import prepare, prepare_experiment, save
from regraft.flows.replay.rollouts import RolloutOptions
from regraft.infra.config.retention import age_of
from regraft.infra.iceberg import snapshots
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect

SECRET = "Rosine8812Walnuss"
TREE = "SELECT node_id, parent_node_id, session_id, branch_kind FROM conversation_branch_nodes ORDER BY node_id"
RECIPE = 'name = "all"\nkind = "sft"\n[select]\nper_context = 0\n'


def say(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


class Log:
    """A log of captured calls, stored by one ingest that remembers what it stored."""

    def __init__(self, dsn: str, folder: Path, calls: Any) -> None:
        self.dsn, self.calls, self.seen = dsn, calls, SeenIds()
        self.places = ErasureStores(
            dsn=dsn,
            workbench=folder / "workbench.duckdb",
            warehouse=str(folder / "warehouse"),
            spool=folder / "spool",
            data_dir=folder,
        )

    def add(self, messages: list[Any], answer: Any = "ok", name: str | None = None, **more: Any) -> UUID:
        """A call's turn."""
        who = {"session": name} if name else None
        exchange = self.calls(messages, answer, who=who, **more)
        with connect(self.dsn, autocommit=True) as connection:
            ingest(connection, [encode_exchange(exchange)], self.seen)
        build(self.dsn)
        return exchange.event_id

    def ask(self, query: str, **values: Any) -> list[dict[str, Any]]:
        with connect(self.dsn) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def of(self, turn: UUID) -> dict[str, Any]:
        (row,) = self.ask(
            "SELECT t.session_id, t.node_id, context_messages(t.context_id)::text AS history, m.body::text AS answer,"
            " n.parent_node_id FROM session_turn t JOIN message m ON m.message_id = t.answer_id"
            " LEFT JOIN conversation_branch_nodes n USING (node_id) WHERE t.turn_id = %(turn)s",
            turn=turn,
        )
        return row

    def freeze(self, recipe: str = RECIPE) -> str:
        return freeze(
            recipe, dsn=self.dsn, workbench=self.places.workbench, warehouse=self.places.warehouse
        ).snapshot_id

    def tree(self) -> list[dict[str, Any]]:
        return self.ask(
            "SELECT node_id, parent_node_id, session_id, branch_kind FROM conversation_branch_nodes ORDER BY 1"
        )


@pytest.fixture
def log(truth: str, tmp_path: Path, calls: Any) -> Log:
    return Log(truth, tmp_path, calls)


def talk(log: Log, name: str, secret: str = SECRET) -> tuple[UUID, UUID]:
    opening = [say("system", "Be kind."), say("user", f"{secret} {name}?")]
    first = log.add(opening, f"About {secret}.", name)
    second = log.add([*opening, say("assistant", f"About {secret}."), say("user", "More?")], f"More {secret}.", name)
    return first, second


def test_what_others_share_stays_theirs(log: Log) -> None:
    erased, _ = talk(log, "one")
    other = log.add([say("system", "Be kind."), say("user", "Hello?")], f"About {SECRET}.", "two")
    before = log.tree()
    erase("session", str(log.of(erased)["session_id"]), log.places)
    assert SECRET not in log.of(erased)["history"] + log.of(erased)["answer"]
    assert "About" in log.of(other)["answer"]
    assert "Be kind." in log.of(other)["history"]
    assert log.tree() == before


def test_a_conversation_that_goes_on_is_new_content_beneath_the_erased_nodes(log: Log) -> None:
    first, second = talk(log, "one")
    session = log.of(first)["session_id"]
    erase("session", str(session), log.places)
    history = [
        *[say("system", "Be kind."), say("user", f"{SECRET} one?"), say("assistant", f"About {SECRET}.")],
        *[say("user", "More?"), say("assistant", f"More {SECRET}."), say("user", "And now?")],
    ]
    third = log.add(history, "Now.", "one")  # by the ingest that remembers all of it as stored
    assert log.of(third)["parent_node_id"] == log.of(second)["node_id"]
    assert SECRET in log.of(third)["history"]
    assert SECRET not in log.of(second)["history"] + log.of(second)["answer"]
    erase("session", str(session), log.places)
    assert SECRET not in log.of(third)["history"]


def test_a_text_stays_erased_when_it_is_sent_again(log: Log) -> None:
    first, _ = talk(log, "one")
    erase("matching", SECRET, log.places)
    third = log.add([say("system", "Be kind."), say("user", f"{SECRET} one?")], "Again.", "three")
    assert "[erased]" in log.of(third)["history"]
    assert SECRET not in log.of(third)["history"]
    assert log.of(first)["session_id"] != log.of(third)["session_id"]


def test_a_text_is_found_however_it_is_escaped() -> None:
    finder = TextFinder('a "quoted" café 🍒\nline')
    once = json.dumps({"x": 'see a "quoted" café 🍒\nline!'})
    assert finder(once)
    assert finder(json.dumps({"arguments": once}, ensure_ascii=False))
    assert finder(json.dumps({"arguments": json.dumps({"arguments": once})}))
    assert finder('see a "quoted" cafe\u0301 🍒\nline')
    assert not finder(json.dumps({"x": 'a "quoted" cafe'}))
    with pytest.raises(UsageError):
        TextFinder(" a ")


def test_a_node_is_erased_in_the_histories_of_what_follows(log: Log) -> None:
    first, second = talk(log, "one")
    before = log.tree()
    erase("node", str(log.of(first)["node_id"]), log.places)
    assert SECRET not in log.of(first)["history"] + log.of(first)["answer"]
    assert SECRET not in log.of(second)["history"]
    assert "Be kind." in log.of(second)["history"]
    assert "More?" in log.of(second)["history"]
    assert SECRET in log.of(second)["answer"]
    assert log.tree() == before


def test_a_tenant_is_erased_and_no_other(log: Log) -> None:
    mine = log.add([say("user", f"{SECRET}?")], "Yes.", circumstances={"scope": "mine"})
    theirs = log.add([say("user", f"{SECRET}?")], "Yes.", circumstances={"scope": "theirs"})
    erase("scope", "mine", log.places)
    assert SECRET not in log.of(mine)["history"]
    assert SECRET in log.of(theirs)["history"]
    with pytest.raises(NotFoundError):
        erase("scope", "nobody", log.places)
    assert [one.remaining for one in certificates(log.dsn)] == [()]


def test_a_rebuild_gives_the_same_tree(log: Log) -> None:
    first, _ = talk(log, "one")
    log.add([say("user", f"{SECRET} without a name")], "Yes.")
    before = log.tree()
    erase("session", str(log.of(first)["session_id"]), log.places)
    erase("matching", SECRET, log.places)
    rebuild(log.dsn)
    assert log.tree() == before


def test_frozen_rows_are_frozen_again_without_it(log: Log) -> None:
    first, _ = talk(log, "one")
    log.add([say("user", "Hello?")], "Hello.", "two")
    frozen = log.freeze()
    done = erase("session", str(log.of(first)["session_id"]), log.places)
    ((snapshot),) = done.snapshots
    assert (snapshot["snapshot_id"], snapshot["rows"]) == (frozen, 1)
    with pytest.raises(WithdrawnError, match="content was erased"):
        find_snapshot(log.dsn, frozen)
    assert verify(snapshot["successor"], dsn=log.dsn, warehouse=log.places.warehouse).ok
    with snapshots.catalog(log.dsn, log.places.warehouse) as opened:
        assert len(opened.load_table("regraft.all").snapshots()) == 1


def test_a_snapshot_of_nothing_else_has_no_successor(log: Log) -> None:
    first, _ = talk(log, "one")
    log.freeze()
    done = erase("session", str(log.of(first)["session_id"]), log.places)
    assert done.snapshots[0]["successor"] is None
    assert not [path for path in Path(log.places.warehouse).rglob("*") if path.is_file()]
    assert log.ask("SELECT withdrawn_at IS NOT NULL AS gone FROM dataset_snapshot_registry") == [{"gone": True}]


def test_a_withdrawn_snapshot_is_refused_with_its_reason(log: Log) -> None:
    talk(log, "one")
    frozen = log.freeze()
    withdraw(frozen, "the licence changed", dsn=log.dsn, warehouse=log.places.warehouse)
    with pytest.raises(WithdrawnError, match="the licence changed"):
        find_snapshot(log.dsn, frozen)
    with pytest.raises(WithdrawnError, match="the licence changed"):
        log.freeze()
    done = withdraw(frozen, "again", dsn=log.dsn, warehouse=log.places.warehouse, files=True)
    assert done.reason == "the licence changed"
    assert done.files_removed


def test_what_a_killed_freeze_left_is_found_and_removed(log: Log) -> None:
    talk(log, "one")
    frozen = log.freeze()
    with connect(log.dsn, autocommit=True) as connection:  # as if it were killed before its last step
        connection.execute("DELETE FROM dataset_snapshot_nodes")
        connection.execute("DELETE FROM dataset_snapshot_registry")
    orphan = next(Path(log.places.warehouse).rglob("*.parquet")).parent / "orphan.parquet"
    orphan.write_bytes(b"x")
    os.utime(orphan, (0, 0))
    again = log.freeze()
    assert again == frozen
    (left,) = sweep(log.dsn, log.places.warehouse)
    assert left.snapshots
    assert any(path.endswith("orphan.parquet") for path in left.files)
    sweep(log.dsn, log.places.warehouse, repair=True)
    assert not orphan.exists()
    assert verify(again, dsn=log.dsn, warehouse=log.places.warehouse).ok
    young = orphan.with_name("young.parquet")
    young.write_bytes(b"x")
    (left,) = sweep(log.dsn, log.places.warehouse, repair=True)
    assert [Path(path).name for path in left.files] == ["young.parquet"]
    assert not young.exists()


ERASE = """
import sys
from pathlib import Path
from regraft.flows.datasets.erase import ErasureStores, erase
dsn, folder, target = sys.argv[1:]
home = Path(folder)
places = ErasureStores(dsn=dsn, workbench=home / "workbench.duckdb", warehouse=str(home / "warehouse"),
                       spool=home / "spool", data_dir=home)
print("ready", flush=True)
erase("matching", target, places)
"""


@pytest.mark.timeout(600)
def test_an_erasure_that_is_killed_at_any_moment_is_finished(log: Log, tmp_path: Path) -> None:
    log.add([say("user", "Hello?")], "Hello.", "two")
    for delay in (0.0, 0.3, 0.8, 1.5, 2.5, 4.0):
        secret = f"Geheim{uuid4().hex[:12]}"
        first, _ = talk(log, f"talk {delay}", secret)
        log.freeze()
        command = [sys.executable, "-c", ERASE, log.dsn, str(tmp_path), secret]
        with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(delay)
            os.killpg(process.pid, signal.SIGKILL)
        resume(log.places)
        left = [one for one in certificates(log.dsn) if one.finished_at is None]
        assert not left
        if secret in log.of(first)["history"]:  # killed before it had begun
            erase("matching", secret, log.places)
        assert secret not in log.of(first)["history"] + log.of(first)["answer"]
        assert log.ask("SELECT erasure_id FROM erasure WHERE target = %(t)s", t=secret) == []
        for row in log.ask("SELECT snapshot_id FROM dataset_snapshot_registry WHERE withdrawn_at IS NULL"):
            assert verify(row["snapshot_id"], dsn=log.dsn, warehouse=log.places.warehouse).ok


def test_old_raw_bodies_go_and_replays_and_datasets_stay(log: Log) -> None:
    talk(log, "one")
    frozen = log.freeze()
    later = datetime.now(UTC) + timedelta(days=1)
    told = remove_raw_bodies(log.dsn, timedelta(0), dry_run=True, now=later)
    assert told.counts["answers"][0] == 2
    assert remove_raw_bodies(log.dsn, timedelta(days=40_000)).counts["answers"][0] == 0
    remove_raw_bodies(log.dsn, timedelta(0), now=later)
    assert remove_raw_bodies(log.dsn, timedelta(0), dry_run=True, now=later).counts["answers"] == (0, 0)
    assert verify(frozen, dsn=log.dsn, warehouse=log.places.warehouse).ok
    assert age_of("90d") == timedelta(days=90)
    with pytest.raises(UsageError):
        age_of("soon")


def test_an_erased_node_is_not_replayed(log: Log) -> None:
    first, _ = talk(log, "one")
    node = log.of(first)["node_id"]
    erase("node", str(node), log.places)
    planned = prepare(log.dsn, [node], [Variant(model="m")])
    assert planned.refused == {"erased": 1}
    assert planned.todo == []


def test_a_stored_plan_keeps_no_words_of_an_erased_node(log: Log) -> None:
    first, _ = talk(log, "one")
    node = log.of(first)["node_id"]
    persona = "You are the customer whose bicycle broke."
    options = RolloutOptions(persona=persona)
    asked = Experiment(nodes=(str(node),), growth=options.growth(), rollout=options.describe())
    plan_id = save(log.dsn, prepare_experiment(log.dsn, asked))
    erase("node", str(node), log.places)
    (row,) = log.ask("SELECT to_json(p)::text AS stored, rollout FROM replay_plan p WHERE plan_id = %(p)s", p=plan_id)
    assert (persona in row["stored"], row["rollout"]) == (False, None)


def test_calls_that_arrive_during_an_erasure_are_stored(log: Log) -> None:
    first, _ = talk(log, "one")
    session = str(log.of(first)["session_id"])
    stored: list[UUID] = []

    def go_on() -> None:
        history = [say("system", "Be kind."), say("user", f"{SECRET} one?"), say("assistant", f"About {SECRET}.")]
        for number in range(25):
            stored.append(log.add([*history, say("user", f"Question {number}?")], f"Answer {number}.", "one"))

    with ThreadPoolExecutor(1) as others:
        going = others.submit(go_on)
        erase("session", session, log.places)
        erase("session", session, log.places)
        going.result()
    found = log.ask("SELECT count(*) AS n FROM session_turn WHERE turn_id = ANY(%(turns)s)", turns=stored)
    assert found == [{"n": 25}]
    assert SECRET not in log.of(first)["history"] + log.of(first)["answer"]
