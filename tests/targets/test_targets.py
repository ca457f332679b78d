"""Exported rows as the trainers' own converters read them: their result equals the recorded branches.

LLaMA-Factory, axolotl and `datasets` live in their own environment, and are started as a program (readers.py).
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from regraft.domain.datasets.formats import FORMATS
from regraft.domain.datasets.formats.features import features_yaml
from regraft.domain.datasets.formats.format import write_row
from regraft.domain.datasets.messages import Message, RowRefusal
from regraft.domain.datasets.rows import Row
from regraft.flows.datasets.export import export
from regraft.flows.datasets.freeze import Frozen, freeze
from regraft.infra.postgres.pool import transaction
from support.rows import TOOLS, calls, result, row, says
from support.small_graph import SmallGraph, every_kind, many_choices

REPOSITORY = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("REGRAFT_TARGETS_PYTHON") or REPOSITORY / ".venv-targets" / "bin" / "python")
if not PYTHON.exists() and os.environ.get("CI") != "true":
    pytest.skip("the converters are not installed: run `make test-targets`", allow_module_level=True)

ROWS = 150
TEXTS = (
    "What is the weather in Oslo?",
    "  blanks around  ",
    "two\nlines\n",
    "a {{content}} and {{idx}} in braces",
    "<think>\nloud\n</think>\n\nIt snows.",
    "<tool_call>{}</tool_call>",
    '[{"name": "weather", "arguments": {}}]',
    "Grüße, 東京, 🌨, \u2028 and a tab\t",
    "<image> is a tag",
    "[[dummy_message]]",
    "user",
    "Yes",
    "",
)
ARGUMENTS = (
    '{"city": "Oslo"}',
    "{}",
    '{"city": null, "days": [1, null, {"a": null}]}',
    '{"big": 12345678901234567890123, "small": 1e-7, "x": 1.0}',
    '{"text": "</tool_call> and <tool_call>"}',
    '{"text": "\\u2028 \\"quoted\\""}',
    "[1]",
)


def read(reader: str, folder: Path, *more: str) -> list[Any]:
    """What a reader makes of the files in a folder, a value for each row."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [str(PYTHON), str(Path(__file__).with_name("readers.py")), reader, str(folder), *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def files(folder: Path, target: str, rows: Iterable[Row], name: str = "talks") -> list[Row]:
    """Write the rows that a target can hold, and its companions; the rows that were written."""
    folder.mkdir()
    kept, lines = [], []
    for one in rows:
        line = write_row(FORMATS[target], one)
        if not isinstance(line, RowRefusal):
            kept.append(one)
            lines.append(line + "\n")
    (folder / "train.jsonl").write_text("".join(lines), "utf-8")
    (folder / "README.md").write_text(card(target, kept[0].kind), "utf-8")
    for file, content in FORMATS[target].companions(name, kept[0].kind, ["train.jsonl"]).items():
        (folder / file).write_text(content, "utf-8")
    return kept


def card(target: str, kind: str) -> str:
    """What the card of an export says to `datasets`."""
    types = features_yaml(FORMATS[target].features(kind, last_only=False), "  ")
    files_of = "configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: train.jsonl"
    return f"---\n{files_of}\ndataset_info:\n  config_name: default\n  features:\n{types}\n---\n"


def conversation(dice: random.Random, number: int, *, words_alone: bool = False) -> tuple[Message, ...]:
    """A conversation of any shape that is legal; every answer holds its own mark."""
    messages: list[Message] = []
    if dice.random() < 0.4:
        messages.append(says("system", dice.choice(("Be brief.", "Be long.\n", ""))))
    for turn in range(dice.randint(1, 3)):
        messages.append(says("user", dice.choice(TEXTS)))
        more: dict[str, Any] = {}
        if dice.random() < 0.25 and not words_alone:
            more["reasoning"] = dice.choice(("hm", "first\nthen", "</think> is a mark"))
        if dice.random() < 0.2:
            more["weight"] = 0.0
        if dice.random() < 0.4 and not words_alone:
            count = 1 if dice.random() < 0.8 else 2
            arguments = [dice.choice(ARGUMENTS[:2] if dice.random() < 0.6 else ARGUMENTS) for _ in range(count)]
            content = dice.choice((None, "", "Let me see.", f"mark {number}.{turn}a"))
            messages.append(calls(*arguments, content=content, **more))
            messages += [result(dice.choice(TEXTS), place) for place in range(count)]
        messages.append(says("assistant", f"{dice.choice(TEXTS)} mark {number}.{turn}", **more))
    if messages[-1]["weight"] is not None:
        messages[-1] = {**messages[-1], "weight": None}
    return tuple(messages)


def talks() -> list[Row]:
    dice = random.Random(11)
    return [
        row("sft", messages=conversation(dice, number), tools=TOOLS if dice.random() < 0.5 else None)
        for number in range(ROWS)
    ]


