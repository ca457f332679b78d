"""Reading text that anyone may send takes time in proportion to its length, and recursion has a fixed bound.

The limit of each case is far above what linear work takes; quadratic work on the same input would need hours.
"""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.capture.answer import events
from regraft.domain.capture.importers import conversations, importer_of, open_webui
from regraft.domain.capture.importers.conversation import RefusedConversation
from regraft.domain.capture.importers.links import link, tree_of
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.request import read_request
from regraft.domain.datasets.tools import broken_exchange
from regraft.domain.errors import CorruptEventError
from regraft.domain.evaluation.trajectory import repetition_of
from regraft.domain.ids import MAX_NESTING, canonical_json, parse_json, plain
from regraft.domain.lineage import projection
from regraft.domain.lineage.fingerprints import anchors_of
from regraft.domain.lineage.projection import PROJECTIONS, plain_text, projection_digest, volatile_system_text
from regraft.domain.lineage.tool_calls import is_tool_error
from regraft.domain.orchestration.plan import read_plan

SIZE = 1 << 18  # characters
ROLES = ("system", "user", "assistant", "tool")


def _filled(piece: str, size: int = SIZE) -> str:
    return piece * (size // len(piece))


def _distinct(form: str, size: int = SIZE) -> str:
    made = [form.format(number) for number in range(size // len(form.format(size)))]
    return "".join(made)


HOSTILE = {
    "blanks before x": _filled(" ", SIZE - 1) + "x",
    "short lines of blanks": _filled(" \t x\n"),
    "blanks before think": _filled(" ") + "<think>",
    "newlines": _filled("\n", SIZE - 1) + "x",
    "unclosed tags": _filled("<system-reminder>"),
    "unclosed tags with attributes": _filled("<system-reminder a"),
    "distinct tags": _distinct("<command-{}>"),
    "distinct tags, one closed": _distinct("<command-{}>") + "</command-0>",
    "end tags before start tags": _filled("</system-reminder>", SIZE // 2) + _filled("<system-reminder>", SIZE // 2),
    "one long tag": "<command-" + _filled("a"),
    "unclosed thinking": "<think>" + _filled("</thin"),
    "backticks": _filled("`"),
    "braces": _filled("{"),
    "brackets": _filled("["),
    "digits": _filled("1"),
    "a fraction of a second": "2024-01-01 00:00:00." + _filled("1"),
    "zones without an end": _filled("00:00:00Z (A"),
    "a long zone": "time: 00:00Z (" + _filled("A "),
    "long digits with exponents": _filled("1e999999999 "),
    "hexadecimal digits": _filled("a1b2c3d4-"),
    "details": _filled('<details type="reasoning"'),
    "unclosed details": _filled('<details type="tool_calls" id="1">'),
    "unclosed summaries": '<details type="reasoning">' + _filled("<summary>") + "</details>",
    "a long attribute": '<details type="tool_calls" ' + _filled("a") + ">x</details>",
    "half-open attributes": '<details type="tool_calls" ' + _filled('a="') + ">x</details>",
    "character references": '<details type="reasoning">' + _filled("&#1") + "</details>",
    "a long character reference": '<details type="reasoning">&#' + _filled("1") + ";</details>",
    "surrogates": _filled("\ud83d"),
}


def _imported(text: str) -> None:
    messages = {"a": {"role": "user", "content": "x"}, "b": {"role": "assistant", "parentId": "a", "content": text}}
    list(open_webui.read(JsonRecord(0, {"id": "1", "chat": {"history": {"messages": messages}}})))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_text_is_read_in_linear_time(name) -> None:
    text = HOSTILE[name]
    for role in ROLES:
        message = {"role": role, "content": text}
        for version in PROJECTIONS:
            projection_digest(message, version)
        anchors_of(message)
        plain_text(message)
        volatile_system_text(message)
        is_tool_error(message)
    called = {"function": {"name": "f", "arguments": text}, "id": text}
    answer = {"role": "assistant", "content": None, "tool_calls": [called]}
    anchors_of(answer)
    projection_digest(answer)
    repetition_of(text)
    list(events(text))
    read_plan(text)
    _imported(text)
    for read in (parse_json, lambda each: read_request(each.encode("utf-8", "replace"))):
        with pytest.raises((ValueError, CorruptEventError)):
            read(text + "!")


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
@pytest.mark.parametrize("inner", ["1", "1.50", '"x"'])
def test_json_of_the_greatest_nesting_is_read_and_deeper_json_is_refused_with_a_value_error(
    opening, closing, inner
) -> None:
    text = opening * MAX_NESTING + inner + closing * MAX_NESTING
    value = parse_json(text)
    assert canonical_json(value) == text
    plain(value)
    message = {"role": "assistant", "content": value, "tool_calls": [{"function": {"arguments": text}, "id": "1"}]}
    for version in PROJECTIONS:
        projection_digest(message, version)
    anchors_of(message)
    for depth in (MAX_NESTING + 1, MAX_NESTING + 200, 100_000):
        deep = opening * depth + inner + closing * depth
        with pytest.raises(ValueError, match="nested too deeply"):
            parse_json(deep)
        kept = {**message, "content": "", "tool_calls": [{"function": {"arguments": deep}, "id": "1"}]}
        assert PROJECTIONS[2](kept)["calls"] == [[None, {"unread": deep}]]
        anchors_of(kept)


def test_wide_json_is_not_taken_for_deep_json() -> None:
    wide = json.dumps([[[each]] for each in range(10_000)])
    assert json.dumps(parse_json(wide)) == wide


def _pieces(*pieces: str) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(pieces), max_size=14).map("".join)


TAG = r"system-reminder|environment_context|command-[\w-]+|local-command-[\w-]+|task-notification|new-diagnostics"
ELEMENT = re.compile(rf"<({TAG})(?:\s[^<>]*)?>.*?</\1>", re.DOTALL)


@given(
    _pieces(
        "<system-reminder>", "</system-reminder>", "<command-a>", "</command-a>", "<command-a-b>", "</command-a-b>",
        "<command-a x>", "<command-", "<local-command-a>", "</local-command-a>", "</", "<", ">", "x", "\n", "a>", " "
    )
)  # fmt: skip
def test_what_a_harness_injects_is_what_the_pattern_with_a_back_reference_matches(text) -> None:
    assert projection._without_harness(text) == ELEMENT.sub("", text)


@given(_pieces(" ", "\t", "\n", "x", "\r", "\x0b", "\u00a0"))
def test_trailing_blanks_are_what_the_plain_pattern_matches(text) -> None:
    assert projection._TRAILING_BLANKS.sub("", text) == re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)


DETAILS = re.compile(r'<details type="(reasoning|tool_calls)"([^>]*)>(.*?)</details>\n?', re.DOTALL)


@given(
    _pieces(
        '<details type="reasoning"', '<details type="tool_calls" a="1"', ">", "</details>", "\n", "x",
        '<details type="other">', "<summary>", "</summary>", "<"
    )
)  # fmt: skip
def test_details_and_summaries_are_what_the_lazy_patterns_match(text) -> None:
    found = [(each.start, each.end, each.kind, each.attributes, each.inner) for each in open_webui._details(text)]
    assert found == [(*each.span(), *each.groups()) for each in DETAILS.finditer(text)]
    expected = re.sub(r"<summary>.*?</summary>", "", text, flags=re.DOTALL)
    assert open_webui._without_summaries(text) == expected


@given(_pieces("a", "=", '"', " ", "b=", '="', 'c="d"', "-"))
def test_attributes_are_what_the_plain_pattern_finds(text) -> None:
    assert open_webui._ATTRIBUTE.findall(text) == re.findall(r'(\w+)="([^"]*)"', text)


def test_an_imported_record_nested_too_deeply_is_refused_and_the_next_is_read() -> None:
    deep: list[object] = []
    for _ in range(MAX_NESTING):
        deep = [deep]
    said = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    found = [JsonRecord(0, {**said, "extra": deep}), JsonRecord(1, said)]
    (_, refused), (_, read) = conversations(importer_of("openai"), found)
    assert isinstance(refused, RefusedConversation)
    assert "nested too deeply" in refused.reason
    assert not isinstance(read, RefusedConversation)


def test_the_texts_of_a_record_are_compared_with_what_was_read_of_it_in_linear_time():
    """Every hostile text as a message, beside it under a key that no one reads, and as both."""
    for name, text in HOSTILE.items():
        line = {"messages": [{"role": "user", "content": text}], "unheard": text + "x", "more": {"deeper": [text[1:]]}}
        found = [each for _, each in conversations(importer_of("openai"), [JsonRecord(0, line)])]
        assert len(found) == 1, name


def test_links_of_very_many_messages_are_read_in_linear_time():
    count = 100_000
    tree = tree_of({str(at): link(None, [str(at + 1)] if at + 1 < count else []) for at in range(count)})
    assert len(tree.parents) == count
    assert len(tree_of({str(at): link("gone", ["0"] * 3) for at in range(1, count)}).missing) == count - 1


def test_very_many_results_without_ids_find_their_calls_in_linear_time():
    calls = [{"id": str(at), "type": "function", "function": {"name": "f"}} for at in range(100_000)]
    asked = {"role": "assistant", "content": None, "tool_calls": calls, "tool_call_id": None}
    result = {"role": "tool", "content": "", "tool_calls": [], "tool_call_id": None}
    assert broken_exchange([asked, *[result] * len(calls)]) is None


def test_very_many_thoughts_before_an_answer_are_refused():
    thoughts = {"content_type": "thoughts", "thoughts": [{"content": "hm"}]}
    mapping = {
        str(at): {
            "parent": str(at - 1) if at else None,
            "message": {"author": {"role": "assistant"}, "content": thoughts},
        }
        for at in range(50_000)
    }
    (found,) = [each for _, each in conversations(importer_of("chatgpt"), [JsonRecord(0, {"mapping": mapping})])]
    assert isinstance(found, RefusedConversation)
    assert "thoughts" in found.reason
