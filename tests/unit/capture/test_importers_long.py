"""Long transcripts are read in time that grows with their length, however their lines hang on one another."""

from __future__ import annotations

import json

import pytest

from support.claude_code_transcript import call, line, model, result, talks, user, words
from support.codex_rollout import event, meta, one, said

SIZE = 3_000


@pytest.mark.timeout(60)
@pytest.mark.parametrize("answer", ["m", None])
def test_a_long_session_with_ids_of_its_own_or_one_for_all(answer):
    lines, parent = [], None
    for at in range(SIZE):
        lines += [
            user(f"u{at}", parent, f"q{at}"),
            model(f"a{at}", f"u{at}", call(f"t{at}"), answer=answer or f"m{at}", request=None),
            result(f"r{at}", f"a{at}", f"t{at}", "r"),
        ]
        parent = f"r{at}"
    (talk,) = talks(*lines)
    assert len(talk.said) == 3 * SIZE


@pytest.mark.timeout(60)
def test_one_answer_in_many_lines_and_a_long_chain_of_records_that_say_nothing():
    lines = [user("u", None, "q"), model("a0", "u", words("w0"))]
    lines += [model(f"a{at}", f"a{at - 1}", words(f"w{at}")) for at in range(1, SIZE)]
    lines += [line(f"p{at}", f"p{at - 1}" if at else "u", "system", subtype="notice") for at in range(SIZE)]
    (talk,) = talks(*lines)
    assert len(talk.said[1].message["content"]) == SIZE


@pytest.mark.timeout(60)
def test_a_long_rollout_with_an_event_for_every_item():
    lines = [meta()]
    for at in range(SIZE):
        lines += [said("user", f"q{at}"), event("odd", message=f"words {at}"), said("assistant", f"a{at}")]
    talk = one(*lines)
    assert len(talk.said) == 2 * SIZE
    assert json.dumps(talk.said[0].rest).count("words 0") == 1
