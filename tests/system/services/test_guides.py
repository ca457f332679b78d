"""Each guide is followed as it is written, in a fresh folder with embedded servers of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from regraft.infra.embedded.stack import Stack
from regraft.infra.settings import Settings
from support.gateways import Upstream, free_port
from support.guide_models import GuideModels
from support.guides import Followed, follow

TRAINERS = frozenset({"trl", "llamafactory-cli", "axolotl"})  # tests/train follows the guide with TRL
GUIDES = Path(__file__).parents[3] / "docs" / "guides"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the account of an embedded PostgreSQL can reach, also when the tests run as root."""
    made = Path(tempfile.mkdtemp(prefix="regraft-guide-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def database(folder: Path) -> Iterator[None]:
    """Keeps the guide's database up from one command to the next, as someone who works in two terminals does."""
    stack = Stack(Settings(data_dir=folder / ".regraft"))
    stack.postgres()
    yield
    stack.close()


@pytest.mark.usefixtures("database")
def test_from_a_chatgpt_export_to_a_dpo_file(folder: Path) -> None:
    followed = follow(GUIDES / "chatgpt-to-dpo.md", folder, instead={}, variables={})
    assert followed.compared >= 5
    assert len((folder / "out" / "train.jsonl").read_text("utf-8").splitlines()) == 5


@pytest.mark.usefixtures("database")
def test_from_claude_code_transcripts_to_sft_rows(folder: Path) -> None:
    followed = follow(GUIDES / "claude-code-to-sft.md", folder, instead={}, variables={})
    assert followed.compared >= 4
    rows = (folder / "out" / "train.jsonl").read_text("utf-8")
    assert len(rows.splitlines()) == 2
    assert "<API_KEY_" in rows


def follow_with_models(page: str, folder: Path) -> tuple[Followed, GuideModels]:
    """Follow a page whose commands ask a model server, on ports that are free."""
    models = GuideModels()
    ports = {name: free_port() for name in ("GATEWAY", "WEB", "DAGSTER")}
    variables = {f"REGRAFT_{name}__PORT": str(port) for name, port in ports.items()}
    with Upstream(models) as server:
        instead = {"http://127.0.0.1:11434/v1": server.base_url, "127.0.0.1:4700": f"127.0.0.1:{ports['GATEWAY']}"}
        try:
            followed = follow(GUIDES / page, folder, instead=instead, variables=variables)
        finally:
            command = [sys.executable, "-m", "regraft", "down"]
            subprocess.run(command, cwd=folder, env={**os.environ, **variables}, capture_output=True, check=False)
    return followed, models


@pytest.mark.usefixtures("database")
def test_compare_two_local_models_on_my_traffic(folder: Path) -> None:
    followed, models = follow_with_models("compare-models.md", folder)
    assert followed.compared >= 6
    asked = Counter(each["model"] for each in models.asked)
    assert asked == {"llama3.2:3b": 7, "qwen3:8b": 7}


@pytest.mark.usefixtures("database")
def test_tune_a_system_prompt(folder: Path) -> None:
    followed, models = follow_with_models("tune-a-prompt.md", folder)
    assert followed.compared >= 4
    assert len(models.asked) == 16 + 3


@pytest.mark.usefixtures("database")
def test_find_why_my_agent_fails(folder: Path) -> None:
    followed, models = follow_with_models("why-my-agent-fails.md", folder)
    assert followed.compared >= 8
    assert sorted(each["messages"][0]["content"][:9] for each in models.asked) == ["A command", "You work "]


@pytest.mark.usefixtures("database")
def test_train_on_my_conversations(folder: Path) -> None:
    followed = follow(GUIDES / "train.md", folder, instead={}, variables={}, without=TRAINERS)
    assert followed.compared >= 3
    assert len((folder / "out-trl" / "train.jsonl").read_text("utf-8").splitlines()) == 5
    named = yaml.safe_load((folder / "my-chats-llamafactory.yaml").read_text("utf-8"))
    registered = json.loads((folder / "out-llamafactory" / "dataset_info.json").read_text("utf-8"))
    assert {named["dataset"], named["eval_dataset"]} == set(registered)
    assert yaml.safe_load((folder / "out-axolotl" / "config.yaml").read_text("utf-8"))["datasets"]
