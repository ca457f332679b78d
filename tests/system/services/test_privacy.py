"""Privacy of `regraft up`: keys are passed only to the processes that use them, and folders are private."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from regraft.infra.data_folder import is_open, make_data_folder
from regraft.infra.embedded.state import RunFolder
from regraft.infra.settings import Settings
from support.gateways import free_port

UPSTREAM, TOOL, CLIENT = "sk-upstream-4711", "tool-key-4712", "rgk_client_4713"
CONFIG = """
[gateway]
workers = 2
[client]
api_key_env = "OWN_KEY"
[upstreams.away]
base_url = "http://127.0.0.1:9/v1"
api_key_env = "AWAY_API_KEY"
[tools.notes]
command = "notes"
pass_env = ["NOTES_KEY", "PATH"]
"""


@pytest.fixture(scope="module")
def tree(servers_dir: Path) -> Iterator[dict[str, set[str]]]:
    """The keys in the environment of each process that ``regraft up`` started, by a word of its command line."""
    config = servers_dir / "regraft.toml"
    config.write_text(CONFIG)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("REGRAFT_")}
    ports = {f"REGRAFT_{name}__PORT": str(free_port()) for name in ("GATEWAY", "WEB", "DAGSTER")}
    environment = {
        **clean,
        **ports,
        "REGRAFT_DATA_DIR": str(servers_dir / "data-of-up"),
        "AWAY_API_KEY": UPSTREAM,
        "NOTES_KEY": TOOL,
        "OWN_KEY": CLIENT,
    }
    command = [sys.executable, "-m", "regraft", "--config", str(config), "up"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        try:
            assert any("All up" in line for line in up.stdout)
            yield _keys_by_process(servers_dir / "data-of-up")
        finally:
            up.terminate()
            up.communicate(timeout=90)


def _keys_by_process(data: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    run = RunFolder.of(data)
    keepers = {state.owner for path in (data / "run").glob("*.json") if (state := run.read(path.stem))}
    for process in [child for keeper in keepers for child in psutil.Process(keeper).children(recursive=True)]:
        try:
            line = " ".join(process.cmdline())
            raw = Path(f"/proc/{process.pid}/environ").read_text("utf-8", "replace")
        except (psutil.Error, OSError):
            continue  # it ended meanwhile
        keys = {key for key in (UPSTREAM, TOOL, CLIENT) if key in raw or key in line}
        for name, word in NAMES.items():
            if word in line:
                found.setdefault(name, set()).update(keys)
                break
        else:
            found.setdefault(line, set()).update(keys)
    return found


NAMES = {
    "nats": "nats-server",
    "drainer": "gateway.drain",
    "gateway worker": "multiprocessing.spawn",
    "resource tracker": "resource_tracker",
    "page": "regraft.presentation.dagster.page",
    "daemon": "dagster._daemon",
    "code server": " api grpc",
    "its proxy": "code-server",
    "dagster": "dagster.dev",
    "gateway": " gateway",
    "ingest": " ingest",
    "web": " web",
    "postgres": "postgres",
}


def test_everything_below_the_data_folder_is_closed_to_others(tree: dict[str, set[str]], servers_dir: Path) -> None:
    assert tree
    data = servers_dir / "data-of-up"
    assert not is_open(data)
    folders = [path for path in data.iterdir() if path.is_dir()]
    assert {"run", "logs", "spool", "nats", "postgres", "dagster"} <= {path.name for path in folders}
    assert [path.name for path in folders if stat.S_IMODE(path.stat().st_mode) != 0o700] == []
    assert [path.name for path in data.iterdir() if path.is_file() and path.stat().st_mode & 0o077] == []
    if os.geteuid() == 0:
        assert {path.name for path in folders if path.stat().st_uid} == {"postgres"}


def test_the_token_of_the_stream_is_in_no_command_line_and_in_no_log(
    tree: dict[str, set[str]], servers_dir: Path
) -> None:
    assert tree
    data = servers_dir / "data-of-up"
    token = (data / "run" / "nats.token").read_text().strip()
    lines = subprocess.run(["ps", "-eo", "args", "-ww"], capture_output=True, text=True, check=True).stdout
    assert "nats-server" in lines
    assert token not in lines
    logs = {path.name: path.read_text("utf-8", "replace") for path in (data / "logs").iterdir()}
    assert {"gateway.log", "ingest.log", "nats.log"} <= logs.keys()
    assert [name for name, text in logs.items() if token in text] == []


def test_keys_are_in_the_environment_of_what_uses_them_only(tree: dict[str, set[str]]) -> None:
    for name in ("postgres", "nats", "drainer", "ingest", "page", "daemon"):
        assert tree[name] == set(), name
    assert tree["gateway"] == {UPSTREAM, TOOL}
    assert tree["gateway worker"] == {TOOL}  # read again whenever a tool server is started
    assert tree["web"] == {TOOL, CLIENT}  # it replays: through the gateway, with tools that may be live
    assert tree["code server"] == {UPSTREAM, TOOL, CLIENT}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can")
def test_a_folder_that_root_makes_lets_only_the_account_of_postgresql_through(servers_dir: Path) -> None:
    group = pwd.getpwnam("nobody").pw_gid
    folder = make_data_folder(servers_dir / "made" / "data")
    assert (stat.S_IMODE(folder.stat().st_mode), folder.stat().st_gid, is_open(folder)) == (0o710, group, False)
    folder.chmod(0o711)
    assert is_open(folder)


def test_folders_that_an_earlier_version_left_open_are_closed_and_the_users_own_mode_is_kept(tmp_path: Path) -> None:
    names = ("spool", "logs", "mine")
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o755)
    tmp_path.chmod(0o755)
    make_data_folder(tmp_path)
    found = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path, *(tmp_path / name for name in names))]
    assert found == [0o755, 0o700, 0o700, 0o755]
    assert is_open(tmp_path)


def test_a_variable_that_every_program_needs_is_no_key() -> None:
    settings = Settings(tools={"a": {"command": "a", "pass_env": ["PATH", "LC_ALL", "A_KEY"]}})  # type: ignore[arg-type]
    assert settings.key_variables == {"A_KEY", "REGRAFT_API_KEY"}
