"""Draft folders: one in use is kept, one that a killed process left is removed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from regraft.infra.files.drafts import draft_folder, remove_abandoned

KILLED = """
import os, signal, sys
from pathlib import Path
from regraft.infra.files.drafts import draft_folder
with draft_folder(sys.argv[1], Path(sys.argv[2])) as place:
    (place / "rows").write_text("what somebody said")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(prefix: str, parent: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, prefix, str(parent)], check=False)


def test_a_draft_is_gone_after_its_block(tmp_path):
    with draft_folder("rows-", tmp_path) as place:
        (place / "rows").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_the_next_draft_removes_what_a_killed_process_left(tmp_path):
    killed("rows-[x]", tmp_path)
    killed("rows-", tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    with draft_folder("rows-[x]", tmp_path) as place:
        assert len(list(tmp_path.iterdir())) == 2
    assert remove_abandoned(["rows-", "others-"], tmp_path) == 1
    assert not place.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_draft_in_use_and_folders_of_others_stay(tmp_path):
    (tmp_path / "rows-of-mine").mkdir()
    (tmp_path / "rows-abcdefgh").write_text("a file")
    with draft_folder("rows-", tmp_path) as place:
        assert remove_abandoned(["rows-"], tmp_path) == 0
        assert place.exists()


def test_a_draft_that_became_the_real_folder_stays(tmp_path):
    with draft_folder("rows-", tmp_path) as place:
        place.rename(tmp_path / "real")
    assert (tmp_path / "real").is_dir()
