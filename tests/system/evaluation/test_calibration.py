"""Judges compared with people: the same values as scikit-learn; biased judges are refused, and a good one is not."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import zstandard
from sklearn.metrics import cohen_kappa_score, f1_score

from regraft.domain.evaluation.agreement import corrected_prevalence
from regraft.domain.evaluation.calibration import PEOPLE, Admission, JudgeFigures, Requirement
from regraft.domain.evaluation.label_lines import LabelDefaults
from regraft.flows.capture.importing import import_files
from regraft.flows.datasets.assembly import assemble
from regraft.flows.evaluation.calibration import calibrate, calibrations, contrasts, disagreements, figures
from regraft.flows.evaluation.label_files import import_labels
from regraft.flows.evaluation.review import rate_unit
from regraft.flows.evaluation.trajectories import materialise_units
from regraft.infra.duckdb.evaluation.workbench import Workbench
from regraft.infra.files.recipes import parse_recipe
from regraft.infra.postgres.evaluation import judges as store
from regraft.infra.postgres.pool import connect
from support.planted import ANSWERS, CATEGORY, PAIRS, RATINGS, Planted

ASKED = Requirement()


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    return tmp_path / "workbench.duckdb"


@pytest.fixture
def planted(truth: str, bench: Path, tmp_path: Path) -> Planted:
    return Planted(truth, bench, tmp_path)


def of(bench: Path, judge: str, theme: str | None = None, **wanted: Any) -> JudgeFigures:
    (one,) = [
        each
        for each in figures(bench)
        if (each.judge, each.theme) == (judge, theme)
        and all(getattr(each, name) == value for name, value in wanted.items())
    ]
    return one


def test_the_figures_of_pairs_are_those_of_scikit_learn(planted: Planted, bench: Path) -> None:
    planted.pairs(120, longer=0.5)
    labels = ("a", "b", "equal", "both_bad")
    dice = random.Random(3)
    said = {}
    for pair in planted.judged():
        said[pair["pair_id"]] = planted.people(pair) if dice.random() < 0.7 else dice.choice(labels)
    planted.prefer(PAIRS, said)
    done = calibrate(planted.dsn, bench)
    assert (done.judges, done.items, done.stale) == (1, 120, 0)
    one = of(bench, PAIRS.name)
    theirs = [planted.people(pair) for pair in planted.judged()]
    judged = [said[pair["pair_id"]] for pair in planted.judged()]
    assert one.kappa == pytest.approx(cohen_kappa_score(theirs, judged), abs=1e-9)
    assert one.f1 == pytest.approx(f1_score(theirs, judged, average="macro"), abs=1e-9)
    assert one.accuracy == pytest.approx(sum(x == y for x, y in zip(theirs, judged, strict=True)) / 120, abs=1e-9)
    assert {
        (x, y): one.confusion[labels.index(x)][labels.index(y)] for x, y in set(zip(theirs, judged, strict=True))
    } == dict(Counter(zip(theirs, judged, strict=True)))
    assert one.kappa_low < one.kappa < one.kappa_high
    assert len(disagreements(bench, 1_000, judge=PAIRS.name)) == sum(
        x != y for x, y in zip(theirs, judged, strict=True)
    )
    assert one.components == 120
    (of_tenant,) = figures(bench, scope="default")
    assert asdict(of_tenant) == {**asdict(one), "scope": "default"}
    assert figures(bench, scope="other") == []


def test_the_figures_of_categories_and_ratings_are_those_of_scikit_learn(planted: Planted, bench: Path) -> None:
    planted.pairs(40, longer=0.5)
    materialise_units(planted.dsn, bench)
    units = Workbench(bench).units()
    dice = random.Random(5)
    human: dict[Any, tuple[int, bool]] = {
        unit["unit_id"]: (dice.randint(1, 5), dice.random() < 0.3) for unit in units[:60]
    }
    for unit_id, (rating, holds) in human.items():
        rate_unit(planted.dsn, unit_id, rating, "ann", categories=["overlong"] if holds else [])
    judged = {
        unit["unit_id"]: dice.random() < (0.8 if human.get(unit["unit_id"], (0, False))[1] else 0.2) for unit in units
    }
    rated = {
        unit["unit_id"]: min(5, max(1, human.get(unit["unit_id"], (3,))[0] + dice.randint(-1, 1))) for unit in units
    }
    planted.say(CATEGORY, {unit: {"overlong": int(holds)} for unit, holds in judged.items()})
    planted.say(RATINGS, {unit: {"rating": rating} for unit, rating in rated.items()})
    calibrate(planted.dsn, bench)
    theirs, said = [human[unit][1] for unit in human], [judged[unit] for unit in human]
    one = of(bench, CATEGORY.name, category="overlong")
    assert one.items == 60
    assert one.kappa == one.agreement == pytest.approx(cohen_kappa_score(theirs, said), abs=1e-9)
    assert one.f1 == pytest.approx(f1_score(theirs, said), abs=1e-9)
    share = sum(judged.values()) / len(judged)
    assert (one.judged, one.prevalence) == (80, pytest.approx(share))
    sensitivity = sum(x and y for x, y in zip(theirs, said, strict=True)) / sum(theirs)
    specificity = sum(not x and not y for x, y in zip(theirs, said, strict=True)) / (60 - sum(theirs))
    assert one.corrected_prevalence == pytest.approx(corrected_prevalence(share, sensitivity, specificity))
    graded = of(bench, RATINGS.name)
    wanted = cohen_kappa_score([human[unit][0] for unit in human], [rated[unit] for unit in human], weights="quadratic")
    assert graded.kappa == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("longer", [0.5, 0.85])
def test_biased_judges_are_refused_and_a_good_one_is_admitted(planted: Planted, bench: Path, longer: float) -> None:
    """Also where people prefer the longer answer so often that taking it always agrees with them."""
    planted.pairs(200, longer=longer)
    dice = random.Random(1)
    rules = {
        "good": lambda pair: planted.people(pair) if dice.random() < 0.95 else "equal",
        "longer": planted.longer,
        "first": lambda pair: "equal",  # what votes for the first place in both orders come to
        "coin": lambda pair: dice.choice("ab"),
        "constant": lambda pair: "a",
    }
    for name, rule in rules.items():
        judge = replace(PAIRS, name=name)
        planted.prefer(judge, {pair["pair_id"]: rule(pair) for pair in planted.judged()})
    calibrate(planted.dsn, bench)
    known = calibrations(bench)
    admitted = {
        name for name in rules if known.admit(ASKED, name, replace(PAIRS, name=name).version, "preference").admitted
    }
    assert admitted == {"good"}
    one = of(bench, "longer")
    assert one.longer_share == 1.0
    assert one.people_longer_share == pytest.approx(longer, abs=0.08)
    if longer > 0.8:
        assert one.kappa > 0.6
    assert one.agreement == pytest.approx(0.0, abs=1e-9)


def test_a_judge_that_rates_by_length_is_refused_though_people_like_long_answers(planted: Planted, bench: Path) -> None:
    planted.pairs(150, longer=0.5)
    materialise_units(planted.dsn, bench)
    units = Workbench(bench).units()
    dice = random.Random(9)
    wanted = {unit["unit_id"]: 4 if unit["answer_length"] > 40 else 2 for unit in units}
    human = {unit: max(1, min(5, rating + dice.choice((-1, 0, 0, 0, 1)))) for unit, rating in wanted.items()}
    for unit_id, rating in human.items():
        rate_unit(planted.dsn, unit_id, rating, "ann")
    long_ones = replace(RATINGS, name="long")
    planted.say(long_ones, {unit: {"rating": rating} for unit, rating in wanted.items()})
    careful = {unit: max(1, min(5, rating + dice.choice((-1, *[0] * 9)))) for unit, rating in human.items()}
    planted.say(RATINGS, {unit: {"rating": rating} for unit, rating in careful.items()})
    calibrate(planted.dsn, bench)
    biased, good = of(bench, "long"), of(bench, RATINGS.name)
    assert biased.kappa > 0.75
    assert biased.agreement < 0.3
    assert good.kappa > good.agreement > 0.6


def test_judges_are_contrasted_with_one_another_also_where_people_said_nothing(planted: Planted, bench: Path) -> None:
    planted.pairs(40, longer=0.5, people=False)
    pairs = planted.judged()
    one = {pair["pair_id"]: planted.people(pair) for pair in pairs}
    other = {pair["pair_id"]: planted.longer(pair) for pair in pairs[:30]}
    planted.prefer(replace(PAIRS, name="one"), one)
    planted.prefer(replace(PAIRS, name="other"), other)
    calibrate(planted.dsn, bench)
    (found,) = contrasts(bench)
    assert (found.judge, found.other, found.task, found.items) == ("one", "other", "preference", 30)
    labels = [(one[pair_id], said) for pair_id, said in other.items()]
    assert found.kappa == pytest.approx(cohen_kappa_score(*zip(*labels, strict=True)), abs=1e-9)
    assert found.same == pytest.approx(sum(a == b for a, b in labels) / 30)


def test_votes_show_how_often_the_order_decides(planted: Planted, bench: Path) -> None:
    planted.pairs(60, longer=0.5)
    pairs = planted.judged()
    planted.vote(PAIRS, pairs[:40], lambda pair, first: planted.people(pair))
    planted.vote(PAIRS, pairs[40:], lambda pair, first: first)
    calibrate(planted.dsn, bench)
    one = of(bench, PAIRS.name)
    assert one.flips == pytest.approx(20 / 60)
    right = sum(planted.people(pair) == "a" for pair in pairs[:40]) + sum(
        planted.people(pair) == "b" for pair in pairs[:40]
    )
    assert one.first_share == pytest.approx((right + 40) / 120)


def test_a_judge_that_favours_its_own_family_is_found(planted: Planted, bench: Path) -> None:
    planted.pairs(80, longer=0.5, models=("gpt-4o-mini", "claude-3"))
    judge = replace(PAIRS, model="openai/gpt-4o")
    planted.prefer(judge, {pair["pair_id"]: planted.of_model(pair, "gpt-4o-mini") for pair in planted.judged()})
    calibrate(planted.dsn, bench)
    one = of(bench, PAIRS.name)
    assert (one.own_pairs, one.own_share) == (80, 1.0)
    assert one.people_own_share == pytest.approx(0.5, abs=0.15)


def test_another_rubric_and_another_model_make_figures_stale(planted: Planted, bench: Path) -> None:
    planted.pairs(60, longer=0.5)
    right = {pair["pair_id"]: planted.people(pair) for pair in planted.judged()}
    planted.vote(PAIRS, planted.judged(), lambda pair, first: right[pair["pair_id"]])
    calibrate(planted.dsn, bench)
    assert of(bench, PAIRS.name).stale == ""
    assert calibrations(bench).admit(ASKED, PAIRS.name, PAIRS.version, "preference") == Admission(True, 1.0)
    planted.vote(PAIRS, planted.alone(3), lambda pair, first: "a", snapshot="big@fp2")
    calibrate(planted.dsn, bench)
    assert (of(bench, PAIRS.name).stale, of(bench, PAIRS.name).snapshots) == ("model", ("big@fp1",))
    assert calibrations(bench).admit(ASKED, PAIRS.name, PAIRS.version, "preference") == Admission(False)
    judged = [pair for pair in planted.judged() if pair["pair_id"] in right]
    planted.vote(replace(PAIRS, rubric="Another."), judged[:5], lambda pair, first: right[pair["pair_id"]])
    calibrate(planted.dsn, bench)
    assert {
        (each.judge_version == PAIRS.version, each.stale) for each in figures(bench) if each.judge == PAIRS.name
    } == {
        (True, "rubric"),
        (False, ""),
    }


def test_labels_by_models_never_count_as_those_of_people(planted: Planted, bench: Path) -> None:
    planted.pairs(30, longer=0.5, people=False)
    for name in ("one", "two"):
        planted.prefer(replace(PAIRS, name=name), {pair["pair_id"]: "a" for pair in planted.judged()})
    assert calibrate(planted.dsn, bench).figures == 0


def test_a_workbench_that_was_deleted_is_made_again_equal(planted: Planted, bench: Path) -> None:
    planted.pairs(60, longer=0.6)
    planted.vote(PAIRS, planted.judged(), lambda pair, first: planted.longer(pair))
    calibrate(planted.dsn, bench)
    before = [asdict(each) for each in figures(bench)]
    bench.unlink()
    calibrate(planted.dsn, bench)
    assert [asdict(each) for each in figures(bench)] == before != []


def test_drift_is_seen_between_the_two_halves_of_time(planted: Planted, bench: Path) -> None:
    planted.pairs(80, longer=0.5)
    pairs = planted.judged()
    planted.prefer(PAIRS, {pair["pair_id"]: planted.people(pair) for pair in pairs[:40]})
    planted.prefer(PAIRS, {pair["pair_id"]: planted.other(planted.people(pair)) for pair in pairs[40:]})
    calibrate(planted.dsn, bench)
    one = of(bench, PAIRS.name)
    assert one.kappa_early == pytest.approx(1.0)
    assert one.kappa_late < 0


def test_models_whose_judgements_were_imported_are_compared_with_annotators(
    truth: str, bench: Path, tmp_path: Path
) -> None:
    """What comes with an import calibrates on day one: annotators against each other, a model's scores against them."""
    lines, dice = [], random.Random(2)
    for number in range(60):
        votes = {f"annotator{place}": 1 if dice.random() < 0.9 else 2 for place in (1, 2, 3)}
        answers = {"response1": f"good {number}", "response2": f"bad {number} and more"}
        lines.append({"idx": number, "instruction": f"Do {number}", "input": "", **answers, **votes})
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    import_files(truth, [file])
    with connect(truth) as connection:
        rows = connection.execute(ANSWERS).fetchall()
    turns = {row["said"]: str(row["turn_id"]) for row in rows}
    reviews = [
        {
            "turn_a": turns[f"good {n}"],
            "turn_b": turns[f"bad {n} and more"],
            "preference": "a" if n % 10 else "b",
            "judge": "gpt-4",
        }
        for n in range(60)
    ]
    scores = [
        {
            "turn": turn,
            "rating": 8 if said.startswith("good") else 3,
            "scale_low": 1,
            "scale_high": 10,
            "judge": "claude-2",
        }
        for said, turn in turns.items()
    ]
    labels = tmp_path / "labels.jsonl"
    labels.write_text("".join(json.dumps(line) + "\n" for line in reviews + scores))
    counts = import_labels(truth, [labels], scope="default", defaults=LabelDefaults(source="bench", given_by="model"))
    assert counts.judgements == 240
    calibrate(truth, bench)
    most = [Counter(line[f"annotator{place}"] for place in (1, 2, 3)).most_common(1)[0][0] for line in lines]
    said = [1 if n % 10 else 2 for n in range(60)]
    one = of(bench, "bench: gpt-4")
    assert (one.source, one.given_by, one.items) == ("imported", "model", 60)
    assert one.accuracy == pytest.approx(sum(x == y for x, y in zip(most, said, strict=True)) / 60)
    rated = of(bench, "bench: claude-2", task="preference")
    assert rated.accuracy == pytest.approx(most.count(1) / 60)
    assert of(bench, PEOPLE, task="preference").items == 180


