"""Names that clients give their sessions part conversations that open alike, in whatever order their calls arrive."""

from __future__ import annotations

import json
import random

import pytest

from regraft.flows.lineage import reading, reprojection
from support.messages import assistant, user

CLAUDE, AGENT, PARENT = "x-claude-code-session-id", "x-claude-code-agent-id", "x-claude-code-parent-agent-id"


def by(**headers):
    return {"client_headers": json.dumps({name.replace("_", "-"): value for name, value in headers.items()})}


def claude(session, agent=None, parent=None):
    headers = {CLAUDE: session, AGENT: agent, PARENT: parent}
    return {"client_headers": json.dumps({name: value for name, value in headers.items() if value})}


def talk(calls, who, opening="/init", answers=("a", "b", "c"), **fields):
    """A conversation of one client, each call with all that was said before."""
    said, made = [user(opening)], []
    for answer in answers:
        made.append(calls(list(said), answer, who=who, **fields))
        said += [assistant(answer), user(f"after {answer}")]
    return made


def test_equal_openings_under_different_names_are_different_sessions(graph, calls):
    first, second = talk(calls, claude("s-1")), talk(calls, claude("s-2"))
    unnamed = talk(calls, {})
    graph.take(*first, *second, *unnamed)
    sessions = [{graph.session(each) for each in one} for one in (first, second, unnamed)]
    assert [len(one) for one in sessions] == [1, 1, 1]
    assert len(set.union(*sessions)) == 3
    rows = graph.ask("SELECT external_id, evidence FROM session ORDER BY external_id NULLS LAST")
    assert [tuple(row.values()) for row in rows] == [
        ("s-1", "named_opening"),
        ("s-2", "named_opening"),
        (None, "opening"),
    ]
    graph.check()


def test_a_name_does_not_join_conversations_that_open_differently(graph, calls):
    main, other = talk(calls, claude("s-1")), talk(calls, claude("s-1"), opening="another matter")
    graph.take(*main, *other)
    assert graph.session(main[0]) == graph.session(main[2]) != graph.session(other[0])


def test_agents_of_one_session_with_one_task_are_conversations_of_their_own(graph, calls):
    agents = [talk(calls, claude("s-1", agent), opening="look around") for agent in ("a-1", "a-2")]
    graph.take(*agents[0], *agents[1])
    names = graph.ask("SELECT external_id FROM conversation_sessions ORDER BY 1")
    assert [row["external_id"] for row in names] == ["s-1/a-1", "s-1/a-2"]


@pytest.mark.parametrize(
    "fields",
    [
        {"metadata": {"user_id": "user_1_account_2_session_s-1"}},
        {"metadata": {"session_id": "s-1"}},
        {"prompt_cache_key": "s-1"},
    ],
)
def test_a_name_in_the_body_parts_like_one_in_a_header(graph, calls, fields):
    named, other = calls([user("/init")], "a", **fields), calls([user("/init")], "a", who=by(session_id="s-2"))
    same = calls([user("/init")], "b", who=claude("s-1"))
    graph.take(named, other, same)
    assert graph.session(named) == graph.session(same) != graph.session(other)


def test_our_own_header_wins_over_what_a_client_says(graph, calls):
    mine = [calls([user("/init")], "a", who={**claude(name), "session": "mine"}) for name in ("s-1", "s-2")]
    graph.take(*mine)
    assert graph.session(mine[0]) == graph.session(mine[1])


def test_the_call_keeps_what_it_was_named_by(graph, calls):
    call = calls([user("/init")], "a", who=claude("s-1", "a-2", "a-1"))
    graph.take(call)
    (row,) = graph.ask("SELECT identity FROM pipeline_event_inbox")
    assert (
        row["identity"].items()
        >= {
            "client": "claude_code",
            "client_session": "s-1",
            "agent": "a-2",
            "parent_agent": "a-1",
        }.items()
    )


