"""The conversation graph on a real PostgreSQL: the tree is the same in whatever order its calls arrive."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import permutations
from uuid import UUID

import pytest

from regraft.domain.ids import SessionId
from regraft.domain.lineage.history import node_of, root_of, session_by_name
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.lineage import build as lineage
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect

GRAPH = (
    "conversation_sessions",
    "conversation_branch_nodes",
    "execution_run_records",
    "response_branch_records",
    "seed_themes",
)
LOG = "message, context, request_part, pipeline_event_inbox, session, session_turn, session_lineage, lineage_queue"
MINE = {"session": "mine"}


def system(text):
    return {"role": "system", "content": text}


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


class Truth:
    """A database of captured calls and the graph that is built of them."""

    def __init__(self, dsn, connection):
        self.dsn = dsn
        self.connection = connection
        self.stored = SeenIds()

    def take(self, *exchanges):
        """Store the calls and build what they touch."""
        counts = ingest(self.connection, [encode_exchange(each) for each in exchanges], self.stored)
        assert counts.quarantined == 0
        return lineage.build(self.dsn)

    def ask(self, query, **values):
        return self.connection.execute(query.encode(), values).fetchall()

    def node(self, exchange, choice=0):
        """The node of a call, with its branch."""
        (row,) = self.ask(
            """SELECT n.*, b.context_anchor_turn_id, b.branch_index, b.same_context, b.same_tools,
                b.branch_kind AS run_kind, t.turn_id AS run
            FROM session_turn t JOIN conversation_branch_nodes n USING (node_id)
            JOIN response_branch_records b ON b.turn_id = t.turn_id
            WHERE t.event_id = %(event)s AND t.choice_index = %(choice)s""",
            event=exchange.event_id,
            choice=choice,
        )
        return row

    def run(self, exchange):
        return self.ask("SELECT * FROM execution_run_records WHERE run_id = %(run)s", run=exchange.event_id)[0]

    def session(self, exchange):
        return self.ask("SELECT session_id FROM session_turn WHERE turn_id = %(id)s", id=exchange.event_id)[0][
            "session_id"
        ]

    def graph(self, *ignored):
        """All rows of the graph, without the numbers of builds and the columns that are ignored."""
        found = {}
        for table in GRAPH:
            rows = self.ask(f"SELECT * FROM {table}")
            found[table] = sorted(
                repr(sorted((k, v) for k, v in row.items() if k not in ("build", *ignored))) for row in rows
            )
        return found

    def forget(self):
        """Empty everything."""
        derived = f"{', '.join(GRAPH)}, lineage_watermark, unsettled_node, turn_link"
        self.connection.execute(f"TRUNCATE {LOG}, {derived}, quarantine CASCADE".encode())
        self.stored = SeenIds()

    def check(self):
        """What must hold of every graph."""
        (broken,) = self.ask(
            """SELECT count(*) AS n FROM conversation_branch_nodes n
            LEFT JOIN conversation_branch_nodes p ON p.node_id = n.parent_node_id
            WHERE n.turn_index <> n.depth OR n.depth <> coalesce(p.depth + 1, 0)
                OR p.session_id <> n.session_id OR (p.node_id IS NULL) <> (n.branch_kind = 'root')"""
        )
        assert broken["n"] == 0
        numbers = self.ask(
            """SELECT array_agg(branch_index ORDER BY branch_index) AS found FROM response_branch_records
            GROUP BY context_anchor_turn_id"""
        )
        assert all(row["found"] == list(range(len(row["found"]))) for row in numbers)
        (missing,) = self.ask(
            """SELECT (SELECT count(*) FROM session_turn) AS turns, (SELECT count(*) FROM lineage_queue) AS waiting,
                (SELECT count(*) FROM execution_run_records) AS runs,
                (SELECT count(*) FROM response_branch_records) AS branches,
                (SELECT coalesce(sum(runs), 0) FROM conversation_branch_nodes) AS counted,
                (SELECT coalesce(sum(turns), 0) FROM conversation_sessions) AS in_sessions"""
        )
        turns = missing.pop("turns")
        assert missing == {"waiting": 0, "runs": turns, "branches": turns, "counted": turns, "in_sessions": turns}


@pytest.fixture
def graph(truth):
    with connect(truth, autocommit=True) as connection:
        yield Truth(truth, connection)


def again(calls, original, node, messages, answer, **more):
    """A replay of a node, as the replay flow makes it."""
    who = {"session": f"regraft:{original}", "purpose": "replay", "replay_node": str(node)}
    return calls(messages, answer, who={**who, **more.pop("who", {})}, **more)


# The four mistakes of the first version


def test_replays_of_one_anchor_are_grouped_and_numbered_with_the_original(graph, calls):
    original = calls([user("hi")], "original", temperature=0.5)
    graph.take(original)
    node, session = graph.node(original)["node_id"], graph.session(original)
    replays = [again(calls, session, node, [user("hi")], f"replay {n}", temperature=n) for n in range(4)]
    replays.append(again(calls, session, node, [system("new"), user("hi")], "edited"))
    graph.take(*replays)
    found = [graph.node(each) for each in [original, *replays]]
    assert {row["context_anchor_turn_id"] for row in found} == {original.event_id}
    assert [row["branch_index"] for row in found] == [0, 1, 2, 3, 4, 5]
    assert {row["parent_node_id"] for row in found} == {root_of(session)}
    graph.check()


def test_no_metadata_is_missing_from_an_original_that_a_replay_has(graph, calls):
    original = calls([user("hi")], "original", temperature=0.5, tools=[{"type": "x"}])
    graph.take(original)
    replay = again(
        calls, graph.session(original), graph.node(original)["node_id"], [user("hi")], "replay", temperature=0.5
    )
    graph.take(replay)
    first, second = graph.run(original), graph.run(replay)
    assert {key for key, value in second.items() if value is not None} - {
        key for key, value in first.items() if value is not None
    } <= {"variant"}
    for run in (first, second):
        assert (run["model"], run["model_snapshot_id"], run["backend"]) == ("m", "m@fp", "main")
        assert (run["prompt_tokens"], run["completion_tokens"], run["usage"]["total_tokens"]) == (5, 3, 8)
        assert (run["duration_ms"], run["first_byte_ms"]) == (5.0, 1.0)
        assert (run["run_status"], run["finish_reason"], run["sampling"]) == ("ok", "stop", {"temperature": 0.5})
    answers = graph.ask("SELECT answer_text FROM run_answers ORDER BY started_at")
    assert [row["answer_text"] for row in answers] == ["original", "replay"]


def test_the_turn_index_of_a_replay_does_not_collide_with_the_next_original_turn(graph, calls):
    first = calls([user("hi")], "one")
    second = calls([user("hi"), assistant("one"), user("more")], "two")
    graph.take(first, second)
    replay = again(calls, graph.session(first), graph.node(first)["node_id"], [user("hi")], "another")
    graph.take(replay)
    one, two, other = (graph.node(each) for each in (first, second, replay))
    assert (one["turn_index"], other["turn_index"], two["turn_index"]) == (1, 1, 2)
    assert (one["branch_index"], other["branch_index"]) == (0, 1)
    assert two["parent_node_id"] == one["node_id"] != other["node_id"]


def test_the_core_tables_are_built_and_complete(graph, calls):
    first = calls([user("hi")], "one", who={"theme": "greetings"})
    second = calls([user("hi"), assistant("one"), user("more")], "two")
    failed = calls.failed([user("hi")])
    counts = graph.take(first, second, failed)
    assert (counts.turns, counts.sessions, counts.build) == (3, 1, 1)
    (session,) = graph.ask("SELECT s.*, t.name FROM conversation_sessions s JOIN seed_themes t USING (theme_id)")
    assert (session["turns"], session["nodes"], session["name"]) == (3, 3, "greetings")
    assert session["root_node_id"] == root_of(SessionId(session["session_id"]))
    nodes = graph.ask("SELECT * FROM conversation_branch_nodes ORDER BY depth, node_id")
    assert len(nodes) == 4
    for node in nodes:
        optional = {"parent_node_id", "turn_id"} if node["depth"] == 0 else set()
        assert {key for key, value in node.items() if value is None} == optional
    assert sorted(node["node_status"] for node in nodes) == ["error", "ok", "ok", "ok"]
    graph.check()


# Any order, any batching


def story(calls, rnd: random.Random):
    """A branching conversation: edits, retries, other models, errors, several choices, replays, parent claims."""
    session = session_by_name("default", "mine")
    histories, nodes, exchanges = [[user("hi")]], [], []
    for _ in range(rnd.randint(4, 9)):
        messages, who, settings = rnd.choice(histories), dict(MINE), {}
        if rnd.random() < 0.2:
            messages = [system(rnd.choice("st")), *messages]
        if rnd.random() < 0.3:
            settings["temperature"] = rnd.choice([0, 0.5])
        if rnd.random() < 0.2:
            settings["tools"] = [{"type": "function", "function": {"name": rnd.choice("fg")}}]
        if nodes and rnd.random() < 0.35:
            who = {"session": f"regraft:{session}", "purpose": "replay", "replay_node": str(rnd.choice(nodes))}
            if rnd.random() < 0.3:
                messages = [*messages[:-1], user("edited")]
        if rnd.random() < 0.1:
            who["theme"] = rnd.choice("xy")
        if nodes and rnd.random() < 0.15:
            who["parent_node"] = str(rnd.choice([*nodes, UUID(int=7)]))
        answer, model = rnd.choice("abc"), rnd.choice("mmn")
        kind = rnd.random()
        if kind < 0.1:
            exchanges.append(calls.failed(messages, model=model, who=who, **settings))
        elif kind < 0.2:
            choices = [answer, rnd.choice("abc")]
            exchanges.append(calls(messages, choices=choices, model=model, who=who, n=2, **settings))
        else:
            exchanges.append(calls(messages, answer, model=model, who=who, **settings))
        nodes.append(exchanges[-1].event_id)
        histories.append([*messages, assistant(answer), user(rnd.choice("xyz"))])
        histories.append([*histories[-1], assistant("never captured"), user("x")])
    return exchanges


@pytest.mark.parametrize("seed", range(12))
def test_any_order_and_any_batching_of_the_same_calls_give_the_same_tables(graph, calls, seed):
    rnd = random.Random(seed)
    exchanges = story(calls, rnd)
    graph.take(*exchanges)
    graph.check()
    expected = graph.graph()
    for _ in range(3):
        graph.forget()
        order = rnd.sample(exchanges, len(exchanges))
        while order:
            size = rnd.randint(1, 4)
            graph.take(*order[:size])
            order = order[size:]
        graph.check()
        assert graph.graph() == expected


def test_every_order_of_a_small_tree_gives_the_same_tables(graph, calls):
    trunk = [user("hi"), assistant("a"), user("more")]
    exchanges = [
        calls([user("hi")], "a"),
        calls(trunk, "b"),
        calls([*trunk, assistant("b"), user("on")], "c"),
        calls([user("hi")], "a", temperature=1),
    ]
    graph.take(*exchanges)
    expected = graph.graph()
    for order in permutations(exchanges):
        graph.forget()
        for each in order:
            graph.take(each)
        assert graph.graph() == expected


def test_building_sessions_one_by_one_gives_the_same_tables(graph, calls):
    exchanges = [calls([user("hi")], f"{n}", who={"session": f"s{n % 3}"}) for n in range(9)]
    graph.take(*exchanges)
    expected = graph.graph()
    graph.forget()
    ingest(graph.connection, [encode_exchange(each) for each in exchanges], SeenIds())
    for name in ("s2", "s0", "s1"):
        assert lineage.build(graph.dsn, [session_by_name("default", name)]).sessions == 1
    assert graph.graph() == expected


def test_calls_delivered_again_change_nothing(graph, calls):
    exchanges = story(calls, random.Random(99))
    graph.take(*exchanges)
    before = graph.graph()
    for exchange in reversed(exchanges):
        graph.take(exchange)
    assert graph.graph() == before


def test_a_build_with_nothing_to_do_does_nothing(graph, calls):
    assert graph.take().build == 0
    graph.take(calls([user("hi")]))
    assert lineage.build(graph.dsn) == lineage.BuildCounts(0, 0, 0, 0)
    assert graph.ask("SELECT build FROM lineage_watermark") == [{"build": 1}]


def test_a_rebuild_gives_the_same_tables(graph, calls):
    for seed in range(3):
        graph.take(*(replace(each, scope=f"scope {seed}") for each in story(calls, random.Random(seed))))
    before = graph.graph()
    lineage.rebuild(graph.dsn)
    graph.check()
    assert graph.graph() == before


def test_progress_counts_every_turn_once(graph, calls):
    ingest(graph.connection, [encode_exchange(each) for each in (calls(), calls(choices=["a", "b"]))], SeenIds())
    steps: list[int] = []
    assert lineage.build(graph.dsn, progress=steps.append).turns == sum(steps) == 3


# Parents that come late


def chain(calls, length, answer="a"):
    """A conversation of ``length`` turns, one call each."""
    messages, exchanges = [user("0")], []
    for number in range(length):
        exchanges.append(calls(messages, f"{answer}{number}"))
        messages = [*messages, assistant(f"{answer}{number}"), user(f"{number + 1}")]
    return exchanges


def test_a_child_that_came_first_waits_at_the_root_and_is_adopted(graph, calls):
    first, second = chain(calls, 2)
    graph.take(second)
    waiting = graph.node(second)
    assert (waiting["depth"], waiting["parent_evidence"]) == (1, "unmatched")
    graph.take(first)
    adopted = graph.node(second)
    assert (adopted["parent_node_id"], adopted["depth"]) == (graph.node(first)["node_id"], 2)
    assert adopted["parent_evidence"] == "prefix"
    graph.check()


def test_a_deeper_ancestor_that_comes_late_takes_over_its_descendants(graph, calls):
    exchanges = chain(calls, 4)
    graph.take(exchanges[0])
    graph.take(exchanges[3])
    assert graph.node(exchanges[3])["parent_node_id"] == graph.node(exchanges[0])["node_id"]
    assert graph.node(exchanges[3])["parent_evidence"] == "longest_prefix"
    graph.take(exchanges[1])
    assert graph.node(exchanges[3])["parent_node_id"] == graph.node(exchanges[1])["node_id"]
    graph.take(exchanges[2])
    assert [graph.node(each)["depth"] for each in exchanges] == [1, 2, 3, 4]
    assert graph.node(exchanges[3])["parent_node_id"] == graph.node(exchanges[2])["node_id"]
    graph.check()


def test_a_whole_subtree_moves_with_its_adopted_top(graph, calls):
    exchanges = chain(calls, 8)
    graph.take(*exchanges[1:])
    assert [graph.node(each)["turn_index"] for each in exchanges[1:]] == [1, 2, 3, 4, 5, 6, 7]
    graph.take(exchanges[0])
    assert [graph.node(each)["turn_index"] for each in exchanges] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [graph.node(each)["depth"] for each in exchanges] == [1, 2, 3, 4, 5, 6, 7, 8]
    graph.check()


def test_a_moved_child_leaves_no_gap_among_the_siblings_it_left(graph, calls):
    first, second = chain(calls, 2)
    before = calls([user("hi there")], "x", who=MINE)
    claimed = replace(second, identity=replace(second.identity, session="mine"))
    original = replace(first, identity=replace(first.identity, session="mine"))
    graph.take(claimed)
    graph.take(before)
    assert graph.node(before)["run_kind"] != "root"
    graph.take(original)
    graph.check()
    assert graph.node(claimed)["run_kind"] == "continuation"


def test_an_earlier_answer_that_comes_late_becomes_the_anchor(graph, calls):
    early, late = calls([user("hi")], "early"), calls([user("hi")], "late", temperature=1)
    graph.take(late)
    assert graph.node(late)["branch_index"] == 0
    graph.take(early)
    assert (graph.node(early)["branch_index"], graph.node(late)["branch_index"]) == (0, 1)
    assert graph.node(late)["context_anchor_turn_id"] == early.event_id
    assert (graph.node(early)["branch_kind"], graph.node(late)["branch_kind"]) == ("continuation", "sampling_variant")


def test_a_replay_that_came_before_its_original_is_placed_beside_it(graph, calls):
    original = calls([user("hi")], "original", who=MINE)
    session = session_by_name("default", "mine")
    replay = again(calls, session, original.event_id, [system("x"), user("hi")], "replay")
    graph.take(replay)
    graph.take(original)
    assert graph.node(replay)["context_anchor_turn_id"] == original.event_id
    assert (graph.node(replay)["branch_index"], graph.node(replay)["branch_kind"]) == (1, "prompt_variant")
    graph.check()


def test_a_replay_of_a_replay_stands_under_the_first_anchor(graph, calls):
    original = calls([user("hi")], "original")
    graph.take(original)
    session = graph.session(original)
    first = again(calls, session, graph.node(original)["node_id"], [system("x"), user("hi")], "first")
    graph.take(first)
    second = again(calls, session, graph.node(first)["node_id"], [system("y"), user("hi")], "second")
    graph.take(second)
    assert {graph.node(each)["context_anchor_turn_id"] for each in (original, first, second)} == {original.event_id}
    assert [graph.node(each)["branch_index"] for each in (original, first, second)] == [0, 1, 2]


def test_a_conversation_that_goes_on_from_a_replay_hangs_under_the_replay(graph, calls):
    original = calls([user("hi")], "original")
    graph.take(original)
    replay = again(calls, graph.session(original), graph.node(original)["node_id"], [user("hi")], "replay")
    following = calls([user("hi"), assistant("replay"), user("more")], "on")
    graph.take(following)
    graph.take(replay)
    assert graph.node(following)["parent_node_id"] == graph.node(replay)["node_id"]
    assert graph.node(following)["depth"] == 2


# Claims


def test_a_claimed_parent_wins_over_the_content(graph, calls):
    first, second = chain(calls, 2)
    graph.take(first, second)
    node = graph.node(first)["node_id"]
    for claimed in (node, first.event_id):
        call = calls([user("a summary of it all")], f"on {claimed}", who={"parent_node": str(claimed)})
        graph.take(call)
        assert graph.node(call)["parent_node_id"] == node
        assert (graph.node(call)["parent_evidence"], graph.node(call)["depth"]) == ("explicit_header", 2)
    graph.check()


def test_a_claimed_parent_that_comes_late_is_honoured(graph, calls):
    first = calls([user("hi")], "one", who=MINE)
    second = calls([user("other")], "two", who={**MINE, "parent_node": str(first.event_id)})
    graph.take(second)
    assert graph.node(second)["depth"] == 1
    graph.take(first)
    assert (graph.node(second)["parent_node_id"], graph.node(second)["depth"]) == (graph.node(first)["node_id"], 2)


@pytest.mark.parametrize("claimed", [str(UUID(int=7)), "not an id", "", "\0", "'; DROP TABLE x --"])
def test_a_claim_on_something_unknown_is_not_honoured(graph, calls, claimed):
    call = calls([user("hi")], who={**MINE, "parent_node": claimed, "replay_node": claimed})
    graph.take(call)
    assert (graph.node(call)["depth"], graph.node(call)["parent_evidence"]) == (1, "opening")
    graph.check()


@pytest.mark.parametrize("field", ["parent_node", "replay_node"])
def test_a_claim_on_another_session_is_not_honoured(graph, calls, field):
    foreign = calls([user("hi")], "one", who={"session": "theirs"})
    graph.take(foreign)
    for claimed in (foreign.event_id, graph.node(foreign)["node_id"]):
        call = calls([user("hi")], str(claimed), who={**MINE, field: str(claimed)})
        graph.take(call)
        assert graph.node(call)["parent_node_id"] == root_of(session_by_name("default", "mine"))
    graph.check()


@pytest.mark.parametrize("field", ["parent_node", "replay_node"])
def test_a_claim_on_oneself_is_not_honoured(graph, calls, field):
    call = calls([user("hi")], who=MINE)
    call = replace(call, identity=replace(call.identity, **{field: str(call.event_id)}))
    graph.take(call)
    assert graph.node(call)["depth"] == 1
    graph.check()


@pytest.mark.parametrize("field", ["parent_node", "replay_node"])
def test_claims_that_make_a_circle_do_not_break_the_build(graph, calls, field):
    exchanges = [calls([user(str(number))], who=MINE) for number in range(5)]
    ring = zip(exchanges, [*exchanges[1:], exchanges[0]], strict=True)
    linked = [replace(each, identity=replace(each.identity, **{field: str(to.event_id)})) for each, to in ring]
    for order in (linked, linked[::-1]):
        graph.forget()
        for each in order:
            graph.take(each)
        graph.check()
        assert all(graph.node(each)["depth"] >= 1 for each in linked)


def test_a_claim_on_what_was_asked_later_is_not_honoured(graph, calls):
    first, second = calls([user("a")], who=MINE), calls([user("b")], who=MINE)
    claiming = replace(first, identity=replace(first.identity, parent_node=str(second.event_id)))
    graph.take(second, claiming)
    assert graph.node(claiming)["depth"] == 1


# Kinds


TOOLS = [{"type": "function", "function": {"name": "f"}}]


@pytest.mark.parametrize(
    ("messages", "changed", "kind", "keys"),
    [
        ([user("hi")], {}, "retry", set()),
        ([user("hi")], {"model": "n"}, "model_variant", {"model"}),
        ([user("hi")], {"temperature": 1}, "sampling_variant", {"sampling"}),
        ([user("hi")], {"tools": TOOLS}, "tool_variant", {"tools"}),
        ([system("x"), user("hi")], {}, "prompt_variant", {"prompt"}),
        ([user("ho")], {}, "prompt_variant", {"prompt"}),
        ([user("hi")], {"who": {"plan": "p"}}, "taskify_variant", {"taskify"}),
        (
            [user("ho")],
            {"model": "n", "tools": TOOLS, "top_p": 1},
            "prompt_variant",
            {"prompt", "tools", "model", "sampling"},
        ),
        ([user("hi")], {"model": "n", "top_p": 1}, "model_variant", {"model", "sampling"}),
        ([user("hi")], {"model": "n", "tools": TOOLS}, "tool_variant", {"tools", "model"}),
    ],
)
def test_each_kind_of_branch_appears_when_it_should(graph, calls, messages, changed, kind, keys):
    original = calls([user("hi")], "original")
    graph.take(original)
    assert graph.node(original)["branch_kind"] == "continuation"
    node, session = graph.node(original)["node_id"], graph.session(original)
    replay = again(calls, session, node, messages, "replay", **changed)
    graph.take(replay)
    found = graph.node(replay)
    assert (found["branch_kind"], set(found["variant_config"])) == (kind, keys)
    assert found["branch_reason"]
    assert (found["same_context"], found["same_tools"]) == (messages == [user("hi")], "tools" not in changed)


def test_an_edited_question_of_an_original_is_a_prompt_variant_with_an_anchor_of_its_own(graph, calls):
    trunk = [user("hi"), assistant("ok")]
    first = calls([user("hi")], "ok")
    one, other = calls([*trunk, user("more")], "a"), calls([*trunk, user("less")], "b")
    graph.take(first, one, other)
    assert graph.node(other)["parent_node_id"] == graph.node(one)["parent_node_id"] == graph.node(first)["node_id"]
    assert graph.node(other)["branch_kind"] == "prompt_variant"
    assert graph.node(other)["context_anchor_turn_id"] == other.event_id


def test_a_root_is_the_empty_history(graph, calls):
    graph.take(calls([user("hi")]))
    (root,) = graph.ask("SELECT * FROM conversation_branch_nodes WHERE branch_kind = 'root'")
    assert (root["depth"], root["turn_id"], root["runs"], bytes(root["context_snapshot_id"])) == (0, None, 0, b"")


# Runs


def test_identical_siblings_are_one_node_that_counts_its_runs(graph, calls):
    same = [calls([user("hi")], "same", temperature=number) for number in range(3)]
    other = calls([user("hi")], "other")
    graph.take(*same, other)
    assert len({graph.node(each)["node_id"] for each in same}) == 1
    assert (graph.node(same[0])["runs"], graph.node(other)["runs"]) == (3, 1)
    assert graph.node(same[2])["turn_id"] == same[0].event_id
    assert [graph.node(each)["branch_index"] for each in [*same, other]] == [0, 1, 2, 3]
    assert len({graph.run(each)["run_id"] for each in same}) == 3


def test_a_run_that_is_found_again_later_is_counted(graph, calls):
    graph.take(first := calls([user("hi")], "same"))
    graph.take(calls([user("hi")], "same"))
    assert graph.node(first)["runs"] == 2


def test_the_choices_of_one_call_are_siblings(graph, calls):
    call = calls([user("hi")], choices=["a", "b", "a"], n=3)
    following = calls([user("hi"), assistant("b"), user("more")], "on")
    graph.take(call, following)
    found = [graph.node(call, choice) for choice in range(3)]
    assert sorted(row["branch_index"] for row in found) == [0, 1, 2]
    assert found[0]["node_id"] == found[2]["node_id"] != found[1]["node_id"]
    assert graph.node(following)["parent_node_id"] == found[1]["node_id"]
    graph.check()


def test_the_tokens_of_a_call_with_several_choices_are_counted_once(graph, calls):
    graph.take(calls([user("hi")], choices=["a", "b"], n=2))
    assert graph.ask("SELECT sum(completion_tokens) AS tokens FROM execution_run_records") == [{"tokens": 3}]


def test_a_failed_call_is_a_node_with_its_error(graph, calls):
    failed, silent = calls.failed([user("hi")], 429), calls([user("ho")], choices=[])
    graph.take(failed, silent)
    assert (graph.node(failed)["node_status"], graph.run(failed)["run_status"]) == ("error", "error")
    assert graph.run(failed)["error"] == {"message": "no", "code": 429}
    assert "200" in graph.run(silent)["error"]["message"]


def test_conversations_of_two_scopes_do_not_meet(graph, calls):
    mine, theirs = calls([user("hi")], "same"), replace(calls([user("hi")], "same"), scope="other")
    graph.take(mine, theirs)
    assert graph.node(mine)["node_id"] != graph.node(theirs)["node_id"]
    assert len(graph.ask("SELECT * FROM conversation_sessions")) == 2


def test_the_id_of_a_node_is_known_before_it_is_built(graph, calls):
    call = calls([user("hi")], "one", who=MINE)
    graph.take(call)
    (turn,) = graph.ask("SELECT answer_projection, session_id FROM session_turn")
    assert graph.node(call)["node_id"] == node_of(turn["session_id"], bytes(turn["answer_projection"]))


# What a person asks


def test_a_session_is_shown_as_a_tree_with_one_query(graph, calls):
    first, second = chain(calls, 2)
    retry = calls([user("0")], "another")
    graph.take(first, second, retry)
    rows = graph.ask("SELECT * FROM session_tree(%(id)s)", id=graph.session(first))
    assert [(row["depth"], row["branch_kind"], row["answer"]) for row in rows] == [
        (0, "root", None),
        (1, "continuation", "a0"),
        (2, "continuation", "a1"),
        (1, "retry", "another"),
    ]


def test_the_history_of_a_node_is_what_its_call_was_made_with(graph, calls):
    exchanges = chain(calls, 3)
    graph.take(*exchanges)
    found = graph.ask(
        "SELECT message_history_json AS history FROM node_history WHERE node_id = %(id)s",
        id=graph.node(exchanges[2])["node_id"],
    )
    assert found == [{"history": [user("0"), assistant("a0"), user("1"), assistant("a1"), user("2")]}]
