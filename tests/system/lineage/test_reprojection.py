"""A log changes to another version of the projection and back; judgements follow their nodes."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading

import pytest

from regraft.domain.errors import UsageError
from regraft.domain.lineage.projection import PROJECTION_VERSION, PROJECTIONS
from regraft.flows.capture.importing import import_files
from regraft.flows.capture.ingest import SeenIds, ingest, read, store
from regraft.flows.lineage import build as lineage
from regraft.flows.lineage import reprojection
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.lineage import reading
from regraft.infra.postgres.pool import connect
from support.captured_talks import story_of_agents, story_of_branches
from support.messages import assistant, user

LOGGED = (
    "context",
    "session",
    "session_turn",
    "session_lineage",
    "pipeline_event_inbox",
    "feedback",
    "human_eval_labels",
    "judge_votes",
    "human_sample_queue",
)
RATED = """INSERT INTO human_eval_labels
        (label_id, unit_id, session_id, reviewer, rating, shown_hash, shown, created_at)
    SELECT gen_random_uuid(), t.node_id, t.session_id, 'ann', 4, '', '', now()
    FROM session_turn t WHERE t.turn_id = %(turn)s"""

CLUSTERED = """WITH run AS (INSERT INTO trajectory_cluster_runs VALUES (gen_random_uuid(), NULL, 'm', 'a 1', '{}', 0,
    'digest', 1, 1, 1, 0, NULL, now()) RETURNING cluster_run_id)
