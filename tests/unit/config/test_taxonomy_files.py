"""Taxonomies as files: the built-in one, one of one's own, and mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from regraft.domain.errors import ConfigError
from regraft.domain.evaluation.taxonomy import RULE_NAMES, SignalBound
from regraft.infra.files.schemas import json_schema
from regraft.infra.files.taxonomies import default_taxonomy, parse_taxonomy, read_taxonomy, taxonomy_of
from regraft.infra.settings import Settings

OWN = """name = "support"
[categories.stuck]
definition = "The user asked the same thing again."
threshold = 0.75
[categories.stuck.where.turns]
min = 6
[categories.polite]
definition = "The answer greets."
examples = ["Good morning!"]
"""


def test_the_built_in_taxonomy_has_the_seven_categories_and_a_rule_for_six() -> None:
    found = default_taxonomy()
    assert found.names == (
        *("tool_helped", "tool_misuse", "hallucination", "good_recovery", "overlong", "underspecified"),
        "stable_high_quality",
    )
    assert {each.rule for each in found.categories} == {*RULE_NAMES, ""}
    assert all(each.examples and each.counter_examples for each in found.categories)
    assert taxonomy_of(Settings()).version == found.version


def test_a_taxonomy_of_ones_own_is_read_from_the_file_that_the_settings_name(tmp_path: Path) -> None:
    path = tmp_path / "support.toml"
    path.write_text(OWN)
    found = taxonomy_of(Settings(taxonomy=path))
    assert found == read_taxonomy(path)
    assert found.thresholds() == {"stuck": 0.75, "polite": 0.5}
    assert found.categories[0].bounds == (SignalBound("turns", 6.0, None),)
    assert "stuck" not in str(json_schema("taxonomy"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "x"', "categories"),
        (OWN.replace("turns", "moods"), "moods"),
        (OWN.replace("min = 6", ""), "needs min, max, or both"),
        (OWN.replace("threshold = 0.75", 'rule = "overlong"'), "takes one or the other"),
        (OWN.replace("threshold = 0.75", 'rule = "rude"'), "rule"),
        (OWN.replace("0.75", "0"), "threshold"),
        (OWN.replace("categories.polite", 'categories."Po lite"'), "is not a name"),
        (OWN.replace('name = "support"', 'name = "Su pport"'), "name"),
        ("categories = 3", "categories"),
    ],
)
def test_a_mistake_is_named_with_the_file(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_taxonomy(text, "own.toml")
    assert "own.toml" in str(caught.value)
