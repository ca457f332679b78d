"""Similar conversations that are not the same: each group must give as many trees as it has conversations."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

Message = dict[str, Any]
Said = list[Message]

_BOILERPLATE = (
    "Thank you for your message. Our office is open from Monday to Friday; a member of the team will answer you within "
    "two working days. In urgent cases please use the telephone."
)
_DOCUMENT = "Article 1. The tenant pays the rent on the third working day of each month. " * 12
_LONG = "The build fails since the lock file names a package twice; I will remove the older line and run it again."


def _system(text: str) -> Message:
    return {"role": "system", "content": text}


def _user(text: str) -> Message:
    return {"role": "user", "content": text}


def _assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}


def _calling(identity: str, arguments: str = "{}", name: str = "read") -> Message:
    function = {"name": name, "arguments": arguments}
    return {"role": "assistant", "tool_calls": [{"id": identity, "type": "function", "function": function}]}


def _told(identity: str, text: str) -> Message:
    return {"role": "tool", "tool_call_id": identity, "content": text}


def _number(literal: str) -> Said:
    """One of several ways on from the same words: a tool call that differs in one number."""
    call = _calling("call_1", f'{{"x": {literal}}}', "check")
    return [_system("You check sums."), _user("Check it."), call, _told("call_1", "yes"), _assistant("Yes.")]


def groups() -> dict[str, list[tuple[str, str | None, list[Said]]]]:
    """By name: conversations as (tenant, session name or None, paths)."""
    hello = [_user("hi"), _assistant("Hello! What can I do for you today?"), _user("Nothing."), _assistant("Fine.")]
    cafe = ["Where is the café?", "It is beside the church, the café with the green door and the two lamps.", "Thanks."]

    def talk(texts: list[str]) -> Said:
        return [_user(text) if at % 2 == 0 else _assistant(text) for at, text in enumerate([*texts, "Fine."])]

    def agent(first: str, ids: tuple[str, str]) -> Said:
        steps = [(_calling(one, json.dumps({"path": "a.py"})), _told(one, "text")) for one in ids]
        flat = [each for step in steps for each in step]
        return [_system("You mend builds."), _user(first), *flat, _assistant(_LONG)]

    def answered(first: str, *more: Message) -> Said:
        return [_system("You are an office."), _user(first), _assistant(_BOILERPLATE), *more]

    on = (_user("And on Saturday?"), _assistant(_BOILERPLATE), _user("Thanks."), _assistant(_BOILERPLATE))
    asked = [("How are you? {}", "I am well. {}"), ("Read the contract. {}", "It is about rent. {}")]
    pasted = [
        [
            _user(question.format(_DOCUMENT)),
            _assistant(answer.format(_LONG)),
            _user("Go on."),
            _assistant("That is all."),
        ]
        for question, answer in asked
    ]
    quoting = [
        [_user("Why does the build fail?"), _assistant(_LONG), _user("Do it."), _assistant("Done.")],
        [_user(f"A colleague got this answer: {_LONG}"), _assistant("It is right."), _user("Why?"), _assistant("So.")],
        [_user(f"> {_LONG}\n\nIs this true?"), _assistant(_LONG), _user("Really?"), _assistant("Yes.")],
    ]
    shown = [_user("Example: why does it fail?"), _assistant(_LONG)]
    same = "You help the customers of a shop for bicycles. Be brief and kind."
    spaces = ["a b", "a  b", "A b", "a b.", "    a b"]
    return {
        "two keys, the same words": [("one", None, [hello]), ("two", None, [hello])],
        "two names, the same words": [("t", "a", [hello]), ("t", "b", [hello]), ("t", None, [hello])],
        "one system prompt, other first words": [
            ("t", None, [[_system(same), _user(text), _assistant("Gladly."), _user("Thanks."), _assistant("Bye.")]])
            for text in ("My chain broke.", "My chain broke!", "my chain broke.", "My chain  broke.")
        ],
        "other system prompts, one first message": [
            ("t", None, [[_system(text), *hello]]) for text in ("You are kind.", "You are rude.", "You are kind")
        ],
        "composed and decomposed characters": [
            ("t", None, [talk([unicodedata.normalize(form, text) for text in cafe])]) for form in ("NFC", "NFD")
        ],
        "branches of one conversation that differ in a number": [
            ("t", None, [_number(literal) for literal in ("1", "1e-999", "0", "-1e-999", "2")])
        ],
        "white space and case within a line": [("t", None, [talk([text, _LONG, "on"])]) for text in spaces],
        "tool calls that are only numbered": [
            ("t", None, [agent(first, ("call_1", "call_2"))]) for first in ("Mend the build.", "Mend the tests.")
        ],
        "the same tool-call ids by accident": [
            ("t", None, [agent(first, ("call_h7Q2x0001ZkPq", "call_h7Q2x0002ZkPq"))]) for first in ("Mend.", "Break.")
        ],
        "the same long answers": [
            ("t", None, [answered("When do you open?", *on)]),
            ("t", None, [answered("Where are you?", *on)]),
            ("t", None, [answered("Who are you?", _user("Hm."), _assistant("Yes?"), *on)]),
        ],
        "the same document pasted": [("t", None, [said]) for said in pasted],
        "an answer of another conversation quoted": [("t", None, [said]) for said in quoting],
        "an example that another conversation gave as its answer": [
            ("t", None, [[_system("a"), *shown, _user("Go on."), _assistant("Done.")]]),
            ("t", None, [[_system("b"), *shown, _user("And mine?"), _assistant("The same.")]]),
        ],
        "a greeting that every conversation begins with": [
            (
                "t",
                None,
                [[_system(same), _assistant("Hello! How can I help you?"), *talk([text, "Gladly.", "Thanks."])]],
            )
            for text in ("My chain broke.", "My brakes squeal.", "Do you sell bells?")
        ],
        "windows that begin with an answer": [
            ("t", None, [[_system(same), *window, *talk(["Go on.", "Done.", "Thanks."])]])
            for window in ([_assistant("It is 5.")], [_calling("call_1"), _told("call_1", "7")], [_assistant("Ja.")])
        ],
        "roles": [
            ("t", None, [[{"role": role, "content": "Be brief."}, *hello]]) for role in ("system", "developer", "user")
        ],
        "harness tags that a user wrote about": [
            ("t", None, [talk([text, _LONG, "on"])]) for text in ("<system-reminder>", "</system-reminder>", "<b>a</b>")
        ],
        "instructions that differ beside the clock": [
            ("t", None, [[_system(text), *hello]])
            for text in (
                "It is 2026-03-01. Shop A opens at 9:00.",
                "It is 2026-03-02. Shop A opens at 10:00.",
                "It is 2026-03-03. Shop B, on May Street 3, has 12/24 months of warranty.",
                "It is 2026-03-03. Shop B, on May Street 4, has 12/36 months of warranty.",
                "It is 2026-03-03. Answer in version 1.2.3.",
                "It is 2026-03-03. Answer in version 1.2.4.",
                "It is 2026-03-03. You may march 10 soldiers.",
                "It is 2026-03-03. You may march 20 soldiers.",
            )
        ],
    }
