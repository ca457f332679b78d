"""Types of the columns of exported files, for the card: ``datasets`` then uses these types and infers none.

It reads a file in pieces of some megabytes and takes the types of the first for all: a key that only later rows have
stops it, and objects of different shapes are filled with nulls. A feature is the name of a type (``string``, ``bool``,
or ``json`` for any value), a list of one feature, or a mapping of features by name. Source: Hugging Face ``datasets``
4.8, ``Features._to_yaml_list``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

Feature: TypeAlias = "str | list[Feature] | Mapping[str, Feature]"
Features: TypeAlias = Mapping[str, Feature]

MESSAGES: Feature = ["json"]  # each message has the keys that it was written with, and no others


def features_yaml(features: Features, indent: str = "") -> str:
    """Features as the lines of ``dataset_info.features`` in a card."""
    return "\n".join(f"{indent}{line}" for name, feature in features.items() for line in _named(name, feature))


def _named(name: str, feature: Feature) -> list[str]:
    return [f"- name: {name}", *(f"  {line}" for line in _lines(feature))]


def _lines(feature: Feature) -> list[str]:
    if isinstance(feature, str):
        return [f"dtype: {feature}"]
    if isinstance(feature, Mapping):
        return ["struct:", *(line for name, one in feature.items() for line in _named(name, one))]
    (item,) = feature
    if isinstance(item, str):
        return [f"list: {item}"]
    if isinstance(item, Mapping):
        return ["list:", *(line for name, one in item.items() for line in _named(name, one))]
    return ["list:", *(f"  {line}" for line in _lines(item))]
