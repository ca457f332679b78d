"""Conversations as captured calls: small ones, and random ones with unusual behaviour of clients."""

from __future__ import annotations

import random
from dataclasses import replace
from uuid import UUID

from regraft.domain.lineage.history import session_by_name
from support.messages import assistant, calling, system, told, user

MINE = {"session": "mine"}


def again(calls, original, node, messages, answer, **more):
    """A replay of a node, as the replay flow makes it."""
    who = {"session": f"regraft:{original}", "purpose": "replay", "replay_node": str(node)}
    return calls(messages, answer, who={**who, **more.pop("who", {})}, **more)


def story_of_branches(calls, rnd: random.Random):
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


def chain(calls, length, answer="a"):
    """A conversation of ``length`` turns, one call each."""
    messages, exchanges = [user("0")], []
    for number in range(length):
        exchanges.append(calls(messages, f"{answer}{number}"))
        messages = [*messages, assistant(f"{answer}{number}"), user(f"{number + 1}")]
    return exchanges


LONG = "The build fails since the lock file names a package twice; I will remove the older line and run it again. ({})"
TASK = "Look through every file below src and list the functions that nobody calls, with the line of each. ({})"
TRACE = "00-{}-00f067aa0ba902b7-01"


def call_id(number):
    return f"call_h7Q2x{number:04d}ZkPq"


def agent(calls, tag="", steps=4, who=None):
    """A conversation of tool calls, and its history as far as it got."""
    history = [system("You mend builds."), user(f"Mend the build {tag}")]
    made = []
    for number in range(steps):
        answer = calling(call_id(number) + tag, path=f"{number}.py")
        made.append(calls(history, answer, who=who))
        history = [*history, answer, told(answer["tool_calls"][0]["id"], f"text {number}")]
    return made, history


def talk(calls, tag="", turns=4, who=None, opening="s"):
    history, made = [system(opening)], []
    for number in range(turns):
        history.append(user(f"{number}? {tag}"))
        made.append(calls(list(history), LONG.format(f"{tag}{number}"), who=who))
        history.append(assistant(LONG.format(f"{tag}{number}")))
    return made, history


def story_of_agents(calls, rnd):
    """Agents whose histories are replaced, that start others, in named and unnamed sessions, some with the same ids."""
    made, trace = [], "4bf92f3577b34da6a3ce929d0e0e4736"
    histories = [[system("s"), user(f"go {number}")] for number in range(rnd.randint(1, 3))]
    for number in range(rnd.randint(6, 12)):
        history = list(rnd.choice(histories))
        roll = rnd.random()
        if roll < 0.35 and len(history) > 4:
            keep = rnd.choice([2, 4])
            history = [system(rnd.choice("st")), user(f"summary {rnd.randint(0, 1)}"), *history[-keep:]]
        elif roll < 0.5:
            history = [system("sub"), user(TASK.format(rnd.randint(0, 2)))]
        if rnd.random() < 0.5:
            answer = calling(call_id(rnd.randint(0, 9)), prompt=TASK.format(rnd.randint(0, 2)))
        else:
            answer = assistant(LONG.format(rnd.randint(0, 9)))
        who = {"session": "named"} if rnd.random() < 0.2 else {}
        if made and rnd.random() < 0.2:
            who["parent_node"] = str(rnd.choice(made).event_id)
        if made and rnd.random() < 0.15:
            who = {"replay_node": str(rnd.choice(made).event_id), "purpose": "replay", "session": "named"}
        exchange = calls(history, answer, who=who)
        if rnd.random() < 0.3:
            exchange = replace(exchange, traceparent=TRACE.format(trace))
        made.append(exchange)
        calls_made = answer.get("tool_calls")
        next_message = told(calls_made[0]["id"], LONG.format(rnd.randint(0, 9))) if calls_made else user(f"on {number}")
        histories.append([*history, answer, next_message])
    return made
