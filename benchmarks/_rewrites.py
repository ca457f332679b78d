"""Rewrites of histories by clients: one transformation for each known cause of fracture.

``benchmarks/identity.py`` and its test apply each to every conversation: the tree must stay the one that it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from _history_rewrites import (
    LOCAL_CLOCKS,
    URL_PART,
    another_instruction,
    calls_apart,
    caption,
    composition,
    developer,
    each_user,
    emptied_results,
    empty_left_out,
    first_question_kept,
    greeting_left_out,
    image,
    instructed,
    instruction_in_question,
    instruction_left_out,
    last_messages,
    local_clock,
    merged,
    note,
    old_results,
    prefixed,
    relative_time,
    results_as_questions,
    results_reordered,
    retrieved,
    summary_alone,
    summary_each_time,
    tail_under_another_prompt,
    tail_with_answer,
    tail_with_call,
    text_and_calls_apart,
    two_messages,
    window,
    without_results,
    words,
)
from _message_rewrites import (
    CLOCKS,
    Message,
    Rewrite,
    answers,
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
    named,
    numbers,
    other_marks,
    reasoned,
    schema_defaults,
    system_text,
    text_parts,
    trailing_blanks,
    without_marks,
)


def _same(message: Message, conversation: int, call: int) -> Message:
    return message


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that clients do. ``sent`` rewrites a message of a history, ``given`` an answer as it was first given,
    ``history`` a whole history for good (None where the cause does not touch it), ``request`` the history as one call
    sends it. ``joins`` says that its mark on the tree is a compaction edge, ``blind`` that
    it hides what tells conversations with the same words apart."""

    name: str
    sent: Rewrite = _same
    given: Rewrite = _same
    history: Callable[[list[Message]], list[Message] | None] | None = None
    request: Callable[[list[Message], int, int], list[Message]] | None = None
    joins: bool = False
    blind: bool = False


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
    Cause("summary, another system prompt", history=tail_under_another_prompt, joins=True, blind=True),
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
    Cause("another instruction with every call", request=another_instruction, blind=True),
    Cause("instruction in some calls only", request=instruction_left_out, blind=True),
    Cause("instruction moved into the question", request=instruction_in_question, blind=True),
    Cause("old results replaced by a mark", request=old_results(lambda _: "[removed]")),
    Cause("old results cut", request=old_results(lambda text: f"{text[:40]}...")),
    Cause("parallel calls in answers of their own", request=calls_apart),
    Cause("text and calls in answers of their own", request=text_and_calls_apart),
    Cause("image replaced by a caption", request=each_user(caption)),
    Cause("first question and last answer", request=first_question_kept, joins=True),
    Cause("window of two messages", request=two_messages(instructed=True), joins=True),
    Cause("window of two messages, no instruction", request=two_messages(instructed=False), joins=True),
    Cause("a new summary as an answer", request=summary_each_time("assistant"), joins=True),
    Cause("blank questions in some calls only", request=empty_left_out),
    Cause("old calls and results as text", request=results_as_questions),
    Cause("answers trimmed", given=answers(lambda text: f"\n  {text} \n\n")),
    Cause("answers without Markdown", answers(without_marks)),
    Cause("answers with other Markdown", answers(other_marks)),
    Cause("NFC and NFD", request=composition),
    Cause("names added", named),
    Cause("a new prefix of each question", request=each_user(prefixed)),
]


# Known to fracture or to lose its place: measured, printed, and no part of the targets.
LIMITS = [
    Cause("summary alone", history=summary_alone),
    Cause("defaults that only the tool's schema knows", schema_defaults),
]
