"""One table defines endings; a word that is not in it is never a success."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.capture.endings import (
    ENDINGS,
    STATUSES,
    WHOLE,
    ending_of,
    recorded_ending,
    status_of,
    with_ending,
)


def test_a_word_means_the_same_in_every_dialect():
    for one, other in itertools.combinations(ENDINGS.values(), 2):
        assert {word: one[word] for word in one.keys() & other.keys()} == {
            word: other[word] for word in one.keys() & other.keys()
        }


@pytest.mark.parametrize(
    ("reason", "ending"),
    [
        ("stop", "finished"),
        ("STOP", "finished"),
        ("FinishReason.STOP", "finished"),
        ("end_turn", "finished"),
        ("endTurn", "finished"),
        ("eos_token", "finished"),
        ("COMPLETE", "finished"),
        ("completed", "finished"),
        ("tool_calls", "tool_use"),
        ("tool-calls", "tool_use"),
        ("toolUse", "tool_use"),
        ("function_call", "tool_use"),
        ("length", "cut"),
        ("MAX_TOKENS", "cut"),
        ("FINISH_REASON_MAX_TOKENS", "cut"),
        ("model_length", "cut"),
        ("max_output_tokens", "cut"),
        ("model_context_window_exceeded", "cut"),
        ("content-filter", "filtered"),
        ("SAFETY", "filtered"),
        ("PROHIBITED_CONTENT", "filtered"),
        ("refusal", "filtered"),
        ("guardrail_intervened", "filtered"),
        ("sensitive", "filtered"),
        ("pause_turn", "paused"),
        ("insufficient_system_resource", "failed"),
        ("abort", "failed"),
        ("error", "failed"),
        ("cancelled", "failed"),
        ("in_progress", "failed"),
        ("MALFORMED_FUNCTION_CALL", "failed"),
        ("network_error", "failed"),
        ("OTHER", "unknown"),
        ("unknown", "unknown"),
        ("ran out of steam", "unknown"),
        ("7", "unknown"),
        ("", None),
        ("  ", None),
        ("null", None),
        (None, None),
    ],
)
def test_the_words_of_servers(reason, ending):
    assert ending_of(reason) == ending


@given(st.text(max_size=30))
def test_a_word_that_nobody_knows_is_never_a_success(word):
    known = {each for words in ENDINGS.values() for each in words}
    ending = ending_of(word)
    if ending not in (None, "unknown"):
        apart = re.sub("(?<=[a-z])(?=[A-Z])", "_", word.strip())
        assert apart.casefold().replace("-", "_").replace(" ", "_").rpartition(".")[2] in known
    else:
        assert status_of(ending) == ("ok" if ending is None else "unknown")


def test_every_status_is_of_the_log():
    assert {status_of(ending_of(word)) for words in ENDINGS.values() for word in words} <= set(STATUSES)


@pytest.mark.parametrize(
    ("status", "reason", "kept"),
    [
        ("ok", "stop", "ok"),
        ("ok", None, "ok"),
        ("ok", "max_tokens", "ok"),
        ("ok", "in_progress", "interrupted"),
        ("ok", "weird", "unknown"),
        ("error", "stop", "error"),
        ("interrupted", "stop", "interrupted"),
    ],
)
def test_an_import_says_its_own_status_or_that_of_its_ending(status, reason, kept):
    assert with_ending(status, reason) == kept


@pytest.mark.parametrize(
    ("status", "reason", "ending"),
    [
        ("ok", "stop", "finished"),
        ("ok", None, "finished"),
        ("refused", "stop", "finished"),
        ("ok", "length", "cut"),
        ("ok", "insufficient_system_resource", "failed"),
        ("ambiguous", "stop", "ambiguous"),
        ("error", None, "failed"),
        ("interrupted", "length", "failed"),
    ],
)
def test_a_recorded_answer_ended_as_its_status_and_its_reason_say(status, reason, ending):
    assert recorded_ending(status, reason) == ending
    assert (ending in WHOLE) == (ending == "finished")
