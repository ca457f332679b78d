"""Conversations about a few topics, and some unrelated ones."""

from __future__ import annotations

from itertools import product

_SHAPES = {
    "cards": (
        ("My credit card", "My bank card", "The debit card of my account", "My new credit card"),
        (
            "was stolen.",
            "is lost; please block it.",
            "was charged twice by the bank.",
            "was refused at the bank machine.",
        ),
        "We block the card and the bank sends you another credit card.",
    ),
    "weather": (
        ("Will the rain", "Will the thunderstorm", "Will the snow and wind", "Will the heavy rain"),
        ("reach the coast today?", "last until the evening?", "stop before tomorrow morning?", "turn into a storm?"),
        "The weather forecast says rain and wind until the evening, with storms at the coast.",
    ),
    "python": (
        ("My Python function", "This Python script", "The Python class", "A Python list comprehension"),
        ("raises a TypeError.", "returns None instead of a list.", "has a syntax error.", "is slow with a long list."),
        "Check the types of the arguments of the Python function and return the list at its end.",
    ),
}
ODD = (
    ("Translate the motto of the abbey.", "Pray and work."),
    ("How long do I boil an ostrich egg?", "About an hour and a half."),
    ("Who composed the opera Lohengrin?", "Richard Wagner composed it in 1848."),
)


def talks(topic: str) -> list[tuple[str, str]]:
    """Sixteen questions about a topic, each with its answer."""
    subjects, verbs, answer = _SHAPES[topic]
    return [(f"{subject} {verb}", f"{answer} ({subject} {verb})") for subject, verb in product(subjects, verbs)]


TOPICS = tuple(_SHAPES)