@pytest.mark.corpus
def test_the_annotators_of_a_recorded_set_agree_as_a_count_over_its_file_says(
    truth: str, bench: Path, recorded_corpus: Path
) -> None:
    path = recorded_corpus / "pandalm" / "pairs.jsonl.zst"
    import_files(truth, [path])
    calibrate(truth, bench)
    with path.open("rb") as file:
        text = zstandard.ZstdDecompressor().stream_reader(file).read().decode()
    votes: dict[tuple[str, str, str], Counter[int]] = {}  # of a question and two answers: by annotator, for the first
    for line in map(json.loads, text.splitlines()):
        answers = [line["response1"], line["response2"]]
        if not all(isinstance(each, str) for each in answers) or answers[0] == answers[1]:
            continue
        first, second = sorted(answers)
        cast = votes.setdefault((line["instruction"] + line["input"], first, second), Counter())
        for place in (1, 2, 3):
            vote = line[f"annotator{place}"]
            cast[place] += 0 if vote == 0 else 1 if answers[vote - 1] == first else -1
    agreed = 0
    for cast in votes.values():
        words = ["ab"[cast[place] < 0] if cast[place] else "equal" for place in (1, 2, 3)]
        for place in range(3):
            rest = [*words[:place], *words[place + 1 :]]
            agreed += words[place] == (rest[0] if rest[0] == rest[1] else "equal")
    one = of(bench, PEOPLE)
    assert (one.items, one.accuracy) == (3 * len(votes), pytest.approx(agreed / (3 * len(votes)), abs=1e-9))
    assert one.items > 1_000


