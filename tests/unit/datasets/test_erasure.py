"""Tombstones, and a text that is found wherever it was written."""

from __future__ import annotations

import json
import time
from uuid import UUID

import pytest

from regraft.domain.datasets.erasure import TextFinder, blanked, hollow, identity_tombstone
from regraft.domain.errors import UsageError
from regraft.domain.ids import parse_json
from regraft.domain.lineage.projection import projection_digest
from regraft.domain.lineage.tombstone import is_erased, message_tombstone, settings_tombstone

ONE, OTHER = UUID(int=1), UUID(int=2)


def test_a_text_is_found_however_often_it_was_escaped() -> None:
    text = 'a "quoted" café 🍒\nline'
    finder = TextFinder(text)
    held = json.dumps({"x": f"see {text}!"})
    for _ in range(3):
        assert finder(held)
        held = json.dumps({"arguments": held})
    assert finder('see a "quoted" cafe\u0301 🍒\nline')
    assert not finder('a "quoted" cafe')


def test_finding_takes_linear_time() -> None:
    finder = TextFinder("walnut")

    def seconds(size: int) -> float:
        hidden = "\\" * size
        started = time.process_time()
        assert not finder(hidden)
        return time.process_time() - started

    assert seconds(400_000) < 40 * max(seconds(40_000), 0.005)


def test_a_text_that_stands_everywhere_is_refused() -> None:
    with pytest.raises(UsageError):
        TextFinder(" a ")


def test_what_is_left_of_a_value_keeps_its_structure() -> None:
    value = {
        "a": ["walnut", "plum"],
        "walnut": 1,
        "args": json.dumps({"q": "a walnut", "n": 2}),
        "cut": '{"q": "walnut',
    }
    left = blanked(value, TextFinder("walnut"))
    assert left["a"] == ["[erased]", "plum"]
    assert left["[erased]"] == 1
    assert parse_json(left["args"]) == {"q": "[erased]", "n": 2}
    assert left["cut"] == "[erased]"
    assert hollow({"a": ["x", str(ONE), 3]}) == {"a": ["[erased]", str(ONE), 3]}


def test_a_tombstone_says_its_role_and_joins_with_no_other() -> None:
    tombstone = message_tombstone("assistant", ONE)
    assert is_erased(tombstone)
    assert tombstone["role"] == "assistant"
    assert message_tombstone("a secret", ONE)["role"] == "user"
    assert projection_digest(tombstone) != projection_digest(message_tombstone("assistant", OTHER))
    assert not is_erased({"role": "user", "content": "I was erased", "erased": "x"})


def test_numbers_of_settings_stay() -> None:
    left = settings_tombstone({"temperature": 0.5, "stop": ["x"], "user": "ann", "stream": True}, ONE)
    assert left == {"temperature": 0.5, "stream": True, "erased": str(ONE)}


def test_of_what_a_call_said_of_itself_ids_and_its_job_stay() -> None:
    said = {
        "session": "walnut",
        "theme": "walnut",
        "purpose": "replay",
        "replay_node": str(ONE),
        "parent_node": "walnut",
        "variant": json.dumps({"fingerprint": "ab" * 16, "system": "walnut"}),
    }
    left = identity_tombstone(said)
    assert left["purpose"] == "replay"
    assert left["replay_node"] == str(ONE)
    assert json.loads(left["variant"]) == {"fingerprint": "ab" * 16}
    assert "walnut" not in json.dumps(left)
    assert identity_tombstone({"session": f"regraft:{ONE}"})["session"] == f"regraft:{ONE}"
