"""The recipes of the page about clients: a script of Python under the heading of each SDK."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from support.api_scripts import TEXT, answer
from support.gateways import gateway_to, spooled

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "clients.md"
_RECIPE = re.compile(r"^## (?P<name>[^\n]+)\n\n```python\n(?P<script>.*?)^```$", re.MULTILINE | re.DOTALL)


def recipes() -> dict[str, str]:
    """The scripts by their headings."""
    return {each["name"]: each["script"] for each in _RECIPE.finditer(PAGE.read_text("utf-8"))}


def run_recipe(name: str, python: Path, folder: Path) -> Any:
    """Run a recipe before a gateway, as it is written but for the port; gives what was captured.

    It must print what the model server said, and nothing else may be asked.
    """
    with gateway_to(folder, answer) as (gateway, upstream):
        script = recipes()[name].replace("127.0.0.1:4700", f"127.0.0.1:{gateway.settings.port}")
        clean = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        environment = {**clean, "PYTHONPATH": "", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        command = [str(python), "-c", script]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip().splitlines()[-1] == TEXT
        (seen,) = upstream.seen
        assert json.loads(seen.body)["model"] == "small"
        assert seen.header("x-regraft-session") is None
    (captured,) = spooled(folder / "spool")
    return captured
