from __future__ import annotations

import pytest

from regraft.domain.errors import ConfigError
from regraft.infra.nats.servers import server_urls, without_passwords
from regraft.infra.settings import load_settings


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        ("nats://127.0.0.1:4222", ["nats://127.0.0.1:4222"]),
        ("one:4222", ["one:4222"]),
        ("nats://one:4222, tls://two,three", ["nats://one:4222", "tls://two", "three"]),
        ("nats://a:b,c@one:1,nats://a:b,c@two:2", ["nats://a:b,c@one:1", "nats://a:b,c@two:2"]),
        ("nats://to/k:e@n@[::1]:4222", ["nats://to/k:e@n@[::1]:4222"]),
    ],
)
def test_servers_are_separated_by_commas_that_a_scheme_follows(url, servers):
    assert server_urls(url) == servers


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("", "''"),
        ("nats://me:secret@one:4222,two:port", "'two:port'"),
        ("one,nats:two,three,,", "'nats:two'"),
        ("nats://me:secret@one:port", "'one:port'"),
        ("nats://me:secret@one:4222,nats://", "''"),
        ("nats://me:secret@one:0", "'one:0'"),
    ],
)
def test_what_is_no_server_is_named_without_its_password(url, named):
    with pytest.raises(ValueError, match="is not the address") as refused:
        server_urls(url)
    assert str(refused.value).startswith(named)
    assert "secret" not in str(refused.value)


def test_servers_are_shown_without_their_passwords():
    shown = without_passwords("nats://token@one:1, nats://me:sec,ret@two:2,three:3")
    assert shown == "nats://one:1,nats://two:2,nats://three:3"
    assert without_passwords("me:secret@one") == "nats://one"


def test_a_server_that_is_none_and_replicas_without_a_cluster_are_mistakes_in_the_file(tmp_path):
    file = tmp_path / "regraft.toml"
    file.write_text('[nats]\nurl = "nats://me:secret@one:4222,two:port"\n')
    with pytest.raises(ConfigError, match=r"nats\.url 'two:port' is not the address") as refused:
        load_settings(file)
    assert "secret" not in str(refused.value)
    file.write_text("[nats]\nreplicas = 3\n")
    with pytest.raises(ConfigError, match="the url of a cluster"):
        load_settings(file)
    file.write_text('[nats]\nreplicas = 3\nurl = "nats://one,nats://two"\n')
    assert load_settings(file).nats.replicas == 3
