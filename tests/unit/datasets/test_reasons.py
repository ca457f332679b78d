"""Every reason for which a candidate becomes no row is explained once, with its cure."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import regraft
from regraft.domain.datasets import reasons
from regraft.domain.datasets.fitness import _REASONS
from regraft.domain.evaluation.pairs import UNDECIDED

PACKAGE = Path(regraft.__file__).parent
FOLDERS = ("domain/datasets", "flows/datasets")
COUNTERS = {"refused", "passed_over"}
DECIDING = {"mismatch", "_mismatch", "_refusal", "context_reason"}  # functions that return a reason


def named(source: str) -> set[str]:
    """The reasons that a module's code names: of refusals that it makes, of counters, and what functions return."""
    found: list[ast.expr | None] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "RowRefusal":
            found += node.args[:1]
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute) and node.value.attr in COUNTERS:
            found.append(node.slice)
        if isinstance(node, ast.FunctionDef) and node.name in DECIDING:
            found += (each.value for each in ast.walk(node) if isinstance(each, ast.Return))
    chosen = (side for one in found for side in ((one.body, one.orelse) if isinstance(one, ast.IfExp) else (one,)))
    return {one.value for one in chosen if isinstance(one, ast.Constant) and isinstance(one.value, str) and one.value}


def test_every_reason_that_the_code_names_is_explained():
    files = [file for folder in FOLDERS for file in (PACKAGE / folder).rglob("*.py")]
    made = set().union(*(named(file.read_text()) for file in [*files, PACKAGE / "domain/evaluation/pairs.py"]))
    assert {"other_time", "tools_differ", "duplicate_row", "weight_zero", "low_fidelity"} <= made
    assert (made | set(_REASONS.values()) | UNDECIDED) - reasons.REASONS.keys() == set()


@pytest.mark.parametrize("name", sorted(reasons.REASONS))
def test_an_explanation_is_one_line_that_stays_in_a_cell(name):
    said = str(reasons.REASONS[name])
    assert said
    assert "\n" not in said
    assert "|" not in said
    assert not said.endswith(".")


def test_a_refusal_that_a_recipe_can_lift_names_the_key():
    said = reasons.explained(["call_to_unlisted_tool", "made up"])
    assert len(said) == 1
    assert said[0].startswith("call_to_unlisted_tool: ")
    assert said[0].endswith('; `unlisted_tools = "keep"` under [content] takes it')
