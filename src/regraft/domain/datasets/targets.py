"""The names of what datasets are exported for. ``formats`` writes them."""

from __future__ import annotations

TARGETS = (
    "trl",
    "openai",
    "together",
    "fireworks",
    "llamafactory",
    "axolotl",
    "open-unlearning",
    "sharegpt",
    "alpaca",
)