def pairs(kind: str = "dpo") -> list[Row]:
    dice = random.Random(12)
    made = []
    for number in range(ROWS):
        words_alone = dice.random() < 0.5
        *prompt, chosen = conversation(dice, number, words_alone=words_alone)
        plain = words_alone or dice.random() < 0.5
        rejected = says("assistant", dice.choice(TEXTS)) if plain else calls(dice.choice(ARGUMENTS))
        shown = tuple({**one, "weight": None} for one in prompt)
        tools = TOOLS if dice.random() < 0.3 and not words_alone else None
        made.append(row(kind, prompt=shown, chosen=chosen, rejected=rejected, tools=tools))
    return made


def as_llamafactory(message: Message) -> dict[str, Any]:
    """A message as LLaMA-Factory has to see it, from the branch alone."""
    roles = {"user": "user", "tool": "observation", "assistant": "function" if message["tool_calls"] else "assistant"}
    thought = f"<think>\n{message['reasoning']}\n</think>\n\n" if message["reasoning"] is not None else ""
    said: dict[str, Any] = {"role": roles[message["role"]], "content": thought + (message["content"] or "")}
    if message["tool_calls"]:
        said["calls"] = [
            [call["function"]["name"], json.loads(call["function"]["arguments"])] for call in message["tool_calls"]
        ]
    return said


def halves(messages: Iterable[Message]) -> tuple[str, list[dict[str, Any]]]:
    """The system prompt, and the rest as LLaMA-Factory sees it."""
    listed = list(messages)
    system = listed.pop(0)["content"] if listed[0]["role"] == "system" else ""
    return system, [as_llamafactory(message) for message in listed]


def test_llamafactory_reads_conversations_as_they_were(tmp_path: Path) -> None:
    kept = files(tmp_path / "out", "llamafactory", talks())
    assert len(kept) > ROWS / 5
    assert any(message["tool_calls"] for one in kept for message in one.messages)
    read_rows = read("llamafactory", tmp_path / "out", "talks")
    for one, seen in zip(kept, read_rows, strict=True):
        system, turns = halves(one.messages)
        assert seen["system"] == system
        assert seen["tools"] == (one.tools or "")
        assert '"weather"' in seen["tools_text"] or not one.tools
        assert len(seen["response"]) == 1, "the converter dropped a row"
        assert len(seen["prompt"]) % 2 == 1, "the processor drops the row"
        assert [*seen["prompt"], *seen["response"]] == turns


@pytest.mark.parametrize("kind", ["dpo", "reward"])
def test_llamafactory_reads_both_sides_of_a_pair(kind: str, tmp_path: Path) -> None:
    kept = files(tmp_path / "out", "llamafactory", pairs(kind))
    assert len(kept) > ROWS / 6
    assert any(one.rejected[0]["tool_calls"] for one in kept)
    for one, seen in zip(kept, read("llamafactory", tmp_path / "out", "talks"), strict=True):
        assert (seen["system"], seen["prompt"]) == halves(one.prompt)
        assert seen["response"] == [as_llamafactory(one.chosen[0]), as_llamafactory(one.rejected[0])]


def test_llamafactory_reads_what_is_wanted_and_what_is_not(tmp_path: Path) -> None:
    rows = [
        row("suppression", prompt=one.prompt, completion=one.chosen, tools=one.tools, label=label)
        for one, label in zip(pairs(), ("true", "false") * ROWS, strict=False)
    ]
    kept = files(tmp_path / "out", "llamafactory", rows)
    for one, seen in zip(kept, read("llamafactory", tmp_path / "out", "talks"), strict=True):
        assert (seen["system"], seen["prompt"]) == halves(one.prompt)
        nothing = {"role": "assistant", "content": ""}
        wanted = [as_llamafactory(one.completion[0]), nothing]
        assert seen["response"] == (wanted if one.label == "true" else wanted[::-1])


def as_axolotl(message: Message) -> dict[str, Any]:
    """A message as axolotl has to hand it to a template, from the branch alone."""
    said: dict[str, Any] = {"role": message["role"]}
    if message["content"] is not None:
        said["content"] = message["content"]
    if message["reasoning"] is not None:
        said["reasoning_content"] = message["reasoning"]
    if message["weight"] is not None:
        said["training"] = False
    if message["tool_calls"]:
        said["tool_calls"] = [
            {
                "id": call["id"],
                "type": "function",
                "function": {
                    "name": call["function"]["name"],
                    "arguments": json.loads(call["function"]["arguments"]),
                },
            }
            for call in message["tool_calls"]
        ]
    return said


