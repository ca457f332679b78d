"""Rewrites of a whole history or request by clients: one function for each known cause."""

from __future__ import annotations

import base64
import random
import re
import unicodedata
from collections.abc import Callable
from typing import Any, Literal

from _message_rewrites import TOLD, Message, moment, texts

URL_PART = [{"type": "image_url", "image_url": {"url": "https://files.example/image.png"}}]


# A history that its client replaced: a summary and the end of what was said


def _system_of(history: list[Message]) -> list[Message]:
    return [each for each in history[:1] if each.get("role") in ("system", "developer")]


def _summary(history: list[Message], kept: int) -> Message:
    words = " / ".join(str(each.get("content"))[:24] for each in history[: len(history) - kept])
    return {"role": "user", "content": f"Summary of the conversation so far: {len(history) - kept} messages. {words}"}


def telling_call(message: Message) -> bool:
    """Whether an answer holds a tool-call id that is a name, not a counter."""
    calls = message.get("tool_calls") or []
    return any(re.search(r"(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[0-9A-Za-z]{9,}", str(call.get("id"))) for call in calls)


def telling_text(message: Message) -> bool:
    """Whether an answer is long enough to be told from others."""
    content = message.get("content")
    return message.get("role") == "assistant" and isinstance(content, str) and len(" ".join(content.split())) >= 64


def tail_with_call(history: list[Message]) -> list[Message] | None:
    last = max((at for at, each in enumerate(history) if each.get("role") == "assistant"), default=0)
    if last < 4 or not telling_call(history[last]):
        return None
    return [*_system_of(history), _summary(history, len(history) - last), *history[last:]]


def tail_with_answer(history: list[Message]) -> list[Message] | None:
    last = max((at for at, each in enumerate(history) if each.get("role") == "assistant"), default=0)
    if last < 5 or not telling_text(history[last]) or history[last].get("tool_calls"):
        return None
    head = [
        *_system_of(history),
        _summary(history, len(history) - last + 1),
        {"role": "assistant", "content": "I see."},
    ]
    return [*head, *history[last - 1 :]]


def tail_under_another_prompt(history: list[Message]) -> list[Message] | None:
    answers = [at for at, each in enumerate(history) if each.get("role") == "assistant"]
    if len(answers) < 4 or not all(telling_text(history[at]) for at in answers[-2:]):
        return None
    told = {"role": "system", "content": f"Go on. Earlier, {answers[-2]} messages were said."}
    return [told, *history[answers[-2] - 1 :]]


def emptied_results(history: list[Message]) -> list[Message] | None:
    last = max((at for at, each in enumerate(history) if each.get("role") == "assistant"), default=0)
    old = [at for at, each in enumerate(history[:last]) if each.get("role") in TOLD]
    if not old or not telling_call(history[last]):
        return None
    return [{**each, "content": "[cleared]"} if at in old else each for at, each in enumerate(history)]


def window(history: list[Message]) -> list[Message] | None:
    head = _system_of(history)
    answers = [at for at, each in enumerate(history) if each.get("role") == "assistant"]
    if len(answers) < 3 or not telling_call(history[answers[-1]]):
        return None
    return [*head, *history[answers[-2] :]]


def summary_alone(history: list[Message]) -> list[Message] | None:
    last = max((at for at, each in enumerate(history) if each.get("role") == "assistant"), default=0)
    return None if last < 4 else [*_system_of(history), _summary(history, 1), history[-1]]


# What clients do to a whole request: only the answers come back as they were


def words(conversation: int, call: int, count: int = 60) -> str:
    """Text that no other call of any conversation has."""
    picked = random.Random(conversation * 1009 + call)
    return " ".join("".join(picked.choices("abcdefghijklmnop", k=6)) for _ in range(count))


def instructed(told: Callable[[int, int], str]) -> Callable[[list[Message], int, int], list[Message]]:
    """The instruction with a text of each call in it; a conversation without one gets one."""

    def rewrite(history: list[Message], conversation: int, call: int) -> list[Message]:
        text = told(conversation, call)
        if history[0].get("role") in ("system", "developer"):
            return [texts(history[0], lambda kept: f"{kept}\n\n{text}"), *history[1:]]
        return [{"role": "system", "content": text}, *history]

    return rewrite


def _answers(history: list[Message]) -> list[int]:
    return [at for at, each in enumerate(history) if each.get("role") == "assistant"]


def each_user(
    change: Callable[[Message, bool, int, int], list[Message]],
) -> Callable[[list[Message], int, int], list[Message]]:
    """Each user message changed; the flag says whether it came after the last answer."""

    def rewrite(history: list[Message], conversation: int, call: int) -> list[Message]:
        last = max(_answers(history), default=-1)
        return [
            changed
            for at, each in enumerate(history)
            for changed in (change(each, at > last, conversation, call) if each.get("role") == "user" else [each])
        ]

    return rewrite


