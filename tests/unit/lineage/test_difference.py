"""The difference of two requests names the kind of a branch, lists everything that changed and says it in words."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from regraft.domain.ids import Number, digest, digest_json
from regraft.domain.lineage.difference import Components, difference, model_snapshot, served_build, tool_names

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {}}}
READ = {"type": "function", "function": {"name": "read"}}


def with_tools(components, tools):
    return replace(components, tools=tools, tools_id=digest_json(tools))


BASE = Components(
    model="small",
    sampling={"temperature": Number("0.5")},
    tools={},
    tools_id=digest_json({}),
    system=digest(b"system"),
    user=digest(b"user"),
)
# In the order of their precedence.
CHANGES = {
    "taskify_variant": lambda c: replace(c, plan="plan-2"),
    "prompt_variant": lambda c: replace(c, system=digest(b"other")),
    "tool_variant": lambda c: with_tools(c, {"tools": [WEATHER]}),
    "model_variant": lambda c: replace(c, model="large"),
    "sampling_variant": lambda c: replace(c, sampling={"temperature": Number("0.9")}),
}
KEYS = {
    "taskify_variant": "taskify",
    "prompt_variant": "prompt",
    "tool_variant": "tools",
    "model_variant": "model",
    "sampling_variant": "sampling",
}


@pytest.mark.parametrize("kind", CHANGES)
def test_one_change_gives_its_own_kind_and_nothing_else(kind):
    found = difference(BASE, CHANGES[kind](BASE))
    assert found.kind == kind
    assert list(found.config) == [KEYS[kind]]
    assert found.reason.startswith("changed ")


def test_no_change_is_a_retry():
    found = difference(BASE, replace(BASE))
    assert (found.kind, found.config) == ("retry", {})
    assert "again" in found.reason


@pytest.mark.parametrize("chosen", [pick for size in (2, 3, 4, 5) for pick in combinations(CHANGES, size)], ids=len)
def test_of_several_changes_the_first_names_the_kind_and_all_are_listed(chosen):
    changed = BASE
    for kind in chosen:
        changed = CHANGES[kind](changed)
    found = difference(BASE, changed)
    assert found.kind == next(kind for kind in CHANGES if kind in chosen)
    assert set(found.config) == {KEYS[kind] for kind in chosen}


def test_the_prompt_is_the_system_text_and_the_users_words():
    user = difference(BASE, replace(BASE, user=digest(b"other")))
    both = difference(BASE, replace(BASE, user=digest(b"other"), system=digest(b"other")))
    assert (user.kind, user.config) == ("prompt_variant", {"prompt": {"user": True}})
    assert both.config == {"prompt": {"system": True, "user": True}}
    assert "the user's words" in user.reason
    assert "the system prompt" in both.reason


def test_a_model_change_says_from_what_to_what():
    found = difference(BASE, replace(BASE, model="large"))
    assert found.config == {"model": {"from": "small", "to": "large"}}
    assert "small to large" in found.reason


def test_sampling_lists_every_setting_that_changed_came_or_went():
    new = replace(BASE, sampling={"seed": 7, "top_p": Number("0.9")})
    found = difference(replace(BASE, sampling={"temperature": 1, "seed": 7}), new)
    assert found.config == {"sampling": {"temperature": {"from": 1, "to": None}, "top_p": {"from": None, "to": 0.9}}}
    assert "temperature 1 to unset" in found.reason
    assert "top_p unset to 0.9" in found.reason


def test_one_and_one_point_zero_are_one_setting():
    found = difference(
        replace(BASE, sampling={"temperature": 1}), replace(BASE, sampling={"temperature": Number("1.0")})
    )
    assert found.kind == "retry"


def test_tools_list_what_was_added_removed_changed_and_set():
    old = with_tools(BASE, {"tools": [WEATHER, READ], "tool_choice": "auto"})
    other = {"type": "function", "function": {"name": "weather", "parameters": {"x": 1}}}
    new = with_tools(BASE, {"tools": [other], "functions": [{"name": "legacy"}], "tool_choice": "none"})
    assert difference(old, new).config == {
        "tools": {"added": ["legacy"], "removed": ["read"], "changed": ["weather"], "settings": ["tool_choice"]}
    }


def test_the_same_tools_in_another_order_are_still_a_tool_variant():
    found = difference(with_tools(BASE, {"tools": [WEATHER, READ]}), with_tools(BASE, {"tools": [READ, WEATHER]}))
    assert (found.kind, found.config) == ("tool_variant", {"tools": {}})


@pytest.mark.parametrize("odd", [None, 5, "x", {}, [None], [5], [{}], [{"function": 5}], [{"function": {"name": 5}}]])
def test_tools_that_are_none_do_not_stop_the_comparing(odd):
    assert difference(BASE, with_tools(BASE, {"tools": odd})).kind == "tool_variant"


def test_tools_are_known_by_their_name_or_by_their_type():
    assert tool_names({"tools": [WEATHER, {"type": "web_search"}], "functions": [{"name": "f"}]}) == {
        "weather": WEATHER,
        "web_search": {"type": "web_search"},
        "f": {"name": "f"},
    }


@pytest.mark.parametrize(
    ("fingerprint", "pin", "snapshot"),
    [("", "", "m"), ("fp", "", "m@fp"), ("", "sha", "m@sha"), ("fp", "sha", "m@sha")],
)
def test_a_model_snapshot_is_more_than_a_name_when_more_is_known(fingerprint, pin, snapshot):
    assert model_snapshot("m", fingerprint, pin) == snapshot


@pytest.mark.parametrize(
    ("rest", "build"),
    [
        ({"system_fingerprint": "fp", "model_version": "2"}, "fp"),
        ({"system_fingerprint": " ", "model_version": "2"}, "version:2"),
        ({"modelVersion": "gemini-2.5-pro-05"}, "version:gemini-2.5-pro-05"),
        ({"system_fingerprint": None, "metadata": {"weight_version": "w7"}}, "version:w7"),
        ({"metadata": ["weight_version"], "model_version": 5}, ""),
        ({}, ""),
    ],
)
def test_what_a_server_says_of_its_build_is_its_fingerprint_or_the_version_of_the_model(rest, build):
    assert served_build(rest) == build