INSERT INTO trajectory_cluster_members SELECT cluster_run_id, 0, node_id, '{NULL}', '{0}', 0, 0
FROM session_turn, run WHERE turn_id = %(turn)s"""
VOTED = """WITH asked AS (
        INSERT INTO judge_versions (judge_version, judge, task, model, categories, definition, first_used, last_used)
        VALUES ('j@1', 'j', 'categories', 'm', '{overlong}', '{}', now(), now()) RETURNING judge_version)
    INSERT INTO judge_votes (vote_id, judge_version, session_id, unit_id, shown_first, vote_index, turn_id,
        model_snapshot, answer, value, shown_hash, created_at)
    SELECT gen_random_uuid(), 'j@1', t.session_id, t.node_id, '', 0, NULL, 'm', '{}', '{"overlong": 1}', '', now()
    FROM session_turn t WHERE t.turn_id = %(turn)s"""

QUEUED = """INSERT INTO human_sample_queue
        (item_id, kind, subject_id, session_id, scope, share, priority, draw, needed, created_at)
    SELECT gen_random_uuid(), 'unit', t.node_id, t.session_id, 'default', 'priority', 1, 0.5, 1, now()
    FROM session_turn t WHERE t.turn_id = %(turn)s"""


def start_under(graph, version):
    """An empty log in this version of the projection."""
    graph.connection.execute("DELETE FROM projection")
    graph.connection.execute("INSERT INTO projection (version) VALUES (%s)", (version,))


def dump(graph):
    """Everything that is stored and derived, but the numbers and times of storing and of builds."""
    found = graph.dump()
    for table in LOGGED:
        rows = graph.ask(f"SELECT * FROM {table}")
        unequal = ("seq", "received_at", "label_id", "item_id", "created_at")
        found[table] = sorted(repr(sorted((k, v) for k, v in row.items() if k not in unequal)) for row in rows)
    return found


def searched(text, part="web_search_call", query="q"):
    return {"role": "assistant", "content": [{"type": part, "query": query}, {"type": "text", "text": text}]}


def hosted_story(calls):
    """A conversation whose client resends what a hosted tool did in other words; another opens with such an answer."""
    first = calls([user("hi")], searched("found"))
    second = calls([user("hi"), searched("found", query="other"), user("more")], "done")
    third = calls([user("hi"), assistant("found"), user("else")], "well")
    same = calls([user("hi")], searched("found", query="other"))
    openers = [calls([searched("welcome", query=each), user("hi")], "hello") for each in "ab"]
    claims = {"parent_node": str(openers[1].event_id)}
    claimed = calls([user("aside")], "yes", who=claims)
    replay = calls([user("hi")], "no", who={"purpose": "replay", "replay_node": str(first.event_id)})
    return [first, second, third, same, *openers, claimed, replay]


def stories(calls, seed):
    rnd = random.Random(seed)
    made = [*story_of_branches(calls, rnd), *story_of_agents(calls, rnd), *hosted_story(calls)]
    return rnd.sample(made, len(made))


@pytest.mark.parametrize("seed", range(3))
def test_a_rebuild_under_the_same_version_changes_no_row_and_says_so(graph, calls, seed):
    graph.take(*stories(calls, seed))
    before = dump(graph)
    for _ in range(2):
        done = reprojection.rebuild(graph.dsn)
        assert done.identical, done.differs
        assert (done.turns_renamed, done.turns_refiled, done.contexts_changed) == (0, 0, 0)
        assert (done.sessions.split, done.sessions.merged, done.nodes.split, done.nodes.merged) == (0, 0, 0, 0)
        assert dump(graph) == before
    graph.check()


@pytest.mark.parametrize("seed", range(3))
def test_to_another_version_and_back_gives_every_row_again(graph, calls, seed):
    start_under(graph, 1)
    graph.take(*stories(calls, seed))
    before = dump(graph)
    there = reprojection.rebuild(graph.dsn, 2)
    assert there.turns_renamed
    assert there.identical is None
    graph.check()
    assert dump(graph) != before
    reprojection.rebuild(graph.dsn, 1)
    assert dump(graph) == before
    assert graph.ask("SELECT * FROM former_reference") == []


@pytest.mark.parametrize("seed", range(3))
def test_a_log_filled_under_a_version_is_one_that_was_turned_to_it(graph, calls, seed):
    made = stories(calls, seed)
    start_under(graph, 1)
    graph.take(*made)
    reprojection.rebuild(graph.dsn, 2)
    turned = dump(graph)
    graph.forget()
    start_under(graph, 2)
    graph.take(*made)
    filled = dump(graph)
    for table, rows in turned.items():
        if table == "session":  # when a session was first seen is when its first call was stored, in either log
            rows, filled[table] = (
                [each.replace(each[each.index("('first") : each.index("), ('scope")], "") for each in some]
                for some in (rows, filled[table])
            )
        assert rows == filled[table], table


def test_what_a_hosted_tool_did_parts_conversations_under_version_1_and_not_under_2(graph, calls):
    made = hosted_story(calls)
    first, second, third, same, opener, other, *_ = made
    start_under(graph, 1)
    graph.take(*made)
    assert {graph.node(each)["parent_evidence"] for each in (second, third)} == {"prefix", "unmatched"}
    assert graph.session(opener) != graph.session(other)
    one, two = graph.session(opener), graph.session(other)

    planned = reprojection.rebuild(graph.dsn, 2, dry_run=True)
    assert graph.session(opener) == one
    done = reprojection.rebuild(graph.dsn, 2)
    assert (planned.sessions, planned.nodes) == (done.sessions, done.nodes)
    assert graph.session(opener) == graph.session(other)
    assert (graph.session(opener), sorted([one, two])) in done.sessions.merges
    assert graph.node(first)["node_id"] == graph.node(same)["node_id"]
    assert {graph.node(each)["parent_node_id"] for each in (second, third)} == {graph.node(first)["node_id"]}
    assert done.nodes.merged >= 1

    back = reprojection.rebuild(graph.dsn, 1)
    assert (graph.session(other), [one, two]) != (one, two)
    assert back.sessions.split == done.sessions.merged
    graph.check()


def test_what_people_said_of_a_node_is_found_at_its_new_id_and_comes_back_with_it(graph, calls):
    made = hosted_story(calls)
    start_under(graph, 1)
    graph.take(*made)
    same = made[3]
    graph.connection.execute(RATED, {"turn": same.event_id})
    graph.connection.execute(VOTED, {"turn": same.event_id})
    graph.connection.execute(QUEUED, {"turn": same.event_id})
    graph.connection.execute(CLUSTERED, {"turn": same.event_id})
    said = """INSERT INTO feedback (feedback_id, scope, turn_id, name, value, source, given_at)
        SELECT gen_random_uuid(), 'default', node_id, 'reward', 0.5, 'tests', now()
        FROM session_turn WHERE turn_id = %(turn)s"""
    graph.connection.execute(said, {"turn": same.event_id})
    before = dump(graph)
    former = graph.node(same)["node_id"]

    done = reprojection.rebuild(graph.dsn, 2)
    assert (done.followed["human_eval_labels.unit_id"], done.followed["feedback.turn_id"]) == (1, 1)
    now = graph.node(same)["node_id"]
    assert now != former
    assert graph.ask("SELECT unit_id FROM human_eval_labels") == [{"unit_id": now}]
    assert graph.ask("SELECT unit_id, value FROM current_judge_labels") == [{"unit_id": now, "value": 1.0}]
    assert graph.ask("SELECT subject_id FROM human_sample_queue") == [{"subject_id": now}]
    assert graph.ask("SELECT unit_id FROM trajectory_cluster_members") == [{"unit_id": now}]
    assert graph.ask("SELECT turn_id FROM feedback") == [{"turn_id": now}]
    assert graph.ask("SELECT turn_id FROM former_node WHERE node_id = %(node)s", node=former) == [
        {"turn_id": same.event_id}
    ]
    reprojection.rebuild(graph.dsn, 1)
    assert dump(graph) == before


def test_a_node_is_still_known_by_the_id_that_it_had_under_another_version(graph, calls):
    made = hosted_story(calls)
    start_under(graph, 1)
    graph.take(*made)
    node, session = graph.node(made[3])["node_id"], graph.session(made[3])
    reprojection.rebuild(graph.dsn, 2)
    now = graph.node(made[3])["node_id"]
    assert reading.resolve_node(graph.connection, str(node)) == now != node
    assert reading.resolve_session(graph.connection, str(session)) == graph.session(made[3]) != session
    late = calls([user("another wording")], "new", who={"purpose": "replay", "replay_node": str(node)})
    graph.take(late)
    assert graph.session(late) == graph.session(made[3])
    anchors = {graph.node(each)["context_anchor_turn_id"] for each in (late, made[3])}
    assert anchors == {made[0].event_id}
    assert reprojection.rebuild(graph.dsn).identical


def test_calls_that_were_read_before_the_switch_are_stored_under_the_version_after_it(graph, calls):
    start_under(graph, 1)
    made = hosted_story(calls)
    graph.take(made[0])
    parsed = read([encode_exchange(each) for each in made[1:]], graph.stored)
    reprojection.rebuild(graph.dsn, 2)
    store(graph.connection, parsed, graph.stored)
    lineage.build(graph.dsn)
    assert graph.ask("SELECT DISTINCT projection_version AS v FROM pipeline_event_inbox") == [{"v": 2}]
    live = dump(graph)
    assert reprojection.rebuild(graph.dsn).identical
    assert dump(graph) == live


def test_calls_that_arrive_during_switches_are_all_in_the_version_that_the_log_ends_in(graph, calls):
    start_under(graph, 1)
    made = [encode_exchange(each) for seed in range(4) for each in hosted_story(calls)]
    stored = SeenIds()
    done = threading.Event()

    def arrive():
        with connect(graph.dsn, autocommit=True) as connection:
            for record in made:
                ingest(connection, [record], stored)
        done.set()

    writer = threading.Thread(target=arrive)
    writer.start()
    version = 1
    while not done.is_set():
        version = 3 - version
        reprojection.rebuild(graph.dsn, version)
    writer.join()
    lineage.build(graph.dsn)
    assert graph.ask("SELECT DISTINCT projection_version AS v FROM pipeline_event_inbox") == [{"v": version}]
    again = reprojection.rebuild(graph.dsn)
    assert again.identical, again.differs
    assert (again.turns, again.contexts_changed) == (len(made), 0)


def test_imported_conversations_go_to_another_version_and_back(graph, tmp_path):
    said = [{"role": "system", "content": "s"}, assistant("Welcome!"), user("hi"), searched("found"), user("more")]
    other = [*said[:2], user("another"), assistant("sure")]
    lines = [
        json.dumps({"messages": each}) for each in ([*said, assistant("done")], other, [user("hi"), assistant("a")])
    ]
    file = tmp_path / "talks.jsonl"
    file.write_text("\n".join(lines))
    start_under(graph, 1)
    import_files(graph.dsn, [file])
    before = dump(graph)
    assert reprojection.rebuild(graph.dsn).identical
    reprojection.rebuild(graph.dsn, 2)
    turned = dump(graph)
    import_files(graph.dsn, [file])
    assert dump(graph) == turned
    assert reprojection.rebuild(graph.dsn).identical
    reprojection.rebuild(graph.dsn, 1)
    assert dump(graph) == before


def test_an_import_under_a_version_gives_the_ids_that_turning_to_it_gives(graph, tmp_path):
    said = [{"role": "system", "content": "s"}, assistant("Welcome!"), user("hi"), searched("found"), user("more")]
    file = tmp_path / "talk.jsonl"
    file.write_text(json.dumps({"messages": [*said, assistant("done")]}))
    import_files(graph.dsn, [file])
    before = dump(graph)
    assert reprojection.rebuild(graph.dsn).identical
    assert dump(graph) == before


def test_pages_of_any_size_give_the_same_ids(graph, calls, monkeypatch):
    made = stories(calls, 5)
    graph.take(*made)
    before = dump(graph)
    for size in (1, 2, 7):
        monkeypatch.setattr(reprojection, "_STEPS", size)
        monkeypatch.setattr(reprojection, "_TURNS", size)
        assert reprojection.rebuild(graph.dsn).identical
        assert dump(graph) == before


def test_messages_stored_without_anchors_get_them(graph, calls):
    graph.take(*stories(calls, 1))
    before, held = dump(graph), graph.ask("SELECT message_id, anchors FROM message ORDER BY message_id")
    graph.connection.execute("UPDATE message SET anchors = NULL")
    done = reprojection.rebuild(graph.dsn)
    assert done.anchors_added == sum(row["anchors"] is not None for row in held) > 0
    assert graph.ask("SELECT message_id, anchors FROM message ORDER BY message_id") == held
    assert dump(graph) == before


def test_an_empty_log_is_rebuilt_and_starts_with_the_newest_version(graph, calls):
    assert reprojection.rebuild(graph.dsn).identical
    assert graph.ask("SELECT version FROM projection") == [{"version": PROJECTION_VERSION}]
    assert max(PROJECTIONS) == PROJECTION_VERSION


def test_an_unknown_version_is_refused_with_the_known_ones(graph, truth, tmp_path):
    with pytest.raises(UsageError, match=r"There is no projection 9\. The versions are 1, 2, 3\."):
        reprojection.rebuild(graph.dsn, 9)
    environment = {**os.environ, "REGRAFT_POSTGRES__DSN": truth, "REGRAFT_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "regraft", "lineage", "rebuild"]
    run = subprocess.run([*command, "--projection", "9"], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "The versions are 1, 2, 3." in run.stderr
    run = subprocess.run([*command, "--json"], env=environment, capture_output=True, text=True, check=False)
    assert json.loads(run.stdout)["identical"] is True
