"""The language of answers: other languages are refused, what has none is kept."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from regraft.domain.datasets.messages import RowRefusal
from regraft.domain.datasets.recipe import Filters
from regraft.flows.datasets.filters import RowFilters
from support.row_conversations import conversation, grows_linearly, message

ENGLISH = "The weather in the north is cold today, and snow is expected in the mountains this evening."
GERMAN = "Das Wetter im Norden ist heute kalt, und am Abend wird in den Bergen Schnee erwartet."
CHINESE = "今天北方天气寒冷，预计傍晚山区会有降雪。"
CODE = "```python\nfor number in range(10):\n    print(number, 'the answer')\n```"


@pytest.fixture
def filters() -> RowFilters:
    return RowFilters(Filters(languages=("en",)), Path())


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (ENGLISH, "kept"),
        (GERMAN, "de"),
        (CHINESE, "zh"),
        ("好的，没问题。", "zh"),
        ("Ja.", "kept"),
        ("42", "kept"),
        (CODE, "kept"),
        (CODE.removesuffix("```"), "kept"),
        (f"{GERMAN}\n{CODE}\n{GERMAN}", "de"),
        ("result = {'wetter': compute_value(x)}; return result[0]", "kept"),
    ],
)
def test_an_answer_in_another_language_is_refused(filters: RowFilters, answer: str, outcome: str) -> None:
    row = conversation("r", GERMAN, answer)
    found = filters.check(row)
    if outcome == "kept":
        assert found == row
    else:
        assert found == RowRefusal("other_language", outcome)


def test_rows_are_counted_by_language(filters: RowFilters) -> None:
    for answer in (ENGLISH, GERMAN, GERMAN, "Ja."):
        filters.check(conversation("r", "?", answer))
    assert filters.report() == {"languages": {"wanted": ["en"], "rows": {"de": 2, "en": 1, "unknown": 1}}}


def test_answers_that_nobody_learns_from_do_not_count(filters: RowFilters) -> None:
    row = conversation("r", "?", message("assistant", GERMAN, weight=0), "And now?", ENGLISH)
    assert filters.check(row) == row


def test_no_text_is_logged(filters: RowFilters, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    filters.check(conversation("r", "?", ENGLISH * 100))
    assert "weather" not in caplog.text


@pytest.mark.parametrize("unit", ["a", "a ", "```\n", "`", "(", "\n", "https://"])
def test_looking_for_a_language_is_linear_in_a_text(filters: RowFilters, unit: str) -> None:
    filters.check(conversation("r", "?", ENGLISH))
    assert grows_linearly(lambda size: filters.check(conversation("r", "?", *[unit * size] * 3)), 10_000)
