"""Rollouts through a real gateway, stream and database: recorded conversations are followed, tools from the record.

Only the model is scripted. A recorded conversation is one that a client had, stored as its calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from regraft.domain.errors import ConfigError, UsageError
from regraft.domain.ids import canonical_json, parse_json
from regraft.domain.lineage.projection import project
from regraft.domain.replay.job import Variant, plan
from regraft.domain.replay.tool_results import calls_of
from regraft.flows.capture.consume import consume
from regraft.flows.capture.importing import import_files
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.capture.waiting import wait_until_stored
from regraft.flows.evaluation.trajectories import materialise_units
from regraft.flows.lineage import build as lineage
from regraft.flows.replay.execution import JobWatcher, Tally, execute
from regraft.flows.replay.rollouts import RolloutOptions, Rollouts
from regraft.infra.duckdb.evaluation.workbench import Workbench
from regraft.infra.embedded.nats import EmbeddedNats
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres import pipeline
from regraft.infra.postgres.pool import connect, transaction
from regraft.infra.postgres.replay import plans as replays
from regraft.infra.settings import ToolServerSection
from regraft.presentation.gateway.settings import GatewaySettings, UpstreamSettings
from support.gateways import Gateway, Upstream, free_port
from support.scripted_upstream import plain

TOOL_SERVER = str(Path(__file__).parents[2] / "support" / "tool_server.py")
MODEL = "model"


def user(text):
    return {"role": "user", "content": text}


def says(text):
    return {"role": "assistant", "content": text}


def calling(name, arguments, call_id="c"):
    made = {"id": call_id, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
    return {"role": "assistant", "content": None, "tool_calls": [made]}


def result(content, call_id="c"):
    return {"role": "tool", "tool_call_id": call_id, "content": content}


HELLO = [{"role": "system", "content": "Book flights."}, user("to Rome, please")]
STORY = [
    calling("find", {"to": "Rome"}),
    result("flight 7"),
    says("Flight 7?"),
    user("yes"),
    calling("book", {"flight": 7}),
    result("booked"),
    says("Booked."),
    user("thanks"),
    says("Bye."),
]


def answers_of(story):
    return [message for message in story if message["role"] == "assistant"]


class Script:
    """A model that gives, for each name that it is called by, a list of answers, the next one with each call.

    ``followed`` keeps the messages of every call by the model's name.
    """

    def __init__(self):
        self.answers = {}
        self.followed = {}
        self.finish_reasons = {}

    def __call__(self, seen):
        asked = parse_json(seen.body)
        name = asked["model"]
        place = len(self.followed.setdefault(name, []))
        self.followed[name].append(asked["messages"])
        given = self.answers[name]
        if place >= len(given) or given[place] is None:
            return plain(500, b'{"error":{"message":"no more answers"}}')
        reply = {
            "id": "x",
            "model": name,
            "choices": [
                {
                    "index": 0,
                    "finish_reason": self.finish_reasons.get((name, place), "stop"),
                    "message": given[place],
                }
            ],
            "usage": {"prompt_tokens": 7, "completion_tokens": 2},
        }
        return plain(200, canonical_json(reply).encode())


class Course:
    """The whole path of a call, and what was recorded and grown on it."""

    def __init__(self, dsn, url, script, calls, environment):
        self.dsn, self.url, self.script, self.calls, self.environment = dsn, url, script, calls, environment

    def command(self, *arguments):
        """Run `regraft` in a process of its own, on the same servers, with a gateway of its own."""
        command = [sys.executable, "-m", "regraft", *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=300, env=self.environment, cwd=self.environment["HOME"]
        )

    def ask(self, query, **values):
        with connect(self.dsn) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def record(self, story=STORY, opening=HELLO, before=0, **more):
        """Store a conversation as its client had it, but for what is ``before``; the nodes of its answers."""
        made = []
        for at, message in enumerate(story):
            if message["role"] == "assistant" and at >= before:
                made.append(self.calls([*opening, *story[:at]], message, **more))
        with connect(self.dsn, autocommit=True) as connection:
            ingest(connection, [encode_exchange(each) for each in made], SeenIds())
        lineage.build(self.dsn)
        turns = [each.event_id for each in made]
        nodes = {row["turn_id"]: row["node_id"] for row in self.ask("SELECT turn_id, node_id FROM session_turn")}
        return [nodes[turn] for turn in turns]

    def grow(self, *work, concurrency=4):
        """Roll out (node, variant, options) each, and give how each ended."""
        ended = []
        jobs, growers = [], {}
        for node, variant, options in work:
            with transaction(self.dsn) as connection:
                origins = replays.origins(connection, [node])
            (job,) = plan(origins, [variant], 1, growth=options.growth())
            jobs.append(job)
            growers[job.fingerprint] = Rollouts(self.dsn, options, lambda _, row: ended.append(row)).grow
        watcher = Turns()

        async def grow(caller, job):
            return await growers[job.fingerprint](caller, job)

        asyncio.run(execute(self.url, jobs, concurrency, Tally(total=len(jobs)), watcher, None, grow))
        wait_until_stored(self.dsn, watcher.turns)
        lineage.build(self.dsn)
        places = {job.fingerprint: place for place, job in enumerate(jobs)}
        return sorted(ended, key=lambda row: places[row["fingerprint"]]), watcher

    def rollout(self, node, answers, *, variant=None, **options):
        """Roll one node out on a model that gives these answers; how it ended."""
        self.script.answers[MODEL] = answers
        self.script.followed.pop(MODEL, None)
        (row,), _ = self.grow((node, variant or Variant(model=MODEL), RolloutOptions(**options)))
        return row

    def graph(self):
        """What a rebuild must give again."""
        tables = {
            "conversation_branch_nodes": "node_id, parent_node_id, depth, branch_kind, runs, context_snapshot_id",
            "response_branch_records": "turn_id, node_id, parent_node_id, context_anchor_turn_id, branch_index,"
            " branch_kind, is_replay, fidelity, first_divergence::text",
            "execution_run_records": "run_id, node_id, purpose, variant::text",
        }
        return {
            table: sorted(map(repr, self.ask(f"SELECT {columns} FROM {table}"))) for table, columns in tables.items()
        }


class Turns(JobWatcher):
    def __init__(self):
        self.turns, self.failures = [], []

    def ended(self, job, grown):
        self.turns += grown.turns
        if grown.failure:
            self.failures.append(grown.failure)


@contextlib.contextmanager
def consuming(dsn, nats_url):
    """Ingest in this process, on a thread of its own."""
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    def main():
        loop.run_until_complete(consume(dsn, nats_url, stop))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    thread = threading.Thread(target=main)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
    assert not thread.is_alive()


@pytest.fixture
def path(truth, tmp_path, calls):
    script = Script()
    nats = EmbeddedNats(tmp_path / "nats")
    nats_url = nats.start().url
    with Upstream(script) as upstream:
        settings = GatewaySettings(
            upstreams={"main": UpstreamSettings(base_url=upstream.base_url)},
            spool=tmp_path / "spool",
            nats_url=nats_url,
            port=free_port(),
        )
        with Gateway(settings), consuming(truth, nats_url):
            environment = {
                **{name: value for name, value in os.environ.items() if not name.startswith("REGRAFT_")},
                "HOME": str(tmp_path),
                "REGRAFT_DATA_DIR": str(tmp_path / "data"),
                "REGRAFT_POSTGRES__DSN": truth,
                "REGRAFT_NATS__URL": nats_url,
                "REGRAFT_GATEWAY__PORT": str(free_port()),
                "REGRAFT_UPSTREAMS": json.dumps({"main": {"base_url": upstream.base_url}}),
            }
            yield Course(truth, f"http://127.0.0.1:{settings.port}", script, calls, environment)
    nats.stop()


# The same answers


def test_the_recorded_answers_give_the_recorded_conversation_again(path):
    nodes = path.record()
    row = path.rollout(nodes[0], answers_of(STORY))
    assert (row["stop_reason"], row["steps"], row["fidelity"], row["first_divergence"]) == (
        "end_of_record",
        5,
        1.0,
        None,
    )
    assert row["tool_sources"] == {"path": 2}
    assert path.script.followed[MODEL][-1] == [*HELLO, *STORY[:-1]]
    found = path.ask("SELECT node_id, runs FROM conversation_branch_nodes WHERE depth > 0 ORDER BY depth")
    assert [(each["node_id"], each["runs"]) for each in found] == [(node, 2) for node in nodes]


def test_each_call_of_a_rollout_says_how_true_the_branch_is_and_stands_beside_the_recorded_answer(path):
    nodes = path.record()
    row = path.rollout(nodes[0], answers_of(STORY))
    records = path.ask(
        "SELECT b.*, r.variant FROM response_branch_records b JOIN execution_run_records r ON r.run_id = b.turn_id"
        " WHERE is_replay ORDER BY r.started_at"
    )
    assert [each["turn_id"] for each in records] == row["turn_ids"]
    assert [each["branch_index"] for each in records] == [1] * 5
    assert [each["fidelity"] for each in records] == [None, 1.0, 1.0, 1.0, 1.0]
    assert {each["first_divergence"] for each in records} == {None}
    told = [each["variant"]["rollout"] for each in records]
    assert [each["step"] for each in told] == [1, 2, 3, 4, 5]
    assert [each.get("sources") for each in told] == [None, ["path"], None, ["path"], None]
    assert {each["id"] for each in told} == {str(row["rollout_id"])}
    assert all("fingerprint" not in each["variant"] for each in records)


def test_a_rebuild_of_the_graph_gives_the_same_rows(path):
    nodes = path.record()
    path.rollout(nodes[0], answers_of(STORY))
    path.rollout(nodes[0], [*answers_of(STORY)[:3], says("It is done."), says("Ciao.")])
    before = path.graph()
    lineage.rebuild(path.dsn)
    assert path.graph() == before


def test_a_rollout_can_begin_at_any_node_and_ends_where_it_is_told(path):
    nodes = path.record()
    assert path.rollout(nodes[2], answers_of(STORY)[2:])["steps"] == 3
    row = path.rollout(nodes[0], answers_of(STORY), max_turns=2)
    assert (row["stop_reason"], row["steps"]) == ("max_turns", 2)


# Other answers


def test_a_changed_answer_parts_exactly_there_and_the_branch_goes_on(path):
    nodes = path.record()
    changed = answers_of(STORY)
    changed[1] = says("Flight 7, at noon?")
    row = path.rollout(nodes[0], changed)
    assert (row["stop_reason"], row["fidelity"]) == ("end_of_record", 1.0)
    assert row["first_divergence"] == {
        "turn": 2,
        "step": 0,
        "kind": "answer",
        "before": "Flight 7?",
        "after": "Flight 7, at noon?",
    }
    (parted,) = path.ask(
        "SELECT array_agg(first_divergence ->> 'turn' ORDER BY r.started_at) AS turns FROM response_branch_records b"
        " JOIN execution_run_records r ON r.run_id = b.turn_id WHERE is_replay"
    )
    assert parted["turns"] == [None, None, "2", "2", "2"]
    tree = path.ask("SELECT depth, count(*) AS n FROM conversation_branch_nodes GROUP BY depth ORDER BY depth")
    assert [each["n"] for each in tree] == [1, 1, 2, 2, 2, 2]


def test_strict_ends_at_a_call_that_was_not_recorded(path):
    nodes = path.record()
    row = path.rollout(nodes[0], [calling("find", {"to": "Oslo"})])
    assert row["stop_reason"] == "unrecorded_tool_call"
    assert row["stop_detail"] == 'find({"to":"Oslo"}) is not in the record'
    assert row["first_divergence"]["kind"] == "arguments"
    assert row["fidelity"] is None


def test_recorded_gives_a_drifted_call_the_next_result_of_its_tool_and_tells_it(path):
    nodes = path.record()
    row = path.rollout(nodes[0], [calling("find", {"to": "Oslo"}), *answers_of(STORY)[1:]], policy="recorded")
    assert (row["stop_reason"], row["fidelity"]) == ("end_of_record", 0.5)
    assert row["tool_sources"] == {"drift": 1, "path": 1}
    assert row["drift"] == ['find({"to":"Oslo"}) was given the result of find({"to":"Rome"})']


def test_the_users_turn_no_longer_applies_without_the_call_that_it_answers(path):
    nodes = path.record()
    row = path.rollout(nodes[0], [says("Which Rome?")])
    assert row["stop_reason"] == "user_turn_no_longer_applies"
    assert "find(" in row["stop_detail"]


def test_results_of_another_branch_of_the_session_are_in_the_record(path):
    nodes = path.record()
    other = [calling("weather", {"in": "Rome"}, "w"), result("sunny", "w"), says("It is sunny.")]
    path.record(other)
    row = path.rollout(nodes[0], [calling("weather", {"in": "Rome"}, "n"), *answers_of(STORY)], toward=nodes[-1])
    assert row["tool_sources"] == {"sibling": 1, "path": 2}
    assert (row["stop_reason"], row["fidelity"]) == ("end_of_record", 1.0)
    assert path.script.followed[MODEL][1][-1] == result("sunny", "n")


def test_copies_of_results_in_earlier_rollouts_are_no_record(path):
    nodes = path.record()
    find, _, book, *rest = answers_of(STORY)
    assert path.rollout(nodes[0], [find, says("At noon?"), book, *rest])["tool_sources"] == {"path": 2}
    row = path.rollout(nodes[0], [find, says("Flight 7?"), book, book])
    assert row["stop_reason"] == "unrecorded_tool_call"
    assert row["stop_detail"] == 'book({"flight":7}) was called more often than in the record'


def test_the_longest_recorded_path_is_followed_unless_a_goal_is_named(path):
    nodes = path.record()
    other = [*STORY[:3], user("no"), says("Then not.")]
    end = path.record(other, before=4)[-1]
    assert path.rollout(nodes[0], answers_of(STORY))["steps"] == 5
    row = path.rollout(nodes[0], answers_of(other), toward=end)
    assert (row["steps"], row["stop_reason"], row["first_divergence"]) == (3, "end_of_record", None)
    with pytest.raises(UsageError, match="is not below"):
        Rollouts(path.dsn, RolloutOptions(toward=nodes[0])).check([end])


def test_a_record_ends_where_the_client_changed_its_history(path):
    nodes = path.record(STORY[:3])
    summary = [HELLO[0], user("Summary: a flight to Rome was found."), user("yes")]
    with connect(path.dsn, autocommit=True) as connection:
        later = path.calls(summary, "Booked.", who={"parent_node": str(nodes[-1])})
        ingest(connection, [encode_exchange(later)], SeenIds())
    lineage.build(path.dsn)
    row = path.rollout(nodes[0], answers_of(STORY)[:2])
    assert (row["steps"], row["stop_reason"]) == (2, "end_of_record")


def test_an_edited_question_is_followed_by_the_recorded_turns(path):
    nodes = path.record()
    row = path.rollout(nodes[0], answers_of(STORY), variant=Variant(model=MODEL, user="to Rome, quick"))
    assert (row["stop_reason"], row["fidelity"]) == ("end_of_record", 1.0)
    assert path.script.followed[MODEL][-1][1] == user("to Rome, quick")
    depths = path.ask("SELECT max(depth) AS n FROM conversation_branch_nodes")
    assert depths[0]["n"] == 5  # the branch hangs together


# What fails


def test_a_call_that_fails_ends_the_branch_as_a_failure_and_is_told(path):
    nodes = path.record()
    path.script.answers[MODEL] = [answers_of(STORY)[0], None]
    (row,), watcher = path.grow((nodes[0], Variant(model=MODEL), RolloutOptions()))
    assert (row["stop_reason"], row["steps"]) == ("error", 1)
    assert watcher.failures == [row["stop_detail"]]
    assert "HTTP 500" in row["stop_detail"]
    with transaction(path.dsn) as connection:
        assert replays.finished(connection, [row["fingerprint"]]) == {}


def test_a_branch_that_the_record_ended_is_finished(path):
    nodes = path.record()
    row = path.rollout(nodes[0], [says("Which Rome?")])
    with transaction(path.dsn) as connection:
        (mark, answer) = next(iter(replays.finished(connection, [row["fingerprint"]]).items()))
    assert (mark, answer.turn_id) == (row["fingerprint"], row["turn_ids"][-1])


def test_an_answer_cut_at_its_limit_and_a_refusal_end_a_branch(path):
    nodes = path.record()
    path.script.finish_reasons[MODEL, 0] = "length"
    assert path.rollout(nodes[0], answers_of(STORY))["stop_reason"] == "max_tokens"
    path.script.finish_reasons.clear()
    refusal = {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
    assert path.rollout(nodes[0], [refusal])["stop_reason"] == "refused"


def test_an_answer_that_the_server_gave_up_ends_a_branch_as_an_error(path):
    nodes = path.record()
    path.script.finish_reasons[MODEL, 0] = "insufficient_system_resource"
    row = path.rollout(nodes[0], answers_of(STORY))
    assert row["stop_reason"] == "error"
    with transaction(path.dsn) as connection:
        assert replays.finished(connection, [row["fingerprint"]]) == {}


# Live and simulated


def test_live_tools_run_for_real_in_a_server_of_their_own(path):
    story = [calling("add", {"a": 1, "b": 2}), result("three"), says("3"), user("thanks"), says("Bye.")]
    nodes = path.record(story)
    server = ToolServerSection(command=sys.executable, args=[TOOL_SERVER, "stdio"])
    row = path.rollout(nodes[0], answers_of(story), policy="live", servers={"own": server})
    assert (row["stop_reason"], row["fidelity"], row["tool_sources"]) == ("end_of_record", 0.0, {"live": 1})
    assert row["first_divergence"] == {"turn": 1, "step": 1, "kind": "tool_result", "before": "three", "after": "3.0"}
    assert path.script.followed[MODEL][1][-1] == result("3.0")


def test_what_a_live_tool_said_is_a_record_for_later_branches(path):
    nodes = path.record([says("hello")])
    server = ToolServerSection(command=sys.executable, args=[TOOL_SERVER, "stdio"])
    answers = [calling("add", {"a": 1, "b": 2}), says("3")]
    path.rollout(nodes[0], answers, policy="live", servers={"own": server})
    row = path.rollout(nodes[0], answers)
    assert (row["stop_reason"], row["tool_sources"]) == ("end_of_record", {"sibling": 1})


def test_a_tool_that_no_server_offers_is_answered_from_the_record_or_ends_a_live_branch(path):
    nodes = path.record()
    server = ToolServerSection(command=sys.executable, args=[TOOL_SERVER, "stdio"], only=["add"])
    row = path.rollout(nodes[0], answers_of(STORY), policy="live", servers={"own": server})
    assert (row["stop_reason"], row["tool_sources"]) == ("end_of_record", {"path": 2})
    row = path.rollout(nodes[0], [calling("other", {})], policy="live", servers={"own": server})
    assert row["stop_detail"] == "other({}) is not in the record, and no tool server offers it"


def test_a_tool_server_that_does_not_start_is_a_failure_of_the_job(path):
    nodes = path.record()
    server = ToolServerSection(command="/no/such/program")
    path.script.answers[MODEL] = answers_of(STORY)
    options = RolloutOptions(policy="live", servers={"own": server})
    (row,), watcher = path.grow((nodes[0], Variant(model=MODEL), options))
    assert (row["stop_reason"], row["turn_ids"]) == ("error", [])
    assert "The tool server own (/no/such/program) cannot be used" in watcher.failures[0]


def test_a_simulated_tool_is_marked_and_is_no_record(path):
    nodes = path.record()
    path.script.answers["simulator"] = [says("flight 9")]
    answers = [calling("find", {"to": "Oslo"}), *answers_of(STORY)[:2]]
    row = path.rollout(nodes[0], answers, policy="simulated", simulator="simulator", max_turns=3)
    assert row["tool_sources"] == {"simulated": 1, "path": 1}
    assert row["fidelity"] == 0.5
    asked = path.script.followed["simulator"][0][-1]["content"]
    assert 'Call: find({"to":"Rome"})' in asked
    (worker,) = path.ask("SELECT variant, session_id FROM execution_run_records WHERE purpose = 'worker'")
    assert worker["variant"]["simulated"] == "tool find"
    assert worker["session_id"] != row["session_id"]
    row = path.rollout(nodes[0], answers[:1])
    assert row["stop_reason"] == "unrecorded_tool_call"


def test_a_simulated_user_is_marked_and_speaks_until_there_is_no_more_to_say(path):
    nodes = path.record()
    path.script.answers["simulator"] = [says("Rome in Italy."), says("###STOP###")]
    row = path.rollout(
        nodes[0], [says("Which Rome?"), says("Found it.")], persona="Polite.", simulator="simulator", max_turns=9
    )
    assert (row["stop_reason"], row["simulated_user"], row["steps"]) == ("user_ended", True, 2)
    assert path.script.followed["simulator"][0][0]["content"].startswith("Polite.")
    assert path.script.followed[MODEL][1][-1] == user("Rome in Italy.")
    variants = path.ask("SELECT variant FROM execution_run_records WHERE purpose = 'replay' ORDER BY started_at")
    assert [each["variant"]["rollout"]["user"] for each in variants] == ["simulated"] * 2


def test_a_stand_in_that_fails_ends_the_branch_as_a_failure(path):
    nodes = path.record()
    path.script.answers["simulator"] = []
    row = path.rollout(nodes[0], [says("Which Rome?")], persona="Polite.", simulator="simulator", max_turns=9)
    assert row["stop_reason"] == "error"
    assert "stands in for the user" in row["stop_detail"]


def test_options_that_make_no_sense_are_refused():
    with pytest.raises(UsageError, match="one of strict"):
        RolloutOptions(policy="loose")
    with pytest.raises(UsageError, match="at least 1"):
        RolloutOptions(max_turns=0)
    with pytest.raises(ConfigError, match="tool server"):
        RolloutOptions(policy="live")
    with pytest.raises(UsageError, match="persona"):
        RolloutOptions(persona=" ")


# As a command


def test_the_command_follows_a_conversation_once_and_shows_how_true_it_was(path):
    nodes = path.record()
    path.script.answers[MODEL] = answers_of(STORY)
    asked = ("replay", nodes[0], "--model", MODEL, "--continue", "--json")
    done = path.command(*asked)
    assert done.returncode == 0, done.stderr + done.stdout
    (row,) = json.loads(done.stdout)["rollouts"]
    assert (row["stop_reason"], row["steps"], row["fidelity"]) == ("end_of_record", 5, 1.0)
    again = json.loads(path.command(*asked).stdout)
    assert (again["ran"], again["skipped"], again["rollouts"]) == (0, 1, [])
    shown = json.loads(path.command("show", nodes[-1], "--json").stdout)
    assert [each["fidelity"] for each in shown["run_records"]] == [None, 1.0]
    assert [each["rollout_id"] for each in shown["rollouts"]] == [row["rollout_id"]]
    tree = json.loads(path.command("tree", shown["session_id"], "--json").stdout)
    assert "first_divergence" in json.dumps(tree)
    plain_words = path.command("show", nodes[-1]).stdout
    assert "5 answers, fidelity 1, as recorded; end_of_record" in plain_words


def test_the_command_refuses_options_that_make_no_sense_in_a_line(path, tmp_path):
    nodes = path.record()
    (tmp_path / "persona.txt").write_text("Polite.")
    for arguments, word in [
        (("--tools", "recorded"), "--continue"),
        (("--continue", "--tools", "loose"), "strict"),
        (("--continue", "--tools", "live"), "tool server"),
        (("--continue", "--simulate-user", "no-such-file"), "no-such-file"),
        (("--continue", "--toward", "00000000"), "There is no node"),
        (("--continue", "--toward", str(nodes[0])), "is not below"),
    ]:
        done = path.command("replay", nodes[-1], "--model", MODEL, *arguments)
        assert done.returncode in (2, 3)
        assert word in done.stderr + done.stdout
        assert "Traceback" not in done.stderr


# What is made of it


def test_trajectories_and_recipes_know_how_true_a_rollout_is(path, tmp_path):
    nodes = path.record()
    drifting = [calling("find", {"to": "Oslo"}), *answers_of(STORY)[1:4], says("Ciao.")]
    path.rollout(nodes[0], drifting, policy="recorded")
    path.rollout(nodes[0], [*answers_of(STORY)[:4], says("See you.")])
    materialise_units(path.dsn, tmp_path / "bench.duckdb")
    units = Workbench(tmp_path / "bench.duckdb").units()
    assert sorted((unit["fidelity"], unit["purpose"]) for unit in units if unit["fidelity"] is not None) == [
        (0.5, "replay"),
        (1.0, "replay"),
    ]
    assert [unit["purpose"] for unit in units if unit["fidelity"] is None] == ["chat"]


def test_checks_of_rollouts_find_what_is_wrong(path):
    nodes = path.record()
    path.rollout(nodes[0], answers_of(STORY))
    names = ("rollouts_are_true_to_the_record", "rollouts_end_well")
    with transaction(path.dsn) as connection:
        assert [pipeline.check(connection, name).bad for name in names] == [0, 0]
        connection.execute("UPDATE rollout SET fidelity = 0.5, stop_reason = 'error'")
        assert [pipeline.check(connection, name).bad for name in names] == [1, 1]
        connection.execute("UPDATE rollout SET fidelity = 1")
        connection.execute("DELETE FROM response_branch_records WHERE is_replay AND branch_index = 1")
        assert pipeline.check(connection, names[0]).bad == 1


# What the log holds may be odd


def test_odd_bytes_in_answers_and_results_are_followed_unharmed(path):
    odd = "a\0b \ud800 \U0001f600"
    story = [calling("find", {"to": odd}), result(odd), says(odd), user(odd), says("ok")]
    nodes = path.record(story)
    answers = answers_of(story)
    row = path.rollout(nodes[0], answers)
    assert (row["stop_reason"], row["first_divergence"]) == ("end_of_record", None)
    changed = [answers[0], says("x" + odd), answers[2]]
    row = path.rollout(nodes[0], changed)
    assert row["first_divergence"]["turn"] == 2
    assert len(path.ask("SELECT 1 FROM rollout WHERE first_divergence IS NOT NULL")) == 1


def test_what_a_client_writes_into_a_variant_breaks_nothing(path, calls):
    for variant in (
        '{"rollout": 7}',
        '{"rollout": {"results": -1, "exact": "x", "divergence": [1]}}',
        '{"rollout"',
        "[]",
    ):
        who = {"purpose": "replay", "variant": variant}
        with connect(path.dsn, autocommit=True) as connection:
            ingest(connection, [encode_exchange(calls([user(variant)], who=who))], SeenIds())
    assert lineage.build(path.dsn).failed == 0
    assert {row["fidelity"] for row in path.ask("SELECT fidelity FROM response_branch_records")} == {None}


# Recorded agents


def leaves(path):
    """Every recorded trajectory: its first node, its last, and its answers from the first."""
    rows = path.ask(
        """WITH RECURSIVE walk AS (
            SELECT n.node_id AS leaf, n.node_id, n.parent_node_id, n.turn_id, n.depth FROM conversation_branch_nodes n
            WHERE n.depth > 0 AND NOT EXISTS (
                SELECT FROM conversation_branch_nodes c WHERE c.parent_node_id = n.node_id)
            UNION ALL
            SELECT walk.leaf, n.node_id, n.parent_node_id, n.turn_id, n.depth
            FROM walk JOIN conversation_branch_nodes n ON n.node_id = walk.parent_node_id WHERE n.depth > 0)
        SELECT walk.leaf, (array_agg(walk.node_id ORDER BY walk.depth))[1] AS first,
            array_agg(m.body::text ORDER BY walk.depth) AS answers
        FROM walk JOIN session_turn t USING (turn_id) JOIN message m ON m.message_id = t.answer_id
        GROUP BY walk.leaf ORDER BY walk.leaf"""
    )
    return [(row["first"], row["leaf"], [parse_json(body) for body in row["answers"]]) for row in rows]


@pytest.mark.corpus
@pytest.mark.parametrize(("folder", "many"), [("tau-bench-airline", 12), ("tau2-bench", 12), ("swe-agent", 9)])
def test_recorded_agents_on_a_model_that_repeats_their_answers_give_themselves_again(path, corpus, folder, many):
    import_files(path.dsn, sorted((corpus / folder).glob("conversations*.jsonl.zst")))
    everything = leaves(path)
    chosen = everything[:: max(1, len(everything) // many)]
    before = path.ask("SELECT count(*) AS nodes, sum(runs) AS runs FROM conversation_branch_nodes")[0]
    work = []
    for number, (first, leaf, answers) in enumerate(chosen):
        path.script.answers[f"{MODEL}-{number}"] = answers
        work.append((first, Variant(model=f"{MODEL}-{number}"), RolloutOptions(toward=leaf)))
    ended, watcher = path.grow(*work)
    assert watcher.failures == []
    for row, (_, _, answers) in zip(ended, chosen, strict=True):
        called = sum(len(calls_of(answer)) for answer in answers[:-1])
        assert (row["stop_reason"], row["steps"], row["first_divergence"]) == ("end_of_record", len(answers), None)
        assert row["fidelity"] == (1.0 if sum(row["tool_sources"].values()) else None)
        assert sum(row["tool_sources"].values()) == called
    after = path.ask("SELECT count(*) AS nodes, sum(runs) AS runs FROM conversation_branch_nodes")[0]
    assert after["nodes"] == before["nodes"]
    assert after["runs"] == before["runs"] + sum(len(answers) for _, _, answers in chosen)


@pytest.mark.corpus
def test_a_changed_answer_of_a_recorded_agent_parts_exactly_there(path, corpus):
    import_files(path.dsn, sorted((corpus / "tau-bench-airline").glob("conversations*.jsonl.zst")))
    chosen = [each for each in leaves(path) if len(each[2]) > 6][:8]
    work, changed_at = [], []
    for number, (first, leaf, answers) in enumerate(chosen):
        place = 1 + number % 5
        changed = list(answers)
        old = project(changed[place])
        if calls := changed[place].get("tool_calls"):
            made = {**calls[0], "function": {"name": calls[0]["function"]["name"], "arguments": '{"changed": true}'}}
            changed[place] = {**changed[place], "tool_calls": [made, *calls[1:]]}
            kind = "arguments"
        else:
            changed[place] = says("Something else.")
            kind = "answer"
        assert project(changed[place]) != old
        path.script.answers[f"{MODEL}-{number}"] = changed
        work.append((first, Variant(model=f"{MODEL}-{number}"), RolloutOptions(toward=leaf)))
        changed_at.append((place + 1, kind))
    ended, _ = path.grow(*work)
    assert [(row["first_divergence"]["turn"], row["first_divergence"]["kind"]) for row in ended] == changed_at
    for row, (_, kind) in zip(ended, changed_at, strict=True):
        assert row["stop_reason"] == ("unrecorded_tool_call" if kind == "arguments" else "end_of_record")
    assert {kind for _, kind in changed_at} == {"arguments", "answer"}
