"""Which config file and which data folder a command works with."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from regraft.infra.config.place import anchored
from regraft.infra.files.settings_file import settings_example, write_settings
from regraft.infra.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("REGRAFT_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project" / "src" / "deep"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def test_a_config_file_above_is_found_and_its_data_are_beside_it(below: Path, tmp_path: Path) -> None:
    (tmp_path / "project" / "regraft.toml").write_text("[gateway]\nport = 4711\n")
    settings = load_settings()
    assert settings.gateway.port == 4711
    assert settings.data_dir == tmp_path / "project" / ".regraft"


def test_the_nearest_config_file_counts_and_a_named_one_wins(
    below: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project" / "regraft.toml").write_text("[gateway]\nport = 4711\n")
    (below.parent / "regraft.toml").write_text("[gateway]\nport = 4712\n")
    other = tmp_path / "other.toml"
    other.write_text("[gateway]\nport = 4713\n")
    assert load_settings().gateway.port == 4712
    monkeypatch.setenv("REGRAFT_CONFIG", str(other))
    assert load_settings().gateway.port == 4713
    assert load_settings().data_dir == tmp_path / ".regraft"


def test_without_a_config_file_the_nearest_data_folder_counts(below: Path, tmp_path: Path) -> None:
    assert load_settings().data_dir == Path(".regraft")
    (tmp_path / "project" / ".regraft").mkdir()
    assert load_settings().data_dir == tmp_path / "project" / ".regraft"
    (below / ".regraft").mkdir()
    assert load_settings().data_dir == Path(".regraft")


def test_a_variable_names_the_data_folder_from_the_working_directory(
    below: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project" / "regraft.toml").write_text("data_dir = 'data'\n")
    assert load_settings().data_dir == tmp_path / "project" / "data"
    monkeypatch.setenv("REGRAFT_DATA_DIR", "mine")
    assert load_settings().data_dir == Path("mine")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to other accounts")
def test_a_config_file_of_another_account_above_is_not_read(below: Path, tmp_path: Path) -> None:
    planted = tmp_path / "project" / "regraft.toml"
    planted.write_text("[tools.bad]\ncommand = 'bad'\n")
    os.chown(planted, 65534, 65534)
    assert load_settings().tools == {}


def test_relative_paths_of_a_config_file_are_relative_to_it() -> None:
    document = {
        "warehouse": "s3://bucket/frozen",
        "upstreams": {"a": {"base_url": "http://x/v1", "api_key_file": "keys/a"}, "b": {"api_key_file": "/abs/b"}},
        "tools": {"notes": {"env_files": {"KEY": "k"}}},
        "gateway": {"port": 1},
    }
    found = anchored(document, Path("/home/me"))
    assert found["warehouse"] == "s3://bucket/frozen"
    assert found["upstreams"]["a"] == {"base_url": "http://x/v1", "api_key_file": "/home/me/keys/a"}
    assert found["upstreams"]["b"]["api_key_file"] == "/abs/b"
    assert found["tools"]["notes"]["env_files"] == {"KEY": "/home/me/k"}
    assert document["upstreams"]["a"]["api_key_file"] == "keys/a"


def test_a_new_config_file_changes_nothing_and_names_every_setting(tmp_path: Path) -> None:
    document = tomllib.loads(settings_example())
    assert Settings(**document) == Settings()
    for name in Settings.model_fields:
        assert name in settings_example()


def test_a_config_file_that_exists_is_left_as_it_is(tmp_path: Path) -> None:
    assert write_settings(tmp_path / "new")
    (tmp_path / "new" / "regraft.toml").write_text("[gateway]\nport = 4711\n")
    assert not write_settings(tmp_path / "new")
    assert (tmp_path / "new" / "regraft.toml").read_text() == "[gateway]\nport = 4711\n"
    assert (tmp_path / "new" / ".regraft").is_dir()
