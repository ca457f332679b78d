"""What a change makes stale on a real database and a running gateway, and what is left once it was made again."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from regraft.domain.errors import UsageError
from regraft.domain.replay.job import Variant
from regraft.domain.replay.staleness import FOLLOW, KEEP, REPLAY, TASKIFY
from regraft.flows.lineage import build as lineage
from regraft.flows.orchestration import taskify
from regraft.flows.replay import staleness
from regraft.flows.replay.regeneration import regenerate
from regraft.infra.postgres.orchestration import taskification
from regraft.infra.postgres.pool import connect, transaction
from regraft.infra.postgres.replay import staleness as store
from support.messages import user
from support.planner import RULE, Planner, planning_path
from support.scripted_upstream import plain
from support.small_graph import SmallGraph, say
from support.whole_path import Model

RULES = ["default@1-new"]


class Builds(Model):
    """A scripted model server whose build is ``build``."""

    build = "one"

    def answer(self, seen):
        asked = json.loads(seen.body)
        self.asked.append(asked)
        said = f"{self.build} says {len(self.asked)}"
        reply = {
            "id": "x",
            "model": asked["model"],
            "system_fingerprint": self.build,
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 2},
        }
        return plain(200, json.dumps(reply).encode())


@pytest.fixture
def model():
    with Builds() as running:
        yield running


def steps_of(dsn):
    with transaction(dsn) as connection:
        return [step for found in staleness.of_all(connection, RULES) for step in found.steps]


def counted(dsn):
    with transaction(dsn) as connection:
        return staleness.overview(connection, RULES)


def test_a_new_build_makes_its_replays_stale_and_making_them_again_supersedes_them(path, model):
    original, _, _ = path.call([user("hi")], temperature=0.5)
    node = path.node(original)
    path.replay([node], [Variant(system="Be brief.")], samples=2)
    assert counted(path.dsn) == []
    model.build = "two"
    path.node(path.call([user("something else")])[0])
    (change,) = counted(path.dsn)
    assert (change["cause"], change["was"], change["now"]) == ("model", "small@one", "small@two")
    assert (change["again"], change["follow"], change["keep"], change["sessions"]) == (2, 0, 0, 1)
    wanted = steps_of(path.dsn)
    assert [step.what for step in wanted] == [REPLAY, REPLAY]
    before = len(model.asked)
    done = regenerate(path.dsn, path.url, wanted, {})
    assert done.failures == []
    assert set(done.made) == {step.stale.made.id for step in wanted}
    again = model.asked[before:]
    assert [each["messages"][0]["content"] for each in again] == ["Be brief.", "Be brief."]
    assert [each["temperature"] for each in again] == [0.5, 0.5]
    group = path.group(original)
    assert [row["branch_index"] for row in group] == [0, 1, 2, 3, 4]  # the old answers stay
    assert {json.dumps(row["variant"], sort_keys=True) for row in group[1:3]} == {
        json.dumps(row["variant"], sort_keys=True) for row in group[3:]
    }
    assert counted(path.dsn) == []
    assert steps_of(path.dsn) == []
    with transaction(path.dsn) as connection:
        rows = store.generations(connection, list(done.made))
    assert {(row["supersedes"], row["new_id"]) for row in rows} == set(done.made.items())
    assert {row["cause"] for row in rows} == {"model"}


def test_what_a_client_goes_on_with_after_a_replay_is_kept_and_its_own_traffic_is_never_stale(path, model):
    original, _, _ = path.call([user("hi")])
    counts = path.replay([path.node(original)], [Variant()])
    (reply,) = path.ask("SELECT answer_text FROM run_answers WHERE run_id = %(run)s", run=counts.turns[0])
    said = {"role": "assistant", "content": reply["answer_text"]}
    path.node(path.call([user("hi"), said, user("and then?")])[0])
    model.build = "two"
    path.node(path.call([user("else")])[0])
    assert [step.what for step in steps_of(path.dsn)] == [REPLAY, KEEP]
    (change,) = counted(path.dsn)
    assert (change["again"], change["keep"]) == (1, 1)


def test_a_failure_is_told_and_leaves_what_it_was_about_stale(path, model):
    original, _, _ = path.call([user("hi")])
    path.replay([path.node(original)], [Variant()])
    model.build = "two"
    path.node(path.call([user("else")])[0])
    wanted = steps_of(path.dsn)
    done = regenerate(path.dsn, "http://127.0.0.1:1", wanted, {})
    assert (done.made, len(done.failures)) == ({}, 1)
    assert steps_of(path.dsn) == wanted


def test_a_word_on_a_node_makes_its_subtree_stale_until_it_is_taken_back(path):
    original, _, _ = path.call([user("hi")])
    node = path.node(original)
    counts = path.replay([node], [Variant(system="Be brief.")])
    grown = path.node(counts.turns[0])
    staleness.outdate(path.dsn, grown, "the tool lied", "me")
    (step,) = steps_of(path.dsn)
    assert (step.what, step.stale.reason, step.stale.made.node_id) == (REPLAY, "the tool lied", grown)
    assert [(row["cause"], row["again"]) for row in counted(path.dsn)] == [("conditions", 1)]
    staleness.outdate(path.dsn, grown, None, "me")
    assert steps_of(path.dsn) == []
    assert counted(path.dsn) == []
    done_again = staleness.outdate(path.dsn, grown, "again", "me")
    assert done_again
    assert len(regenerate(path.dsn, path.url, steps_of(path.dsn), {}).made) == 1
    assert steps_of(path.dsn) == []


def test_a_root_and_no_words_cannot_be_outdated(path):
    node = path.node(path.call([user("hi")])[0])
    (root,) = path.ask("SELECT node_id FROM conversation_branch_nodes WHERE depth = 0")
    with pytest.raises(UsageError, match="root"):
        staleness.outdate(path.dsn, root["node_id"], "x", "me")
    with pytest.raises(UsageError, match="reason"):
        staleness.outdate(path.dsn, node, " ", "me")


def test_what_was_made_again_is_superseded_also_when_the_graph_is_derived_again(path, model):
    original, _, _ = path.call([user("hi")])
    path.replay([path.node(original)], [Variant()])
    model.build = "two"
    path.node(path.call([user("else")])[0])
    regenerate(path.dsn, path.url, steps_of(path.dsn), {})
    lineage.rebuild(path.dsn)
    assert steps_of(path.dsn) == []


@pytest.mark.parametrize("seed", range(8))
def test_the_counts_over_the_whole_graph_are_those_of_the_steps(truth, seed):
    """The rules stand twice, as sets in SQL and as a function; random forests are judged the same by both."""
    chance = random.Random(seed)
    with connect(truth, autocommit=True) as connection:
        graph = SmallGraph(connection)
        for number in range(4):
            session = graph.session(f"s{number}")
            turns = []
            for at in range(14):
                parent = chance.choice([None, *turns])
                history = [*(parent.history if parent else []), say("user", f"{number} {at}")]
                purpose = chance.choice(["chat", "replay", "replay"])
                turns.append(graph.turn(session, history, say("assistant", f"{at}"), parent=parent, purpose=purpose))
        runs = connection.execute("SELECT run_id, node_id FROM execution_run_records ORDER BY run_id").fetchall()
        connection.execute(
            "UPDATE execution_run_records SET model_snapshot_id = 'small@one' WHERE run_id = ANY(%s)",
            ([row["run_id"] for row in chance.sample(runs, 20)],),
        )
        now = datetime(2027, 1, 1, tzinfo=UTC)
        connection.execute("DELETE FROM model_snapshots")
        for name, day in (("small@one", 0), ("small@two", 1)):
            connection.execute(
                "INSERT INTO model_snapshots VALUES ('test', 'small', %s, 'pin', %s, %s, 1)",
                (name, now + timedelta(days=day) - timedelta(days=800 * (1 - day)), now + timedelta(days=day)),
            )
        gone = [(runs[-1]["run_id"], row["run_id"], "execution_run_records", "model", "x") for row in runs[:3]]
        store.add_generations(connection, gone, now)
        for row in chance.sample(runs, 2):
            staleness.outdate(truth, row["node_id"], "changed", "me")
    steps = steps_of(truth)
    rows = counted(truth)
    found = {name: sum(row[name] for row in rows) for name in ("again", "follow", "keep")}
    kinds = [step.what for step in steps]
    assert found == {"again": kinds.count(REPLAY), "follow": kinds.count(FOLLOW), "keep": kinds.count(KEEP)}
    assert found["again"] > 0


def test_a_new_version_of_a_rule_makes_its_plans_stale_and_a_new_generation_supersedes_them(
    truth, nats_server, tmp_path
):
    newer = replace(RULE, instructions=RULE.instructions + " Be quick.")
    with planning_path(Planner(), truth, nats_server.url, tmp_path / "spool") as home:
        node = home.ask_once("Plan a party.")
        first = home.taskify(taskify.of_node(truth, node, RULE, ("w",)))
        bare = home.taskify(taskify.of_prompt(truth, "Plan a trip.", RULE, ("w",), "small"))
        versions = [newer.version]
        with transaction(truth) as connection:
            assert staleness.overview(connection, [RULE.version]) == []
            (change,) = staleness.overview(connection, versions)
            found = {step.stale.made.id: step for each in staleness.of_all(connection, versions) for step in each.steps}
        assert (change["cause"], change["was"], change["now"]) == ("rule", RULE.version, newer.version)
        assert change["plans"] == 2
        todo = {one for one, step in found.items() if step.what == TASKIFY}
        assert todo == {first["taskification_id"], bare["taskification_id"]}
        done = regenerate(truth, home.url, list(found.values()), {"default": newer})
        assert done.failures == []
        assert set(done.made) == todo
        with connect(truth) as connection:
            made = taskification.one(connection, done.made[first["taskification_id"]])
        assert (made["generation"], made["supersedes"]) == (2, first["taskification_id"])
        assert made["taskify_rule_version"] == newer.version
        with transaction(truth) as connection:
            assert staleness.overview(connection, versions) == []
            assert [step for each in staleness.of_all(connection, versions) for step in each.steps] == []
