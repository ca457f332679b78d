"""The guide to training is followed to a trained model: TRL's own command, two steps on a tiny model made here."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

if importlib.util.find_spec("torch") is None and os.environ.get("CI") != "true":
    pytest.skip("torch is not installed: run `make test-train`", allow_module_level=True)

from regraft.infra.embedded.stack import Stack
from regraft.infra.settings import Settings
from support.guides import follow
from support.tiny_model import save_tiny_model

pytestmark = pytest.mark.filterwarnings("default")

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "train.md"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the account of an embedded PostgreSQL can reach, with its database up."""
    made = Path(tempfile.mkdtemp(prefix="regraft-train-"))
    made.chmod(0o755)
    stack = Stack(Settings(data_dir=made / ".regraft"))
    stack.postgres()
    yield made
    stack.close()
    shutil.rmtree(made, ignore_errors=True)


def test_the_guide_leads_from_an_export_to_a_trained_model(folder: Path) -> None:
    model = save_tiny_model(folder / "tiny")
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HOME": str(folder / "cache")}
    followed = follow(GUIDE, folder, instead={"Qwen/Qwen2.5-0.5B-Instruct": str(model)}, variables=offline)
    assert set(followed.left_out.values()) <= {"llamafactory-cli", "axolotl"}
    assert (folder / "run" / "model.safetensors").stat().st_size > 0
    state = json.loads(next((folder / "run").glob("checkpoint-*/trainer_state.json")).read_text("utf-8"))
    assert state["global_step"] == 2
