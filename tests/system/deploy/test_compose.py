"""The Compose file: valid, closed, pinned; and its services, started here as it starts them."""

from __future__ import annotations

import http.client
import json
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from regraft.infra.config.listening import EVERY_ADDRESS
from regraft.infra.settings import load_settings
from support.composition import DEPLOY, Composition, compose_file, image_variables
from support.deployments import Numbered
from support.gateways import Upstream
from support.sealed import can_seal
from support.waiting import until

SERVICES: dict[str, Any] = compose_file()["services"]
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("regraft:")]
ONCE = ["migrate", "reader"]


@pytest.fixture
def composition(open_folder: Path) -> Iterator[Composition]:
    with Upstream(Numbered()) as upstream:
        running = Composition(open_folder, upstream.base_url)
        try:
            running.start_postgres()
            running.start("nats")
            running.run("migrate")
            running.run("reader")
            yield running
        finally:
            running.close()


def test_the_file_is_valid_by_the_compose_specification() -> None:
    whole = compose_file()
    # This parser does not know the address `host-gateway`, which Docker and Podman replace by the host's.
    assert whole["services"]["gateway"].pop("extra_hosts") == ["host.docker.internal:host-gateway"]
    read = PyCompose.from_json(json.dumps(whole)).to_spec()
    assert set(read.services) == set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_has_no_rights_that_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    user, _, _ = service["user"].partition(":")
    assert user.isdigit()
    assert user != "0"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    image, _, tag = service["image"].partition(":")
    assert image
    assert tag.count(".") >= 1, "an exact version"
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert name in ONCE or service["healthcheck"]["test"][0] == "CMD"


def test_every_file_that_it_names_is_there_but_the_secrets() -> None:
    whole = compose_file()
    files = [each["file"] for each in whole["configs"].values()]
    volumes = [volume for service in SERVICES.values() for volume in service.get("volumes", [])]
    binds = [volume.partition(":")[0] for volume in volumes if volume.startswith(".")]
    missing = [file for file in (*files, *binds) if not (DEPLOY / file).exists()]
    assert missing == []
    used = {each["source"] for service in SERVICES.values() for each in service.get("configs", [])}
    assert used == set(whole["configs"])
    secrets = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}
    assert secrets == set(whole["secrets"])


def test_secrets_are_made_once_in_a_folder_of_their_owner(tmp_path: Path) -> None:
    script = tmp_path / "make-secrets"
    script.write_bytes((DEPLOY / "make-secrets").read_bytes())
    script.chmod(0o755)
    subprocess.run([str(script)], check=True, stdout=subprocess.DEVNULL)
    folder = tmp_path / "secrets"
    made = {file.name: file.read_text() for file in folder.iterdir()}
    assert {f"./secrets/{name}" for name in made} == {each["file"] for each in compose_file()["secrets"].values()}
    assert all(len(secret) == 48 for secret in made.values())
    assert len(set(made.values())) == len(made)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (folder / "nats_token").unlink()
    subprocess.run([str(script)], check=True, stdout=subprocess.DEVNULL)
    again = {file.name: file.read_text() for file in folder.iterdir()}
    assert {name for name in made if again[name] != made[name]} == {"nats_token"}


