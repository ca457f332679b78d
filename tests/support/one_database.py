"""Commands on a database, from a folder whose settings name it and nothing else."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from support.regraft_command import regraft_command


class OneDatabase:
    """Use as ``with``: the folder is gone at its end."""

    def __init__(self, dsn: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="regraft-")
        folder = Path(self._folder.name)
        data = json.dumps(str(folder / "data"))
        (folder / "regraft.toml").write_text(f"data_dir = {data}\n[postgres]\ndsn = {json.dumps(dsn)}\n")

    def __enter__(self) -> OneDatabase:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def regraft(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Give a command."""
        return regraft_command(*arguments, cwd=self._folder.name)

    def told(self, *arguments: str) -> Any:
        """What a command that succeeds says for programs."""
        done = self.regraft(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