def test_axolotl_reads_conversations_and_learns_from_no_answer_that_is_masked(tmp_path: Path) -> None:
    kept = files(tmp_path / "out", "axolotl", talks())
    assert len(kept) > ROWS / 2
    assert any(message["weight"] == 0.0 for one in kept for message in one.messages)
    for one, seen in zip(kept, read("axolotl-sft", tmp_path / "out"), strict=True):
        assert seen["turns"] == [as_axolotl(message) for message in one.messages]
        assert seen["tools"] == (json.loads(one.tools) if one.tools else None)
        for message in one.messages:
            if message["role"] == "assistant" and "mark" in (message["content"] or ""):
                assert (message["content"] in seen["learned"]) is (message["weight"] is None)
            elif message["tool_calls"]:
                name = f'"name": "{message["tool_calls"][0]["function"]["name"]}"'
                assert name in seen["learned"] or message["weight"] is not None, "a call is not learned from"
            elif message["role"] != "assistant" and (message["content"] or "").startswith("What"):
                assert message["content"] in seen["text"]


def test_axolotl_finds_both_sides_in_what_each_of_its_templates_prints(tmp_path: Path) -> None:
    kept = files(tmp_path / "out", "axolotl", pairs())
    assert len(kept) >= 10
    templates = set()
    for one, by_template in zip(kept, read("axolotl-dpo", tmp_path / "out"), strict=True):
        assert {"chatml", "qwen_25", "llama3"} <= by_template.keys()
        for template, seen in by_template.items():
            templates.add(template)
            for side in ("chosen", "rejected"):
                said = getattr(one, side)[0]["content"]
                assert seen[side].startswith(said), template
                rest = seen[side].removeprefix(said)
                assert "mark" not in rest
                assert "dummy_message" not in rest
        chatml = by_template["chatml"]
        assert chatml["prompt"].endswith("<|im_start|>assistant\n")
        for message in one.prompt:
            assert message["content"] in chatml["prompt"]
    assert len(templates) > 10


RECIPES = {
    "sft": 'name = "talks"\nkind = "sft"\n[splits]\ntrain = 0.8\nvalidation = 0.2\n',
    "dpo": 'name = "pairs"\nkind = "dpo"\n[source]\nlabels = ["human", "signals"]\n[select]\nper_context = 0\n'
    "[splits]\ntrain = 0.8\nvalidation = 0.2\n",
    "reward": 'name = "pairs"\nkind = "reward"\n[source]\nlabels = ["human", "signals"]\n[select]\nper_context = 0\n',
    "suppression": 'name = "unwanted"\nkind = "suppression"\n[select]\nnegatives = ["hard_negative", "tool_misuse"]\n',
    "unlearning": 'name = "unwanted"\nkind = "unlearning"\n[select]\nnegatives = ["hard_negative", "tool_misuse"]\n',
}


@pytest.fixture
def frozen(truth: str, tmp_path: Path) -> Callable[[str], Frozen]:
    with transaction(truth) as connection:
        graph = SmallGraph(connection)
        every_kind(graph)
        many_choices(graph, 10)
    places = {"dsn": truth, "workbench": tmp_path / "workbench.duckdb", "warehouse": str(tmp_path / "warehouse")}
    return lambda kind: freeze(RECIPES[kind], **places)


@pytest.mark.parametrize("kind", list(RECIPES))
def test_datasets_loads_every_export_as_it_was_written(
    kind: str, frozen: Callable[[str], Frozen], truth: str, tmp_path: Path
) -> None:
    snapshot = frozen(kind)
    for target in (name for name, one in FORMATS.items() if kind in one.kinds):
        folder = tmp_path / target
        export(snapshot.snapshot_id, folder, dsn=truth, warehouse=str(tmp_path / "warehouse"), format=target)
        written = [
            (path.stem, json.loads(line))
            for path in sorted(folder.glob("*.jsonl"))
            for line in path.read_text("utf-8").split("\n")[:-1]
        ]
        loaded = [(one["split"], without_nulls(one["row"])) for one in read("datasets", folder)]
        assert sorted(map(repr, loaded)) == sorted(map(repr, [(split, without_nulls(one)) for split, one in written]))


def without_nulls(record: dict[str, Any]) -> dict[str, Any]:
    """A record without the columns that hold nothing, keys in one order."""
    return {key: record[key] for key in sorted(record) if record[key] is not None}


def test_datasets_takes_keys_and_arguments_that_only_late_rows_have(tmp_path: Path) -> None:
    long = "word " * 500
    first = row("sft", messages=(says("user", long), says("assistant", "Yes.")))
    late = row("sft", messages=(says("user", "?"), calls('{"a": {"b": null}}', weight=None)), tools=TOOLS)
    for target in ("trl", "openai", "axolotl"):
        folder = tmp_path / target
        folder.mkdir()
        lines = [line for one in (*([first] * 5000), late) if isinstance(line := write_row(FORMATS[target], one), str)]
        (folder / "train.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
        (folder / "README.md").write_text(card(target, "sft"), "utf-8")
        *_, last = read("datasets", folder)
        assert without_nulls(last["row"]) == without_nulls(json.loads(lines[-1]))
