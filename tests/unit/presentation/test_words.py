"""Figures and times in words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from regraft.presentation.cli.words import counted, moment


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (counted(0, "file"), "0 files"),
        (counted(1, "file"), "1 file"),
        (counted(1200, "new turn"), "1,200 new turns"),
        (counted(1, "branch"), "1 branch"),
        (counted(2, "branch"), "2 branches"),
        (counted(1, "job", "are"), "1 job is"),
        (counted(2, "job", "are"), "2 jobs are"),
        (counted(1, "path", "have"), "1 path has"),
        (counted(1, "turn", "wait"), "1 turn waits"),
        (counted(3, "turn", "wait"), "3 turns wait"),
    ],
)
def test_figures_are_said_as_people_say_them(said, words):
    assert said == words


def test_an_imported_message_without_a_date_has_none():
    assert moment(datetime(1970, 1, 1, 0, 0, 3, tzinfo=UTC)) == "no date"
    assert moment(datetime(2026, 5, 4, 3, 2, tzinfo=UTC)) == "2026-05-04 03:02"
