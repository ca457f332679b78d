"""The recipes of frameworks run as they are written, each in the environment that its versions need."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.gateways import stored_turns
from support.recipes import recipes, run_recipe

REPOSITORY = Path(__file__).parents[2]
ENVIRONMENTS = {"LangChain": "frameworks", "pydantic-ai": "frameworks", "LiteLLM": "clients"}


def python_of(name):
    """The Python that has this framework. Without it the test is left out, but not in CI."""
    environment = ENVIRONMENTS[name]
    variable = f"REGRAFT_{environment.upper()}_PYTHON"
    python = Path(os.environ.get(variable) or REPOSITORY / f".venv-{environment}" / "bin" / "python")
    if not python.exists() and os.environ.get("CI") != "true":
        pytest.skip(f"{name} is not installed: run `make test-clients`")
    return python


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_framework_is_captured_as_its_recipe_says(name, tmp_path, truth):
    captured = run_recipe(name, python_of(name), tmp_path)
    (row,) = stored_turns(truth, [captured])
    assert (row["external_id"], row["history"][-1]["content"]) == ("gravel", "Which tyres for gravel?")


def test_every_script_of_the_page_is_run_by_a_test():
    assert set(recipes()) == {"OpenAI SDK", "Anthropic SDK", *ENVIRONMENTS}
