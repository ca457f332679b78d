"""Types of exported columns in the card."""

from __future__ import annotations

import pytest

from regraft.domain.datasets.formats import FORMATS
from regraft.domain.datasets.formats.features import features_yaml
from regraft.domain.datasets.kinds import KINDS


def test_features_are_the_lines_that_datasets_reads() -> None:
    features = {"messages": ["json"], "chosen": {"from": "string"}, "history": [["string"]], "turns": [{"a": "bool"}]}
    assert features_yaml(features, "  ").splitlines() == [
        "  - name: messages",
        "    list: json",
        "  - name: chosen",
        "    struct:",
        "    - name: from",
        "      dtype: string",
        "  - name: history",
        "    list:",
        "      list: string",
        "  - name: turns",
        "    list:",
        "    - name: a",
        "      dtype: bool",
    ]


@pytest.mark.parametrize("target", FORMATS)
def test_every_format_names_the_types_of_its_columns(target: str) -> None:
    for kind in FORMATS[target].kinds & KINDS.keys():
        assert features_yaml(FORMATS[target].features(kind, last_only=False))


def test_rows_of_which_only_the_last_answer_counts_have_columns_of_their_own() -> None:
    assert list(FORMATS["trl"].features("sft", last_only=True)) == ["prompt", "completion", "tools"]