@pytest.mark.parametrize("name", [name for name in OURS if name != "nats"])
def test_its_variables_are_settings_and_a_service_that_listens_beyond_loopback_is_guarded(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for secret in ("postgres_password", "nats_token"):
        (tmp_path / secret).write_text("secret")
    for key, value in {**image_variables(), **SERVICES[name]["environment"]}.items():
        if key.startswith("REGRAFT_"):
            moved = value.replace("/run/secrets", str(tmp_path)).replace("/etc/regraft", str(DEPLOY))
            monkeypatch.setenv(key, moved)
    settings = load_settings()
    assert settings.start_services is False
    assert settings.upstreams
    assert settings.client.gateway_url == "http://gateway:4700"
    if settings.gateway.host in EVERY_ADDRESS:
        assert settings.gateway.needs_keys
    if settings.web.host in EVERY_ADDRESS:
        assert settings.web.tokens_file is not None


def test_its_services_capture_store_show_and_replay_calls_and_end_when_they_are_told_to(
    composition: Composition,
) -> None:
    composition.services["gateway"]["environment"]["REGRAFT_GATEWAY__REQUIRE_KEYS"] = "true"  # on loopback it is not so
    for name in ("gateway", "ingest", "web", "metrics"):
        composition.start(name)
    composition.run("gateway", "regraft", "keys", "create", "own", "--file", "/data/own-key")
    key = json.loads(composition.run("gateway", "regraft", "keys", "create", "client", "--json"))["key"]

    assert ask(composition, key="")[0] == 401
    status, answer = ask(composition, key)
    assert (status, answer["choices"][0]["message"]["content"]) == (200, "answer 1")
    until(lambda: sessions(composition), 60)
    (session,) = sessions(composition)
    assert json.loads(composition.run("web", "regraft", "tree", session["session_id"], "--json"))
    ((node,),) = rows(composition, "regraft", "SELECT node_id FROM session_turn")

    scraped = {target: page(composition, target) for target in targets() if "vector" not in target}
    assert all("regraft_" in text for text in scraped.values())
    with pytest.raises(AssertionError, match="needs a sign-in"):
        page(composition, "web:4701")

    url = composition.run("web", "regraft", "open", "--print")
    assert url.startswith(f"http://127.0.0.1:{composition.ports['4701']}/#key=")
    replayed = composition.run("web", "regraft", "replay", str(node), "--temperature", "0.5", "--json")
    assert json.loads(replayed)
    status = json.loads(composition.run("web", "regraft", "status", "--json"))
    assert {row["state"] for row in status["services"]} == {"configured"}
    found = json.loads(composition.run("web", "regraft", "doctor", "--json"))
    assert [each for each in found if each["level"] == "wrong"] == []
    composition.run("web", "regraft", "backup", "/tmp/backup")
    assert (composition.folder / "root/tmp/backup/truth.dump").stat().st_size > 0
    assert not (composition.folder / "root/data/run").exists(), "no container says what runs in another"
    assert [composition.stop(name) for name in ("metrics", "web", "ingest", "gateway")] == [0, 0, 0, 0]


def test_dagster_keeps_its_runs_in_the_database_of_its_own(composition: Composition) -> None:
    composition.start("dagster")
    names = "SELECT count(*) FROM information_schema.tables WHERE table_name = 'runs'"
    (runs,) = rows(composition, "dagster", names)
    assert runs == (1,)
    (runs,) = rows(composition, "regraft", names)
    assert runs == (0,)
    assert composition.stop("dagster") == 0


@pytest.mark.skipif(not can_seal(), reason="needs root, and the right to make a mount namespace")
def test_services_hold_no_rights_and_write_to_their_volumes_alone(open_folder: Path) -> None:
    with Upstream(Numbered()) as upstream:
        composition = Composition(open_folder, upstream.base_url, seal=True)
        try:
            composition.start_postgres()
            composition.start("nats")
            for once in ONCE:
                composition.run(once)
            for name in ("gateway", "ingest", "web", "dagster", "metrics"):
                composition.start(name)
            assert "Read-only file system" in refused(composition, "open('/etc/written', 'w')")
            assert "Operation not permitted" in refused(composition, "import os; os.setuid(0)")
            assert ask(composition, "")[0] == 200
            until(lambda: sessions(composition), 60)
            composition.run("web", "regraft", "evaluate", "units")
            assert composition.run("web", "regraft", "replay", "--help")
            assert [composition.stop(name) for name in ("metrics", "dagster", "web", "ingest", "gateway")] == [0] * 5
        finally:
            composition.close()


def refused(composition: Composition, code: str) -> str:
    """What Python says where it may not do this."""
    words = ["try:", f"    exec({code!r})", "except OSError as error:", "    print(error)"]
    return composition.run("web", "python", "-c", "\n".join(words))


def ask(composition: Composition, key: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", int(composition.ports["4700"]), timeout=30)
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello"}]})
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    try:
        connection.request("POST", "/v1/chat/completions", body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def targets() -> list[str]:
    """Where Prometheus scrapes in the composition."""
    groups = yaml.safe_load((DEPLOY / "prometheus" / "targets.compose.yml").read_text())
    return [target for group in groups for target in group["targets"]]


def page(composition: Composition, target: str) -> str:
    """The page of metrics as Prometheus asks for it: by the service's name and without a token."""
    _, _, port = target.partition(":")
    connection = http.client.HTTPConnection("127.0.0.1", int(composition.ports[port]), timeout=30)
    try:
        connection.request("GET", "/metrics", headers={"Host": target})
        answer = connection.getresponse()
        text = answer.read().decode()
        assert answer.status == 200, (target, text)
        return text
    finally:
        connection.close()


def sessions(composition: Composition) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(composition.run("web", "regraft", "sessions", "--json"))
    return found


def rows(composition: Composition, database: str, query: str) -> list[tuple[Any, ...]]:
    import psycopg

    with psycopg.connect(
        host="127.0.0.1",
        port=composition.ports["5432"],
        user="regraft",
        dbname=database,
        password=(composition.folder / "root/run/secrets/postgres_password").read_text(),
    ) as connection:
        return connection.execute(query.encode()).fetchall()