def test_pairs_of_more_than_two_answers_are_compared_each_with_each(truth: str, bench: Path, tmp_path: Path) -> None:
    answers = [f"answer {n} " + "x" * n for n in range(4)]
    file = tmp_path / "chats.jsonl"
    file.write_text(
        "".join(
            json.dumps({"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": text}]}) + "\n"
            for text in answers
        )
    )
    import_files(truth, [file])
    with connect(truth) as connection:
        rows = connection.execute(ANSWERS).fetchall()
    lines = [
        {
            "turn": str(row["turn_id"]),
            "rank": answers.index(row["said"]),
            "comparison": "c",
            "annotator": who,
            "given_by": kind,
        }
        for row in rows
        for who, kind in (("ann", "person"), ("gpt-4", "model"))
    ]
    labels = tmp_path / "labels.jsonl"
    labels.write_text("".join(json.dumps(line) + "\n" for line in lines))
    import_labels(truth, [labels], scope="default", defaults=LabelDefaults(source="ranks"))
    calibrate(truth, bench)
    one = of(bench, "ranks: gpt-4")
    assert (one.items, one.accuracy) == (len(list(combinations(answers, 2))), 1.0)


def test_only_votes_that_are_there_are_asked_of_the_store(planted: Planted, bench: Path) -> None:
    planted.pairs(3, longer=0.5)
    planted.vote(PAIRS, planted.judged(), lambda pair, first: "a")
    with connect(planted.dsn) as connection:
        assert len(store.votes_there(connection, PAIRS.version)) == 6
        assert [row["note"] for row in store.to_settle(connection, PAIRS.version, 2)] == ["planted"] * 3


