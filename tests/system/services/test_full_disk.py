"""A disk that is full at any moment, and folders that cannot be written: a failure is one plain line, and the command
works once there is room."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from regraft.flows.datasets.freeze import freeze
from regraft.flows.lineage import reading
from regraft.infra.postgres.pool import transaction
from support.regraft_command import clean_environment, regraft_command
from support.small_graph import SmallGraph, every_kind

ROOM = (0, 6_000, 200_000)  # bytes that a file may hold: nothing is written, a beginning, most of it
RECIPE = 'name = "rows"\nkind = "sft"\n'


class Place:
    """A log with a frozen dataset, in a separate folder."""

    def __init__(self, folder: Path, truth: str, nats_url: str) -> None:
        self.folder, self.data = folder, folder / "data"
        self.data.mkdir()
        own = {"POSTGRES__DSN": truth, "NATS__URL": nats_url, "DATA_DIR": str(self.data), "EMBEDDING__MODEL": "static"}
        self.environment = {**clean_environment(), **{f"REGRAFT_{name}": value for name, value in own.items()}}
        with transaction(truth) as connection:
            every_kind(SmallGraph(connection))
        warehouse, workbench = str(self.data / "warehouse"), self.data / "workbench.duckdb"
        frozen = freeze(RECIPE, dsn=truth, workbench=workbench, warehouse=warehouse).snapshot_id
        (folder / "recipe.toml").write_text(RECIPE.replace("rows", "others"))
        line = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]}
        (folder / "talks.jsonl").write_text("".join(f"{json.dumps(line)}\n" for _ in range(50)))
        self.names = {"{session}": str(reading.sessions(truth)[0]["session_id"]), "{snapshot}": frozen}

    def regraft(self, *words: str, room: int | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        """Give a command, whose files may hold ``room`` bytes each."""

        named = (self.names.get(word, word) for word in words)
        return regraft_command(
            *named, cwd=self.folder, environment={**self.environment, **variables}, largest_file=room
        )


@pytest.fixture
def place(tmp_path: Path, truth: str, nats_url: str) -> Place:
    return Place(tmp_path, truth, nats_url)


def fault_of(done: subprocess.CompletedProcess[str]) -> str:
    """What is wrong with how a command ended: a traceback, or a failure that does not say why in one line."""
    if "Traceback" in done.stderr + done.stdout or done.returncode not in range(7):
        return f"{done.returncode}: {done.stderr}"
    lines = [line for line in done.stderr.splitlines() if line.startswith("regraft: ")]
    return f"{done.returncode}: {done.stderr}" if done.returncode and len(lines) != 1 else ""


WRITING = [
    ("keys", "create", "one"),
    ("web-token", "create", "one"),
    ("import", "talks.jsonl"),
    ("evaluate", "units"),
    ("runtime", "show", "llm_chat_turns"),
    ("dataset", "freeze", "recipe.toml"),
    ("dataset", "export", "{snapshot}", "--to", "exported"),
    ("backup", "kept"),
    ("init",),
    ("erase", "--session", "{session}", "--yes", "--forget", "forgotten"),
]


@pytest.mark.parametrize("room", ROOM)
def test_a_full_disk_is_one_line_and_the_command_works_once_there_is_room(place: Place, room: int) -> None:
    faults = []
    for words in WRITING:
        begun = time.monotonic()
        done = place.regraft(*words, room=room)
        print(" ".join(words), done.returncode, done.stderr[-300:], round(time.monotonic() - begun, 1))
        if fault := fault_of(done):
            faults.append((words, fault))
        again = place.regraft(*words)
        if "erase --resume" in again.stderr:
            again = place.regraft("erase", "--resume")
        if again.returncode and "already" not in again.stderr:
            faults.append((words, f"once there is room: {again.stderr}"))
    assert faults == []


@pytest.fixture
def sealed(place: Place, disk_folder: Path) -> Iterator[Path]:
    """A folder in which nobody can make a file, root neither where the file system knows the attribute."""
    folder = disk_folder / "sealed"
    folder.mkdir()
    folder.chmod(0o555)
    chattr = shutil.which("chattr") or ""
    if os.geteuid() == 0 and (not chattr or subprocess.run([chattr, "+i", folder], check=False).returncode):
        pytest.skip("root may write everywhere on this file system")
    yield folder
    if os.geteuid() == 0:
        subprocess.run([chattr, "-i", folder], check=True)
    folder.chmod(0o755)


def test_a_folder_that_cannot_be_written_is_named_in_one_line(place: Place, sealed: Path) -> None:
    (place.folder / "file").write_text("no folder")
    faults = []
    for words, variables in [
        (("keys", "create", "one"), {"REGRAFT_DATA_DIR": "{}/data"}),
        (("web-token", "create", "one"), {"REGRAFT_DATA_DIR": "{}/data"}),
        (("import", "talks.jsonl"), {"REGRAFT_DATA_DIR": "{}/data"}),
        (("evaluate", "units"), {"REGRAFT_DATA_DIR": "{}/data"}),
        (("dataset", "freeze", "recipe.toml"), {"REGRAFT_WAREHOUSE": "{}/warehouse"}),
        (("dataset", "export", "{snapshot}", "--to", "{}/out"), {}),
        (("backup", "{}/kept"), {}),
        (("init", "{}"), {}),
        (("judges", "init", "mine", "--to", "{}/mine.toml"), {}),
        (("dataset", "init", "mine", "--to", "{}/mine.toml"), {}),
    ]:
        for where in (str(sealed), str(place.folder / "file")):
            named = {name: value.replace("{}", where) for name, value in variables.items()}
            done = place.regraft(*(word.replace("{}", where) for word in words), **named)
            fault = fault_of(done) or (
                "" if done.returncode == 0 or where in done.stderr else f"unnamed: {done.stderr}"
            )
            print(words, where[-8:], done.returncode, done.stderr[-200:])
            if fault:
                faults.append((words, where, fault))
    assert faults == []
    assert list(sealed.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("words", [("sessions",), ("sessions", "--json"), ("db", "url")], ids=" ".join)
def test_output_that_goes_to_a_full_disk_is_one_line(place: Place, words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "regraft", *words],
            cwd=place.folder,
            env=place.environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "regraft: No space left on device.\n"
