"""The guide to pivots, as a reader follows it: eight samples of a context narrow what is known of it."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from regraft.infra.embedded.postgres import PostgresEndpoint
from support.deployments import Deployment, Numbered, deployed, fails
from support.waiting import until

GUIDE = (Path(__file__).parents[3] / "docs" / "how-to" / "pivots.md").read_text("utf-8")
SCRIPTS = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", GUIDE, re.DOTALL))
COMMANDS = [block.splitlines() for block in re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)]


class Shop(Numbered):
    """A model that knows the rule six times of ten."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.drawn = random.Random(seed)

    def text(self, number: int) -> str:
        return f"Within {30 if self.drawn.random() < 0.6 else 14} days, as case {number} shows."


@pytest.fixture
def shop(tmp_path: Path, postgres: PostgresEndpoint) -> Iterator[Deployment]:
    with deployed(tmp_path, postgres, model=Shop(seed=1)) as running:
        for name, script in SCRIPTS.items():
            (tmp_path / name).write_text(script.replace("127.0.0.1:4700", f"127.0.0.1:{running.port}"))
        yield running


def follow(shop: Deployment, commands: list[str]) -> None:
    """Give the commands of a block, and wait for what they report."""
    for command in commands:
        program, *arguments = command.split()
        if program == "python":
            subprocess.run([sys.executable, *arguments], cwd=shop.folder, check=True, timeout=120)
            answers = len(shop.model.asked)
            table = "session_turn" if arguments == ["ask.py"] else "feedback"
            until(lambda table=table, answers=answers: shop.ask(f"SELECT 1 FROM {table}")[answers - 1 :] != [])
        else:
            done = shop.regraft(*arguments)
            assert done.returncode == 0, done.stderr


def test_eight_samples_shrink_the_spread_of_a_pivot(shop: Deployment) -> None:
    first, more = COMMANDS
    follow(shop, first)
    before = shop.told("pivots")["items"]
    assert [(row["answers"], row["leaves"]) for row in before] == [(2, 2)]
    assert before[0]["spread"] == pytest.approx(0.5**0.5)
    follow(shop, more)
    assert len(shop.model.asked) == 10
    (after,) = shop.told("pivots")["items"]
    right = sum(row["value"] for row in shop.ask("SELECT value FROM feedback"))
    assert (after["node_id"], after["answers"]) == (before[0]["node_id"], 10)
    assert after["mean"] == pytest.approx(right / 10)
    assert after["spread"] < before[0]["spread"]
    assert after["error"] < before[0]["error"] / 2
    drawn = shop.regraft("tree", shop.ask("SELECT session_id FROM conversation_sessions")[0]["session_id"].hex)
    assert "◆ spread" in drawn.stdout
    assert "outcome 1.00 of 1" in drawn.stdout
    assert "◆ pivot" in drawn.stdout


def test_a_log_without_pivots_has_none_and_an_unknown_query_is_refused(shop: Deployment) -> None:
    assert shop.told("pivots") == {"sessions": 0, "pivots": 0, "items": []}
    assert shop.told("replay", "--pivots", "--samples", "2")["ran"] == 0
    fails(shop.regraft("pivots", "--session", "nothing"), 2, "nothing")
