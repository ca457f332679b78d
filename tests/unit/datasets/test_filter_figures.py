"""What a certificate says of each filter: how many rows it refused, and what it found."""

from __future__ import annotations

from typing import Any

from regraft.domain.datasets.filter_figures import filter_figures

REPORT: dict[str, Any] = {
    "filters": {
        "near_duplicates": {
            "threshold": 0.8, "same_split_from": 0.5, "words_of_a_run": 5, "refused": 7, "links": 2,
        },
        "tokens": {"tokenizer": "o200k", "rows": 5, "sum": 50, "min": 4, "median": 9, "p95": 19, "max": 20},
        "redaction": {"what": "pii", "replaced": {"PERSON": 3, "API_KEY": 1}, "rows": 2, "key": "k", "found_by": {}},
        "languages": {"wanted": ["en"], "rows": {"en": 12, "de": 3}},
        "decontamination": {"ngram": 13, "files": {"exam.jsonl": {"prompts": 200, "rows": 1}}},
    }
}  # fmt: skip
REFUSED = {
    "contaminated": 1,
    "other_language": 3,
    "redaction_breaks_call": 2,
    "too_short": 4,
    "too_long": 1,
    "near_duplicate": 7,
    "no_answer": 9,
}


def test_each_filter_has_the_rows_that_it_refused_in_the_order_in_which_rows_pass() -> None:
    found = filter_figures(REPORT, REFUSED)
    assert [(one.name, one.refused) for one in found] == [
        ("decontamination", 1),
        ("languages", 3),
        ("redaction", 2),
        ("lengths", 5),
        ("near_duplicates", 7),
    ]
    assert sum(one.refused for one in found) == sum(REFUSED.values()) - REFUSED["no_answer"]


def test_each_filter_says_what_it_looked_for_and_found() -> None:
    said = {one.name: one.text for one in filter_figures(REPORT, REFUSED)}
    assert "exam.jsonl with 200 prompts (rows that fell to it: 1)" in said["decontamination"]
    assert said["languages"] == "wanted: en; answers by language: 12 en, 3 de"
    assert said["redaction"] == "secrets and personal data, 4 replaced in 2 rows: 3 PERSON, 1 API_KEY"
    assert "4 to 20, median 9, 95 % below 19, 50 in all" in said["lengths"]
    assert said["near_duplicates"].startswith("rows that share 80% or more of their runs of 5 words")


def test_filters_that_a_recipe_did_not_ask_for_are_left_out() -> None:
    assert filter_figures({}, REFUSED) == ()
    assert filter_figures({"filters": {}}, REFUSED) == ()
    (only,) = filter_figures({"filters": {"tokens": {"tokenizer": "o200k", "rows": 0, "sum": 0}}}, {"too_long": 3})
    assert (only.refused, only.text) == (3, "counted in tokens of o200k; no row is within the limits")