def relative_time(message: Message, _new: bool, conversation: int, call: int) -> list[Message]:
    return [texts(message, lambda text: f"[{call * 7 + 1} minutes ago] {text}")]


def retrieved(message: Message, new: bool, conversation: int, call: int) -> list[Message]:
    return [texts(message, lambda text: f"{text}\n\nContext:\n{words(conversation, call)}")] if new else [message]


def image(later: list[dict[str, Any]]) -> Callable[[Message, bool, int, int], list[Message]]:
    def change(message: Message, new: bool, conversation: int, call: int) -> list[Message]:
        content = message.get("content")
        if not isinstance(content, str):
            return [message]
        data = f"data:image/png;base64,{base64.b64encode(content.encode() * 20).decode()}"
        held = [{"type": "image_url", "image_url": {"url": data}}] if new else later
        return [{**message, "content": [{"type": "text", "text": content}, *held]}]

    return change


def merged(message: Message, new: bool, conversation: int, call: int) -> list[Message]:
    content = message.get("content")
    if not isinstance(content, str) or len(words := content.split(" ")) < 2:
        return [message]
    parts = [" ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :])]
    return [{**message, "content": part} for part in parts] if new else [{**message, "content": "\n\n".join(parts)}]


def developer(history: list[Message], conversation: int, call: int) -> list[Message]:
    role = ("system", "developer")[call % 2]
    return [{**each, "role": role} if each.get("role") in ("system", "developer") else each for each in history]


def note(role: str) -> Callable[[list[Message], int, int], list[Message]]:
    return lambda history, conversation, call: [*history, {"role": role, "content": words(conversation, call, 12)}]


def greeting_left_out(history: list[Message], conversation: int, call: int) -> list[Message]:
    at = len(_system_of(history))
    greeting = (
        [{"role": "assistant", "content": "Good day! What would you like to talk about?"}] if call % 2 == 0 else []
    )
    return [*history[:at], *greeting, *history[at:]]


def last_messages(count: int) -> Callable[[list[Message], int, int], list[Message]]:
    def rewrite(history: list[Message], conversation: int, call: int) -> list[Message]:
        head = _system_of(history)
        start = min(len(history) - count, max(_answers(history), default=0))
        return [*head, *history[max(len(head), start) :]]

    return rewrite


def summary_each_time(role: str) -> Callable[[list[Message], int, int], list[Message]]:
    def rewrite(history: list[Message], conversation: int, call: int) -> list[Message]:
        answers = _answers(history)
        if len(answers) < 2:
            return history
        kept = history[answers[-2] + 1 :]
        summary = {"role": role, "content": f"Summary so far: {words(conversation, call, 30)}"}
        return [*_system_of(history), summary, *kept]

    return rewrite


def without_results(history: list[Message], conversation: int, call: int) -> list[Message]:
    last = max(_answers(history), default=-1)
    return [each for at, each in enumerate(history) if at > last or each.get("role") not in TOLD]


def results_reordered(history: list[Message], conversation: int, call: int) -> list[Message]:
    if call % 2 == 0:
        return history
    found: list[Message] = []
    results: list[Message] = []
    for each in [*history, {}]:
        if each.get("role") == "tool":
            results.append(each)
            continue
        found += [*reversed(results), each]
        results = []
    return found[:-1]


def another_instruction(history: list[Message], conversation: int, call: int) -> list[Message]:
    """The instruction as a translation or a new edition has it: no word of it is as before."""
    told = {"role": "system", "content": words(conversation, call)}
    return [told, *history[len(_system_of(history)) :]]


def instruction_left_out(history: list[Message], conversation: int, call: int) -> list[Message]:
    return history[len(_system_of(history)) :] if call % 2 else history


def instruction_in_question(history: list[Message], conversation: int, call: int) -> list[Message]:
    head = _system_of(history)
    if call % 2 == 0 or not head or history[1].get("role") != "user" or not isinstance(history[1]["content"], str):
        return history
    return [texts(history[1], lambda text: f"{head[0]['content']}\n\n{text}"), *history[2:]]


def old_results(change: Callable[[str], str]) -> Callable[[list[Message], int, int], list[Message]]:
    """The results that the model has answered, each shortened or replaced."""

    def rewrite(history: list[Message], conversation: int, call: int) -> list[Message]:
        last = max(_answers(history), default=-1)
        return [
            texts(each, change) if at < last and each.get("role") in TOLD else each for at, each in enumerate(history)
        ]

    return rewrite


def calls_apart(history: list[Message], conversation: int, call: int) -> list[Message]:
    """Parallel calls of an answer as several answers, each with its result after it."""
    found: list[Message] = []
    for at, each in enumerate(history):
        calls = each.get("tool_calls") or []
        if each.get("role") == "tool" and any(other.get("tool_call_id") == each.get("tool_call_id") for other in found):
            continue
        if len(calls) < 2:
            found.append(each)
            continue
        for number, one in enumerate(calls):
            found.append({**each, "content": each.get("content") if number == 0 else None, "tool_calls": [one]})
            results = (other for other in history[at + 1 :] if other.get("tool_call_id") == one["id"])
            found += [result for result in results if result.get("role") == "tool"][:1]
    return found


def text_and_calls_apart(history: list[Message], conversation: int, call: int) -> list[Message]:
    found: list[Message] = []
    for each in history:
        if each.get("role") == "assistant" and each.get("tool_calls") and each.get("content"):
            found.append({"role": "assistant", "content": each["content"]})
            each = {**each, "content": None}
        found.append(each)
    return found


def composition(history: list[Message], conversation: int, call: int) -> list[Message]:
    form: Literal["NFC", "NFD"] = "NFD" if call % 2 else "NFC"
    return [texts(each, lambda text: unicodedata.normalize(form, text)) for each in history]


def prefixed(message: Message, new: bool, conversation: int, call: int) -> list[Message]:
    """A question of one word, with another prefix, has nothing that a short answer to it could be recognised by."""
    return [texts(message, lambda text: f"[{conversation * 1009 + call:06d}] {text}" if " " in text else text)]


def caption(message: Message, new: bool, conversation: int, call: int) -> list[Message]:
    shown = image([{"type": "text", "text": f"[An image of {words(conversation, 0, 6)}]"}])
    return shown(message, new, conversation, call)


def first_question_kept(history: list[Message], conversation: int, call: int) -> list[Message]:
    """The instruction, the first question, and the last answer with what came after it."""
    start = len(_system_of(history)) + 1
    return [*history[:start], *history[max(start, max(_answers(history), default=0)) :]]


def two_messages(*, instructed: bool) -> Callable[[list[Message], int, int], list[Message]]:
    """The last answer and what came after it; before a short answer, which others repeat, also its question."""

    def rewrite(history: list[Message], conversation: int, call: int) -> list[Message]:
        head = _system_of(history)
        start = max(_answers(history), default=len(head))
        if start > len(head) and not history[start].get("tool_calls"):
            start -= len(str(history[start].get("content") or "")) <= 40
        return [*(head if instructed else []), *history[start:]]

    return rewrite


def empty_left_out(history: list[Message], conversation: int, call: int) -> list[Message]:
    """Empty messages are in the odd calls only: a blank question after each answer."""
    if call % 2 == 0:
        return history
    blank: Message = {"role": "user", "content": ""}
    return [
        more
        for at, each in enumerate(history)
        for more in ([each, blank] if each.get("role") == "assistant" and not each.get("tool_calls") else [each])
    ]


def results_as_questions(history: list[Message], conversation: int, call: int) -> list[Message]:
    """Calls and results as text, for a model without tools; the last ones are as they were."""
    last = max(_answers(history), default=-1)
    found: list[Message] = []
    for at, each in enumerate(history):
        if at < last and each.get("role") in TOLD:
            found.append({"role": "user", "content": f"Result: {each.get('content')}"})
        elif at < last and each.get("tool_calls"):
            asked = [call["function"]["name"] for call in each["tool_calls"]]
            found.append({"role": "assistant", "content": f"{each.get('content') or ''} I call {', '.join(asked)}."})
        else:
            found.append(each)
    return found


LOCAL_CLOCKS = [
    *("Heute ist Dienstag, der {:%d}. März {:%Y}, {:%H:%M} Uhr.", "今日は{:%m}月{:%d}日 {:%H}時{:%M}分です。"),
    *("Son las {:%H:%M} del martes {:%d} de marzo.", "Nous sommes mardi {:%d} mars {:%Y}, {:%H} h {:%M}."),
    *("Сегодня вторник, {:%d} марта {:%Y} г., {:%H:%M}.", "Now: {:%s}", "[{:%m/%d/%y %I:%M%p}]", "{:%Y%m%dT%H%M%SZ}"),
    *("Week {:%G-W%V}", "It is {:%A}."),
]


def local_clock(form: str) -> Callable[[list[Message], int, int], list[Message]]:
    def told(conversation: int, call: int) -> str:
        at = moment(call)
        return re.sub(r"\{:([^{}]*)\}", lambda found: at.strftime(found[1]), form)

    return instructed(told)
