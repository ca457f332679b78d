"""What clients do to a history before they send it again: one transformation for each known cause of fracture.

``benchmarks/identity.py`` and its test apply each to every conversation: the tree must stay the one that it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from _history_rewrites import (
    LOCAL_CLOCKS,
    URL_PART,
    developer,
    each_user,
    emptied_results,
    greeting_left_out,
    image,
    instructed,
    last_messages,
    local_clock,
    merged,
    note,
    relative_time,
    results_reordered,
    retrieved,
    summary_alone,
    summary_each_time,
    tail_under_another_prompt,
    tail_with_answer,
    tail_with_call,
    window,
    without_results,
    words,
)
from _message_rewrites import (
    CLOCKS,
    Message,
    Rewrite,
    argument_escapes,
    argument_nulls,
    argument_order,
    argument_space,
    blank_lines,
    call_ids,
    clock,
    crlf,
    echo,
    empty_content,
    harness,
    identity,
    numbers,
    reasoned,
    schema_defaults,
    system_text,
    text_parts,
    trailing_blanks,
)


def _same(message: Message, conversation: int, call: int) -> Message:
    return message


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that clients do. ``sent`` rewrites a message of a history, ``given`` an answer as it was first given,
    ``history`` a whole history for good (None where the cause does not touch it), ``request`` the history as one call
    sends it. ``joins`` says that its mark on the tree is a compaction edge."""

    name: str
    sent: Rewrite = _same
    given: Rewrite = _same
    history: Callable[[list[Message]], list[Message] | None] | None = None
    request: Callable[[list[Message], int, int], list[Message]] | None = None
    joins: bool = False


# Everything at once


def _all(*rewrites: Rewrite) -> Rewrite:
    def rewrite(message: Message, conversation: int, call: int) -> Message:
        for number, each in enumerate(rewrites):
            message = each(message, conversation, call + number)
        return message

    return rewrite


CAUSES = [
    Cause("nothing"),
    Cause("harness text", harness),
    Cause("CRLF", crlf),
    Cause("trailing blanks", trailing_blanks),
    Cause("blank lines", blank_lines),
    Cause("text parts", text_parts),
    Cause("argument order", argument_order),
    Cause("argument space", argument_space),
    Cause("argument nulls", argument_nulls),
    Cause("argument escapes", argument_escapes),
    Cause("argument numbers", numbers),
    Cause("tool-call ids", call_ids),
    Cause("empty content", empty_content),
    Cause("reasoning dropped", given=reasoned),
    Cause("echo fields", echo),
    Cause("system uuid", system_text(identity)),
    *(Cause(f"system clock: {name}", clock(form)) for name, form in CLOCKS.items()),
    Cause(
        "all of these",
        _all(
            *(argument_order, argument_nulls, numbers, call_ids, empty_content, echo),
            *(clock(CLOCKS["iso time"]), trailing_blanks, blank_lines, crlf, harness, text_parts),
        ),
        reasoned,
    ),
    Cause("summary, a tool call survives", history=tail_with_call, joins=True),
    Cause("summary, an answer survives", history=tail_with_answer, joins=True),
    Cause("summary, another system prompt", history=tail_under_another_prompt, joins=True),
    Cause("tool results emptied", history=emptied_results),
    Cause("sliding window", history=window, joins=True),
    Cause("retrieved text in the instruction", request=instructed(words)),
    Cause("battery in the instruction", request=instructed(lambda _, call: f"Battery: {97 - call} %.")),
    *(Cause(f"local clock: {form[:24]}", request=local_clock(form)) for form in LOCAL_CLOCKS),
    Cause("relative times beside questions", request=each_user(relative_time)),
    Cause("retrieved text dropped from questions", request=each_user(retrieved)),
    Cause("image replaced by a URL", request=each_user(image(URL_PART))),
    Cause("image left out later", request=each_user(image([]))),
    Cause("questions merged later", request=each_user(merged)),
    Cause("system renamed developer", request=developer),
    Cause("a system note after the history", request=note("system")),
    Cause("a user note after the history", request=note("user")),
    Cause("greeting left out later", request=greeting_left_out),
    Cause("window of four messages", request=last_messages(4), joins=True),
    Cause("window of three messages", request=last_messages(3), joins=True),
    Cause("a new user summary with every call", request=summary_each_time("user"), joins=True),
    Cause("a new system summary with every call", request=summary_each_time("system"), joins=True),
    Cause("tool results dropped", request=without_results),
    Cause("parallel results reordered", request=results_reordered),
]


# Known to fracture or to lose its place: measured, printed, and no part of the targets.
LIMITS = [
    Cause("summary alone", history=summary_alone),
    Cause("defaults that only the tool's schema knows", schema_defaults),
]
