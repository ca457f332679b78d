"""Texts that a page must show and never execute, and a deployment with them in every field that others can write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.filled_stack import FilledStack, node_of
from support.messages import assistant, system, told, user
from support.shop_talks import named

FOREIGN = "http://foreign.test"
TEXTS = (
    "<script>window.pwned = 1; alert(1)</script>",
    '"><img src=x onerror="window.pwned = 1">',
    "'><svg onload=window.pwned=1><animate onbegin=window.pwned=1 attributeName=x dur=1s></svg>",
    '<iframe srcdoc="<script>parent.pwned = 1</script>"></iframe><object data="javascript:window.pwned=1"></object>',
    "</textarea></title></style></script><script>window.pwned = 1</script>",
    f'<base href="{FOREIGN}"><meta http-equiv="refresh" content="0;url={FOREIGN}">',
    f"<link rel=stylesheet href={FOREIGN}/x><a href={FOREIGN}>leave</a>",
    f"<style>body {{ display: none; background: url({FOREIGN}/style) }}</style>",
    f"![picture]({FOREIGN}/pixel.png) ![p][ref]\n\n[ref]: {FOREIGN}/reference.png",
    "[click me](javascript:window.pwned=1) <javascript:window.pwned=1> [d](data:text/html,<script>alert(1)</script>)",
    "[x](vbscript:a) [y](JaVaScRiPt:window.pwned=1) [z](\tjavascript:window.pwned=1) [w](\x01javascript:alert(1))",
    f'<img src="{FOREIGN}/img" srcset="{FOREIGN}/set 2x"><video poster="{FOREIGN}/poster"><audio src="{FOREIGN}/a">',
    "{{constructor.constructor('window.pwned = 1')()}} ${window.pwned = 1} <%= window.pwned = 1 %>",
    "\x1b[31mred\x1b[0m \x1b]8;;http://foreign.test\x07link\x1b]8;;\x07 \x9b2J bell \x07 back \x08\x08",
    "start \u202e\u2066reversed\u2069\u202c \u200f\u200b\u2060 end \ufeff",
    "Z\u0351\u036b\u0343\u0363\u0368A\u0334\u0335\u031e\u0345L\u0319\u0317G\u0338\u0321O"
    + "\u0300\u0301\u0302\u0303" * 200,
    "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466\U0001f1fa\U0001f1f8\u0bcc\u0da9\ufdfd",
    "__proto__ constructor toString hasOwnProperty null undefined NaN",
    "=cmd|' /C calc'!A0\n+1+1\n@SUM(1)\n-2",
    "lone \ud800 surrogates \udc00\ud800, a NUL \x00, and \ufffe \uffff",
    "W" * 4_000,
)
LONG_LINE = "long " * 200_000  # a megabyte without a line break
DEEP = ">" * 3_000 + "[" * 3_000 + "*" * 3_000 + "`" * 3_000 + "|" * 3_000
EVIL = TEXTS[1]
_TOOL = {"type": "function", "function": {"name": "run", "description": TEXTS[0], "parameters": {"title": EVIL}}}


def naughty_strings(data: Path) -> list[str]:
    """The big list of naughty strings, where the recorded conversations are; else nothing."""
    file = data / "hostile-input" / "blns.json"
    return [text for text in json.loads(file.read_text("utf-8")) if text.strip()] if file.is_file() else []


def fill_with_hostile_texts(stack: FilledStack, more: list[str]) -> None:
    """Texts of others everywhere: in messages, in names of models, tools, themes, tasks and clusters, in answers."""
    client, shown = stack.client, stack.shown
    who = named("evil-session", EVIL, task=TEXTS[0])
    history: list[dict[str, Any]] = [system(TEXTS[3])]
    stack.deployment.model.said = EVIL
    for text in (*TEXTS, LONG_LINE, DEEP, "\n".join(more) or "nothing more"):
        stack.deployment.model.said = text
        history.append(user(text))
        _, answer = client.call(history, who, model="thinker" if len(text) % 2 else EVIL)
        history.append(answer)
    stack.deployment.model.said = TEXTS[2]
    for temperature in (0.1, 1.1):
        client.call(history[:2], who, model=EVIL, temperature=temperature)
    _, calls = client.call([user(EVIL)], who, tools=[_TOOL])
    client.call([user(EVIL), calls, told(calls["tool_calls"][0]["id"], TEXTS[0])], who, tools=[_TOOL])
    _import(stack)
    stack.wait()
    shown.node = node_of(stack.deployment, client.turns[0])
    (row,) = stack.deployment.ask(
        "SELECT session_id FROM conversation_branch_nodes WHERE node_id = %(node)s", node=shown.node
    )
    shown.session = str(row["session_id"])
    stack.deployment.model.said = EVIL
    stack.command("replay", shown.node, "--system", EVIL, "--model", TEXTS[0], "--samples", "2")
    for command in (
        ("lineage", "build"),
        ("evaluate", "units"),
        ("evaluate", "pairs"),
        ("evaluate", "embed"),
        ("clusters", "refit"),
        ("categories", "list"),
        ("pivots",),
        ("queue", "fill"),
    ):
        stack.command(*command)
    recipe = stack.deployment.folder / "evil.toml"
    about = json.dumps(EVIL)
    recipe.write_text(
        f'name = "evil"\nkind = "sft"\ndescription = {about}\n[source]\nmin_score = 0.0\nlabels = ["signals"]\n'
    )
    shown.snapshots = [str(stack.command("dataset", "freeze", str(recipe))["snapshot_id"])] * 3
    shown.plan = str(stack.deployment.ask("SELECT plan_id FROM replay_plan LIMIT 1")[0]["plan_id"])
    shown.cluster = str(stack.command("clusters", "list")["items"][0]["cluster_id"])
    stack.command("clusters", "rename", shown.cluster, EVIL, "--reviewer", "ann")


def _import(stack: FilledStack) -> None:
    """Conversations of a file, with names and keys that mean ill, and two answers that annotators compared."""
    lines = [
        {
            "id": f"{text}/{number}",
            "source": text,
            "model": text,
            "messages": [user(f"{text} {number}"), assistant(text)],
        }
        for number, text in enumerate(TEXTS * 2)
    ]
    pairs = [
        {"idx": number, "instruction": text, "input": "", "response1": text, "response2": EVIL, "annotator1": 1}
        for number, text in enumerate(TEXTS)
    ]
    for name, rows in (("evil-messages", lines), ("evil-pairs", pairs)):
        file = stack.deployment.folder / f"{name}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        stack.command("import", str(file), "--theme", TEXTS[0])
