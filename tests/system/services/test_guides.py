"""Each guide is followed as it is written, in a fresh folder with embedded servers of its own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from regraft.infra.embedded.stack import Stack
from regraft.infra.settings import Settings
from support.guides import follow

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
    """Keeps the guide's database up from one command to the next, as somebody who works in two terminals does."""
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
