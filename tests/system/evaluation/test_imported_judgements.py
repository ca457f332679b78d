"""Judgements that come with an import decide pairs: exactly those that a count over the files themselves gives."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import zstandard

from regraft.domain.datasets.rows import Row
from regraft.flows.capture.importing import import_files
from regraft.flows.datasets.assembly import assemble
from regraft.flows.evaluation.pairs import propose_pairs
from regraft.infra.duckdb.evaluation.workbench import Workbench
from regraft.infra.files.recipes import parse_recipe

DPO = """
name = "imported"
kind = "dpo"
[source]
purposes = ["import"]
[select]
per_context = 0
"""
Sides = tuple[str, str, str]  # the last question, the better answer, the worse one


class Made(NamedTuple):
    """The rows of a recipe, and how many candidates were refused by reason."""

    rows: list[Row]
    refused: Counter[str]


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    return tmp_path / "workbench.duckdb"


@pytest.fixture
def rows(truth: str, bench: Path) -> Callable[..., Made]:
    def made(recipe: str = DPO) -> Made:
        with assemble(parse_recipe(recipe), truth, bench) as assembly:
            return Made(list(assembly.rows.rows()), +assembly.counts.refused)

    return made


def written(path: Path, lines: Iterable[Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def raw(path: Path) -> list[Any]:
    with path.open("rb") as file:
        text = zstandard.ZstdDecompressor().stream_reader(file).read().decode()
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def sides(assembly: Made) -> Counter[Sides]:
    assert {row.label_source for row in assembly.rows} <= {"imported"}
    return Counter(
        (row.prompt[-1]["content"], row.chosen[-1]["content"], row.rejected[-1]["content"]) for row in assembly.rows
    )


def verdicts(bench: Path) -> dict[str, int]:
    return dict(Counter(pair["reason"] or "legal" for pair in Workbench(bench).pairs()))


def hh(human: str, answer: str) -> str:
    return f"\n\nHuman: {human}\n\nAssistant: {answer}"


def test_preferences_give_the_pairs_of_their_lines_and_no_others(truth, rows, bench, tmp_path) -> None:
    """Three answers to one question over two lines: the two that were never compared are not a pair."""
    lines = [
        {"chosen": hh("Q?", "good " * 3), "rejected": hh("Q?", "ok")},
        {"chosen": hh("Q?", "ok"), "rejected": hh("Q?", "bad words that are longer than the others")},
        {"chosen": hh("P?", "yes"), "rejected": hh("P?", "no")},
        {"chosen": hh("P?", "no"), "rejected": hh("P?", "yes")},
        {"chosen": hh("R?", "same"), "rejected": hh("R?", "same")},
    ]
    counts = import_files(truth, [written(tmp_path / "hh.jsonl", lines)])
    assert (counts.conversations, counts.judgements) == (5, 10)
    assert sides(rows()) == Counter(
        [("Q?", "good good good", "ok"), ("Q?", "ok", "bad words that are longer than the others")]
    )
    assert verdicts(bench) == {"legal": 2, "no_preference": 1, "judged_equal": 1}
    assert sides(rows(DPO.replace("[select]", 'labels = ["signals", "imported"]\n[select]'))) == sides(rows())
    again = import_files(truth, [tmp_path / "hh.jsonl"])
    assert (again.already, again.judgements) == (5, 0)


def test_votes_of_annotators_are_counted_and_ties_are_no_pair(truth, rows, bench, tmp_path) -> None:
    def line(number: int, one: Any, two: Any, *votes: int) -> dict[str, Any]:
        cast = {f"annotator{place}": vote for place, vote in enumerate(votes, start=1)}
        return {"idx": number, "instruction": f"Do {number}", "input": "", "response1": one, "response2": two, **cast}

    lines = [
        *[
            line(0, "a", "b", 2, 2, 2),
            line(1, "a", "b", 1, 1, 0),
            line(2, "a", "b", 0, 0, 1),
            line(3, "a", "b", 0, 1, 2),
        ],
        *[line(4, "", "b", 2, 2, 2), line(5, True, "b", 1, 1, 1)],
    ]
    counts = import_files(truth, [written(tmp_path / "pandalm.jsonl", lines)])
    assert (counts.forms, counts.judgements) == ({"annotated_pairs": 5}, 30)
    assert counts.refused == {"an answer that is not text": 1}
    found = rows()
    assert sides(found) == Counter([("Do 0", "b", "a"), ("Do 1", "a", "b")])
    assert sorted(row.margin for row in found.rows) == [0.666667, 1.0]
    assert verdicts(bench) == {"legal": 2, "judged_equal": 2, "no_answer": 1}
    pair = next(pair for pair in Workbench(bench).pairs() if pair["margin"] == 1.0)
    assert (pair["given_by"], pair["decided_by"].split(", ")[0]) == ("person", "annotated_pairs: annotator1")


def test_a_failed_path_is_no_target_unless_a_recipe_asks(truth, rows, tmp_path) -> None:
    def line(number: int, answer: str, **outcome: Any) -> dict[str, Any]:
        said = [{"role": "user", "content": f"Task {number}"}, {"role": "assistant", "content": answer}]
        return {"id": f"{number}", "source": "bench", "messages": said, "outcome": outcome}

    lines = [
        line(0, "done", reward=1.0),
        line(1, "failed", reward=0.0),
        line(2, "half", reward=0.5),
        line(3, "unknown"),
    ]
    import_files(truth, [written(tmp_path / "runs.jsonl", lines)])
    recipe = DPO.replace("dpo", "sft")

    def answers(text: str) -> list[tuple[str, str]]:
        found = assemble_of(text)
        return sorted((row.messages[-1]["content"], row.label_source) for row in found.rows)

    def assemble_of(text: str) -> Made:
        made: Made = rows(text)
        return made

    assert answers(recipe) == [("done", "imported"), ("half", "imported"), ("unknown", "none")]
    assert assemble_of(recipe).refused == {"outcome_below_minimum": 1}
    assert len(answers(recipe.replace("[select]", "min_outcome = 0.0\n[select]"))) == 4


@pytest.mark.corpus
def test_every_pair_of_hh_is_a_row_with_its_own_sides(truth, rows, bench, recorded_corpus) -> None:
    file = recorded_corpus / "hh-rlhf-harmless" / "pairs.jsonl.zst"
    import_files(truth, [file])
    turns = re.compile(r"\n\n(Human|Assistant):")
    votes: dict[tuple[str, frozenset[str]], list[tuple[str, str]]] = defaultdict(list)
    for line in raw(file):
        said = {}
        for side in ("chosen", "rejected"):
            parts = turns.split(line[side])
            said[side] = [words.strip() for words in parts[2::2]]
        (better, *_), (worse, *_) = said["chosen"][::-1], said["rejected"][::-1]
        if said["chosen"][:-1] == said["rejected"][:-1] and better and worse and better != worse:
            votes[(json.dumps(said["chosen"][:-1]), frozenset((better, worse)))].append((better, worse))
    expected = Counter()
    for (history, _), given in votes.items():
        (first, count), *others = Counter(given).most_common()
        if not others or others[0][1] < count:
            expected[(json.loads(history)[-1], *first)] += 1
    found = Counter((q.strip(), a.strip(), b.strip()) for q, a, b in sides(rows()).elements())
    assert found == expected
    assert len(expected) == 199  # one line of the 200 ends without an answer


@pytest.mark.corpus
@pytest.mark.parametrize("name", ["trees.jsonl.zst", "conversations.jsonl.zst"])
def test_ranks_of_oasst_give_every_pair_of_different_ranks(truth, rows, bench, recorded_corpus, name) -> None:
    import_files(truth, [recorded_corpus / "oasst-trees" / name])
    expected: Counter[Sides] = Counter()
    for tree in raw(recorded_corpus / "oasst-trees" / "trees.jsonl.zst"):
        waiting = [tree["prompt"]]
        while waiting:
            asked = waiting.pop()
            replies = asked.get("replies") or []
            waiting.extend(replies)
            ranked = [each for each in replies if each.get("rank") is not None and each["role"] == "assistant"]
            for one, other in combinations(sorted(ranked, key=lambda each: each["rank"]), 2):
                if one["rank"] != other["rank"] and one["text"] != other["text"]:
                    expected[(asked["text"], one["text"], other["text"])] += 1
    assert sum(expected.values()) > 0
    assert sides(rows()) == expected


@pytest.mark.corpus
def test_votes_of_pandalm_give_the_pairs_of_their_majorities(truth, rows, bench, recorded_corpus) -> None:
    file = recorded_corpus / "pandalm" / "pairs.jsonl.zst"
    counts = import_files(truth, [file])
    ballots: dict[tuple[str, frozenset[str]], list[str | None]] = defaultdict(list)
    unreadable = 0
    for line in raw(file):
        one, two = line["response1"], line["response2"]
        if not isinstance(one, str) or not isinstance(two, str):
            unreadable += 1
            continue
        if one.strip() and two.strip() and one != two:
            asked = f"{line['instruction']}\n{line['input']}" if line["input"] else line["instruction"]
            cast = [{0: None, 1: one, 2: two}[line[f"annotator{place}"]] for place in (1, 2, 3)]
            ballots[(asked, frozenset((one, two)))] += cast
    expected: Counter[Sides] = Counter()
    for (asked, answers), cast in ballots.items():
        (winner, count), *others = Counter(cast).most_common()
        if winner is not None and not (others and others[0][1] == count):
            (loser,) = answers - {winner}
            expected[(asked, winner, loser)] += 1
    assert counts.refused == {"an answer that is not text": unreadable}
    assert sides(rows()) == expected


@pytest.mark.corpus
@pytest.mark.parametrize("name", ["tau-bench-airline", "tau2-bench"])
def test_rewards_of_runs_give_the_pairs_of_last_answers_to_one_history(
    truth, rows, bench, recorded_corpus, name
) -> None:
    file = recorded_corpus / name / "conversations.jsonl.zst"
    import_files(truth, [file])
    ends: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in raw(file):
        said = line["messages"]
        last = max((at for at, each in enumerate(said) if each["role"] == "assistant"), default=0)
        if last and line["outcome"]["reward"] is not None:
            history = json.dumps(said[:last], sort_keys=True)
            ends[history][json.dumps(said[last], sort_keys=True)].append(float(line["outcome"]["reward"]))
    expected = sum(
        sum(one) / len(one) != sum(other) / len(other)
        for answers in ends.values()
        for one, other in combinations(answers.values(), 2)
    )
    propose_pairs(truth, bench)
    legal = [pair for pair in Workbench(bench).pairs() if pair["verdict"] == "legal" and pair["source"] == "imported"]
    assert len(legal) == expected


@pytest.mark.corpus
def test_labels_of_hh_that_stand_in_lines_of_their_own_are_compared_within_their_group(
    truth, rows, bench, recorded_corpus
) -> None:
    import_files(truth, [recorded_corpus / "hh-rlhf-harmless" / "conversations.jsonl.zst"])
    groups: dict[str, dict[bool, list[Any]]] = defaultdict(dict)
    for line in raw(recorded_corpus / "hh-rlhf-harmless" / "conversations.jsonl.zst"):
        groups[line["group"]][line["outcome"]["preferred"]] = line["messages"]
    expected = Counter(
        (said[True][-2]["content"], said[True][-1]["content"], said[False][-1]["content"])
        for said in groups.values()
        if said[True][:-1] == said[False][:-1]
        and said[True][-1]["content"].strip()
        and said[False][-1]["content"].strip()
        and said[True][-1]["content"] != said[False][-1]["content"]
        and said[True][-1]["role"] == said[False][-1]["role"] == "assistant"
    )
    assert sides(rows()) == expected
