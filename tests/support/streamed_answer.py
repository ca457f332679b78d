"""Streams of chat completions, written as the changes that each chunk makes, and what is read of them."""

from __future__ import annotations

import json

from hypothesis import strategies as st

from regraft.domain.capture.answer import Answer, read_answer

SSE, JSON = "text/event-stream", "application/json"
WORDS = [f"word{number} " for number in range(300)]
SO_FAR = ["".join(WORDS[: end + 1]) for end in range(len(WORDS))]


def read(*choices) -> Answer:
    """The answer of a stream in which each chunk has one choice."""
    chunks = [{"choices": [{"index": 0, **choice}]} for choice in choices]
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    return read_answer(body.encode(), SSE)


def choice_of(*choices):
    """Its only choice."""
    (choice,) = read(*choices).choices
    return choice


def message(*deltas):
    """The message of a stream of these changes, none of which is doubtful."""
    choice = choice_of(*({"delta": delta} for delta in deltas))
    assert choice.unattributed == []
    return choice.message


def pieces_of(data, text, most=5):
    """A text, cut anywhere."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=most)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