DPO = 'name = "judged"\nkind = "dpo"\n[source]\nlabels = ["model"]\npurposes = ["import"]\n[select]\nper_context = 0\n'


def test_a_recipe_takes_what_a_good_judge_decides_and_rows_carry_its_agreement(planted: Planted, bench: Path) -> None:
    """The pairs that people judged calibrate a judge; the others are decided by those that are admitted alone."""
    planted.pairs(60, longer=0.5)
    known = planted.judged()
    planted.pairs(10, longer=0.5, people=False)
    right = {pair["pair_id"]: planted.people(pair) for pair in planted.judged()}
    bad = replace(PAIRS, name="bad", rubric="Take the longer one.")
    planted.prefer(bad, {pair["pair_id"]: planted.longer(pair) for pair in planted.judged()})

    def made() -> tuple[list[Any], Counter[str]]:
        with assemble(parse_recipe(DPO), planted.dsn, bench) as assembly:
            return list(assembly.rows.rows()), +assembly.counts.refused

    rows, refused = made()
    assert (rows, refused["judge_not_calibrated"]) == ([], 10)
    planted.prefer(PAIRS, right)
    rows, refused = made()
    assert [(row.agreement, row.margin, row.label_source) for row in rows] == [(1.0, 1.0, "model")] * 10
    assert all(row.chosen[0]["content"].startswith("good") for row in rows)
    assert refused == {"label_source_not_allowed": len(known)}