@pytest.mark.parametrize("seed", range(6))
def test_any_order_and_any_batching_of_named_calls_give_the_same_tables(graph, calls, seed):
    rnd = random.Random(seed)
    exchanges = []
    for _ in range(rnd.randint(3, 6)):
        who = rnd.choice([claude("s-1"), claude("s-2"), claude("s-1", "a-1"), claude("s-1", "a-2", "a-1"), {}])
        answers = [rnd.choice("ab") for _ in range(rnd.randint(1, 3))]
        exchanges += talk(calls, who, rnd.choice(["/init", "look around"]), answers)
    graph.take(*exchanges)
    graph.check()
    expected, links = graph.graph(), graph.ask("SELECT * FROM turn_link ORDER BY to_turn_id, evidence")
    for _ in range(3):
        graph.forget()
        order = rnd.sample(exchanges, len(exchanges))
        while order:
            size = rnd.randint(1, 4)
            graph.take(*order[:size])
            order = order[size:]
        graph.check()
        assert graph.graph() == expected
        assert graph.ask("SELECT * FROM turn_link ORDER BY to_turn_id, evidence") == links


def test_names_survive_another_version_of_the_projection_and_back(graph, calls):
    graph.take(*talk(calls, claude("s-1")), *talk(calls, claude("s-2", "a-1")), *talk(calls, {}))
    before = graph.graph()
    assert reprojection.rebuild(graph.dsn).identical
    turned = reprojection.rebuild(graph.dsn, 1)
    assert (turned.sessions.split, turned.sessions.merged) == (0, 0)
    names = [row["external_id"] for row in graph.ask("SELECT external_id FROM conversation_sessions ORDER BY 1")]
    assert names == ["s-1", "s-2/a-1", None]
    reprojection.rebuild(graph.dsn, turned.version_before)
    assert graph.graph("build") == before


def test_a_side_call_has_its_purpose_wherever_it_is_stored(graph, calls):
    chat = calls([user("bread?")], "Mix and bake.", who=claude("s-1"))
    title = calls([user("Please write a 5-10 word title: bread?")], "Bread", who=claude("s-1"))
    own = calls([user("Please write a 5-10 word title: bread?")], "Bread", who={"purpose": "titles"})
    graph.take(chat, title, own)
    runs = {str(row["event_id"]): row["purpose"] for row in graph.ask("SELECT * FROM execution_run_records")}
    assert [runs[str(each.event_id)] for each in (chat, title, own)] == ["chat", "side:title", "titles"]


def test_side_calls_are_listed_apart(graph, calls):
    chat = calls([user("bread?")], "Mix and bake.", who=claude("s-1"))
    title = calls([user("Please write a 5-10 word title: bread?")], "Bread", who=claude("s-1"))
    graph.take(chat, title)
    listed = {side: reading.sessions(graph.dsn, side=side) for side in (None, True, False)}
    assert len(listed[None]) == 2
    assert [(row["session_id"], row["purposes"]) for row in listed[True]] == [(graph.session(title), ["side:title"])]
    assert [(row["session_id"], row["purposes"]) for row in listed[False]] == [(graph.session(chat), ["chat"])]


def test_an_agents_conversation_is_linked_to_the_one_that_started_it(graph, calls):
    main = talk(calls, claude("s-1"))
    agent = talk(calls, claude("s-1", "a-1"), "look around")
    nested = talk(calls, claude("s-1", "a-2", "a-1"), "look closer")
    stranger = talk(calls, claude("s-2", "a-1"), "look around")
    for order in ((main, agent, nested, stranger), (nested, stranger, agent, main)):
        for one in order:
            graph.take(*reversed(one))
        links = graph.ask(
            "SELECT from_turn_id, to_turn_id FROM session_link WHERE evidence = 'client_agent' ORDER BY started_at"
        )
        assert [tuple(row.values()) for row in links] == [
            (main[-1].event_id, agent[0].event_id),
            (agent[-1].event_id, nested[0].event_id),
        ]
        graph.forget()
