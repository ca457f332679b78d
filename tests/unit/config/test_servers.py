"""PostgreSQL and NATS of a deployment: secrets in files, and commands that start nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from regraft.domain.errors import ConfigError
from regraft.infra.config.servers import with_password, with_token
from regraft.infra.embedded.stack import Stack
from regraft.infra.settings import load_settings

SECRET = "pa'ss w\\ord/@?%#:ü"


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://regraft@postgres/log",
        "postgresql://regraft@one:5432,two:5433/log?sslmode=require",
        "postgres://postgres/log",
        "host=postgres dbname=log user=regraft",
    ],
)
def test_a_password_of_any_characters_is_what_postgresql_reads_in_the_dsn(dsn: str) -> None:
    read = conninfo_to_dict(with_password(dsn, SECRET))
    assert read.pop("password") == SECRET
    assert read == conninfo_to_dict(dsn)


@pytest.mark.parametrize(
    "dsn", ["postgresql://u:own@h/log", "postgresql://u@h/log?password=own", "host=h password=own dbname=log"]
)
def test_a_dsn_with_a_password_keeps_it(dsn: str) -> None:
    assert with_password(dsn, SECRET) == dsn


def test_the_token_of_nats_is_put_into_each_server_that_has_none() -> None:
    assert with_token("nats://one:4222, tls://two:4222,three", "s/c") == (
        "nats://s%2Fc@one:4222,tls://s%2Fc@two:4222,nats://s%2Fc@three"
    )
    assert with_token("nats://own@one:4222", "secret") == "nats://own@one:4222"


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("REGRAFT_CONFIG", "REGRAFT_DATA_DIR", "REGRAFT_POSTGRES__DSN", "REGRAFT_NATS__URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_secrets_are_read_from_files_beside_the_config_file_and_are_not_shown(clean: Path) -> None:
    (clean / "password").write_text("hush hush\n")
    (clean / "etc").mkdir()
    config = clean / "etc" / "regraft.toml"
    config.write_text(
        '[postgres]\ndsn = "postgresql://u@h/log"\npassword_file = "../password"\n'
        '[nats]\nurl = "nats://h:4222"\ntoken_file = "../password"\n'
        '[dagster]\ndsn = "postgresql://u@h/dagster"\npassword_file = "../password"\n'
    )
    settings = load_settings(config)
    stack = Stack(settings, config)
    assert conninfo_to_dict(stack.bare_postgres())["password"] == "hush hush"
    assert conninfo_to_dict(stack.dagster_dsn())["password"] == "hush hush"
    assert stack.nats() == "nats://hush%20hush@h:4222"
    assert "hush" not in repr(settings)


def test_variables_name_the_same_files(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (clean / "password").write_text("word")
    monkeypatch.setenv("REGRAFT_POSTGRES__DSN", "postgresql://u@h/log")
    monkeypatch.setenv("REGRAFT_POSTGRES__PASSWORD_FILE", str(clean / "password"))
    assert Stack(load_settings()).bare_postgres() == "postgresql://u@h/log?password=word"


def test_a_secret_that_cannot_be_read_is_named(clean: Path) -> None:
    config = clean / "regraft.toml"
    config.write_text('[postgres]\ndsn = "postgresql://u@h/log"\npassword_file = "missing"\n')
    with pytest.raises(ConfigError, match="missing cannot be read: No such file"):
        load_settings(config)


def test_where_something_else_starts_services_none_is_started_here(clean: Path) -> None:
    config = clean / "regraft.toml"
    config.write_text('start_services = false\n[client]\ngateway_url = "http://gateway:4700/v1"\n')
    stack = Stack(load_settings(config), config)
    for start, setting in ((stack.bare_postgres, "postgres.dsn"), (stack.nats, "nats.url"), (stack.model, "base_url")):
        with pytest.raises(ConfigError, match=setting):
            start()
    stack.ingest()
    assert stack.gateway() == "http://gateway:4700"
    assert stack.programs() == []
    assert not (clean / ".regraft").exists()


@pytest.mark.parametrize("section", ['[client]\ngateway_url = "gateway:4700"', '[dagster]\nhost = "0.0.0.0"'])
def test_an_address_that_cannot_work_is_refused(clean: Path, section: str) -> None:
    config = clean / "regraft.toml"
    config.write_text(section)
    with pytest.raises(ConfigError, match=r"http://|hosts must list"):
        load_settings(config)
