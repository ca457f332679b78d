"""What was worked out for a system prompt is kept, and makes no difference to what a call is."""

from __future__ import annotations

import json

import pytest

from regraft.domain.capture.clients import ClientTable
from regraft.domain.capture.exchange import Identity
from regraft.domain.capture.request import LazyMessages, Request
from regraft.domain.capture.side_calls import SideCallRule, SideCallRules
from regraft.flows.capture.identification import CallIdentifier
from regraft.flows.lineage.history_cache import HistoryCache

RULES = (
    SideCallRule(name="both", purpose="both", system_has=(("zebra",),), user_starts=("name",)),
    SideCallRule(name="short", purpose="short", user_is=("count",), messages=1),
    SideCallRule(name="system", purpose="system", system_starts=("you name chats",)),
    SideCallRule(name="user", purpose="user", user_starts=("name",)),
    SideCallRule(name="probe", purpose="probe", headers=(("x-probe", "*"),), models=("p*",)),
)
ZEBRA, TITLES, PLAIN = ({"role": "system", "content": text} for text in ("A Zebra.", "You name chats.", "Be brief."))
NAME, COUNT, HELLO = ({"role": "user", "content": text} for text in ("Name it", "count", "hello"))
ANSWER = {"role": "assistant", "content": "name"}
CALLS = [
    ([ZEBRA, NAME], "side:both"),
    ([ZEBRA, HELLO], "chat"),
    ([ZEBRA, TITLES, HELLO], "side:system"),
    ([PLAIN, NAME], "side:user"),
    ([PLAIN, NAME, ANSWER], "chat"),
    ([NAME, ZEBRA, NAME], "side:user"),  # no prompt that the call begins with
    ([COUNT], "side:short"),
    ([PLAIN, COUNT], "side:short"),
    ([HELLO, ANSWER, COUNT], "chat"),
    ([TITLES], "side:system"),
    (["text", NAME], "side:user"),
]


@pytest.mark.parametrize("sliced", [False, True])
def test_the_purpose_is_that_of_the_rules_whatever_was_read_before(sliced):
    identifier, cache = CallIdentifier(ClientTable(side_calls=RULES)), HistoryCache()
    for messages, purpose in CALLS * 2:
        texts = LazyMessages([json.dumps(each).encode() for each in messages])
        given = texts if sliced else messages
        request = Request(model="m", messages=given, tools={}, sampling={}, other={})
        end = cache.history("", given)
        assert identifier.identified(Identity(), request, end).purpose == purpose
        assert SideCallRules(RULES).purpose({}, request) == (None if purpose == "chat" else purpose)


def test_a_purpose_that_the_call_names_itself_stays():
    request = Request(model="m", messages=[COUNT], tools={}, sampling={}, other={})
    who = Identity(purpose="replay", client_headers='{"x-probe": "1"}')
    identifier = CallIdentifier(ClientTable(side_calls=RULES))
    assert identifier.identified(who, request, HistoryCache().history("", [COUNT])) is who
