"""Reasons for refusing candidates: what each one means, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """``meaning`` describes the problem; ``cure`` the change that accepts such rows, '' if there is none."""

    meaning: str
    cure: str = ""

    def __str__(self) -> str:
        return f"{self.meaning}; {self.cure}" if self.cure else self.meaning


_CUT = '`endings = ["finished", "tool_use", "cut"]` under [source] takes it'
_LABEL = "judge it with `regraft label`, import a judgement of it, or let more `labels` under [source] decide"
_TARGET = "another `--target` may keep it"

# What is the matter with a candidate.
REFUSALS: Mapping[str, Reason] = {
    "ambiguous_answer": Reason("the answer came in pieces that cannot be put together for certain"),
    "both_bad": Reason("both answers were judged bad", "kinds suppression and unlearning learn from them"),
    "call_not_function": Reason("a call is of no function, or its id is not text"),
    "call_to_unlisted_tool": Reason(
        "an answer calls a tool that the request did not offer",
        '`unlisted_tools = "keep"` under [content] takes it',
    ),
    "call_without_name": Reason("a call does not say which function it calls"),
    "call_without_result": Reason("the conversation goes on after a call without its result"),
    "contaminated": Reason("it shares a run of words with a file under `decontaminate`", "`ngram` sets how long a run"),
    "content_not_text": Reason("a message holds images, audio or other content that is not text"),
    "context_differs": Reason("the two answers were given to different conversations", "kinds sft and suppression fit"),
    "cut_answer": Reason("the answer stopped at its limit of tokens", _CUT),
    "duplicate_row": Reason("a better row says the very same"),
    "empty_prompt": Reason("nothing was asked"),
    "erased": Reason("its content was erased"),
    "filtered_answer": Reason("a filter stopped the answer, or the provider refused it"),
    "finished_answer": Reason("the answer came whole", '`endings` under [source] does not name "finished"'),
    "identical_answer": Reason("both answers say the same"),
    "judge_not_calibrated": Reason(
        "a model decided that is not known to agree enough with people",
        "`regraft judges` says how far each does; `min_agreement` under [source] how far it has to",
    ),
    "judged_equal": Reason("the judgements prefer neither of the two answers"),
    "label_source_not_allowed": Reason(
        "who decided is not among `labels`", "add that source to `labels` under [source]"
    ),
    "margin_below_minimum": Reason(
        "the two answers differ by less than `min_margin`", "lower `min_margin` under [select]"
    ),
    "message_weight": Reason("an answer has a weight that this row or target cannot say", "kind sft keeps weights"),
    "near_duplicate": Reason(
        "a better row says nearly the same", "raise `near_duplicates` under [filters]; 0 keeps all but equal rows"
    ),
    "no_answer": Reason("an answer is missing or empty"),
    "no_content": Reason("a message that is not an answer holds nothing"),
    "no_preference": Reason("no judgement says which of the two answers is better", _LABEL),
    "noise_reject": Reason("the answer is empty, cut, repetitive or garbled"),
    "not_a_message": Reason("what was recorded is not a message"),
    "not_finished": Reason("the answer broke off: an error, a lost connection, a server that gave up"),
    "not_unicode": Reason("a text cannot be written as UTF-8 (a lone surrogate)"),
    "other_language": Reason("the answer's language is not among `languages`", "`languages = []` under [filters]"),
    "outcome_below_minimum": Reason(
        "what was reported of it is below `min_outcome`", "`min_outcome = 0.0` under [source] takes it"
    ),
    "parent_missing": Reason("it begins with a message that the imported file does not hold"),
    "paused_answer": Reason("the answer waits to be asked to go on"),
    "plan_differs": Reason("the two plans were asked for in different words", "kind sft fits"),
    "prefill_of_parts": Reason("an answer cannot be joined to a start of several text parts"),
    "prompt_differs": Reason("the two answers were given to different prompts", "kinds sft and suppression fit"),
    "prompt_ends_with_answer": Reason("the prompt ends with an answer: templates would open a second one"),
    "redaction_breaks_call": Reason(
        "what `redact` would replace is a number, a name or no JSON in a call or a tool list",
        "`redact` under [filters] says what is replaced",
    ),
    "role_unsupported": Reason(
        "a message has a role that has no form", '`developer = "system"` under [content] helps developer messages'
    ),
    "score_below_minimum": Reason("its score is below `min_score`", "lower `min_score` under [source]"),
    "source_gone": Reason("its call is not in the execution log"),
    "tool_result_without_call": Reason("it holds a tool result without a call before it"),
    "tool_use_answer": Reason("the answer calls a tool", '`endings` under [source] does not name "tool_use"'),
    "too_long": Reason("it has more than `max_tokens`", "raise `max_tokens` under [filters]; 0 means no limit"),
    "too_short": Reason("it has fewer than `min_tokens`", "lower `min_tokens` under [filters]"),
    "tools_differ": Reason("the two answers were offered different tools", "kinds sft and suppression fit"),
    "tools_unsupported": Reason("the tool list holds what is not a function, or the target has no tools", _TARGET),
    "two_answers_in_a_row": Reason("two assistant messages follow one another"),
    "unknown_ending": Reason("the answer ended with a word that Regraft does not know"),
    "weight_zero": Reason("its source gave the answer the weight 0"),
}

# What a recipe did not ask for.
CAUSES: Mapping[str, Reason] = {
    "low_fidelity": Reason("a rollout departs from its record", "lower `min_fidelity` under [source]"),
    "not_among_best": Reason(
        "others are better", "raise `per_context` or `k_per_stratum` under [select]; 0 means no limit"
    ),
    "not_judged_good": Reason("no judgement calls it good, so it is not a wanted answer", _LABEL),
    "nothing_wrong": Reason("nothing is wrong with it, so it is not a negative"),
    "other_model": Reason("another model answered", "`models = []` under [source] takes all"),
    "other_purpose": Reason(
        "it was made for another purpose", '`purposes = ["chat", "replay", "import"]` under [source] takes it'
    ),
    "other_theme": Reason("it is of another theme", "`themes = []` under [source] takes all"),
    "other_time": Reason("it is not of the time between `since` and `until`", "change them under [source]"),
    "side_call": Reason("a client's side call: titles, tags, health checks", '`purposes = ["side"]` under [source]'),
}

# What a target cannot express; the snapshot keeps the row.
LOSSES: Mapping[str, Reason] = {
    "answer_found_elsewhere": Reason("the target would find the answer's text before the answer", _TARGET),
    "answer_not_text": Reason("an answer of a pair is more than one text", _TARGET),
    "arguments_not_object": Reason("a call's arguments are not a JSON object", _TARGET),
    "blanks_around_answer": Reason("the target would not find an answer that begins or ends with blanks", _TARGET),
    "call_marker_in_text": Reason("a text holds the marks with which the target writes calls", _TARGET),
    "call_without_id": Reason("a call or a result has no id, and the target needs one", _TARGET),
    "calls_unsupported": Reason("the target has no tool calls here", _TARGET),
    "empty_system": Reason("the target replaces an empty system message by its default", _TARGET),
    "kind_unsupported": Reason("the target does not take this kind of dataset", _TARGET),
    "name_unsupported": Reason("the target has no names of messages", _TARGET),
    "not_lossless": Reason("what the target's converter reads back differs", _TARGET),
    "number_lost": Reason("the target's converter would change a number", _TARGET),
    "placeholder_in_text": Reason("a text holds a placeholder that the target replaces", _TARGET),
    "reasoning_unsupported": Reason(
        "the target has no reasoning", "`reasoning = false` under [content] leaves it out, or another `--target`"
    ),
    "results_in_a_row": Reason("the target has no form for results of parallel calls", _TARGET),
    "roles_do_not_alternate": Reason("the target wants questions and answers by turns", _TARGET),
    "side_not_masked": Reason(
        "the trainer would learn the questions and results within a side, too",
        "kind reward fits, or another `--target`",
    ),
    "several_messages": Reason("the target takes one answer on each side", _TARGET),
    "several_text_parts": Reason("the target has no messages of several text parts", _TARGET),
    "several_turns": Reason("the target takes one question", _TARGET),
    "system_not_first": Reason("the target takes a system message only at the beginning", _TARGET),
    "system_unsupported": Reason("the target has no system message of a row", _TARGET),
    "thought_in_answer": Reason("an answer holds marks of reasoning, which the target takes out", _TARGET),
    "too_many_tools": Reason("the target takes fewer tools", _TARGET),
    "tool_name_unsupported": Reason("the target does not take a function's name", _TARGET),
}

REASONS: Mapping[str, Reason] = {**REFUSALS, **CAUSES, **LOSSES}


def explained(reasons: Iterable[str]) -> list[str]:
    """A line for each reason that is known: its name, its meaning, its cure."""
    return [f"{reason}: {REASONS[reason]}" for reason in reasons if reason in REASONS]
