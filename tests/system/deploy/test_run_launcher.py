"""Dagster's runs as jobs of Kubernetes: the job that is asked for is valid and closed, and its command does the run."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import kubernetes_validate
import psycopg
import pytest
import yaml
from dagster import AssetKey, DagsterInstance, DagsterRunStatus
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.launcher import LaunchRunContext
from psycopg.conninfo import conninfo_to_dict

from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.infra.embedded.postgres import PostgresEndpoint
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect
from regraft.presentation.dagster.capture import MADE
from regraft.presentation.dagster.definitions import defs
from regraft.presentation.dagster.home import MODULE
from support.composition import DEPLOY, Composition, image_variables
from support.kubernetes_api import JobsApi
from support.waiting import until

FOLDER = DEPLOY / "kubernetes"
ASSET_JOB = "__ASSET_JOB"


@pytest.fixture
def storage(postgres: PostgresEndpoint) -> Iterator[dict[str, Any]]:
    """A database for Dagster's runs, as its address in parts."""
    name = f"dagster_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    yield conninfo_to_dict(postgres.admin_dsn(name))
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def api() -> Iterator[JobsApi]:
    with JobsApi() as running:
        yield running


@pytest.fixture
def instance(
    tmp_path: Path, storage: dict[str, Any], api: JobsApi, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DagsterInstance]:
    """Dagster as the manifests configure it, with the addresses of this machine."""
    server = {"hostname": storage["host"], "port": int(storage["port"]), "db_name": storage["dbname"]}
    write_instance(tmp_path, tmp_path / "data", api, server)
    monkeypatch.setenv("DAGSTER_PG_PASSWORD", storage["password"])
    with DagsterInstance.from_config(str(tmp_path)) as made:
        yield made


def test_a_run_is_a_job_that_is_valid_and_closed_and_that_does_it(
    instance: DagsterInstance, api: JobsApi, truth: str, storage: dict[str, Any], tmp_path: Path, calls: Any
) -> None:
    with connect(truth, autocommit=True) as connection:
        ingest(connection, [encode_exchange(calls())], SeenIds())
    repository = ReconstructableRepository.for_module(MODULE, "defs", str(tmp_path))
    run = instance.create_run_for_job(
        defs.resolve_implicit_global_asset_job_def(),
        asset_selection={AssetKey(name) for name in MADE},
        job_code_origin=repository.get_reconstructable_job(ASSET_JOB).get_python_origin(),
    )
    instance.run_launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=None))

    ((namespace, job),) = api.jobs
    assert namespace == "regraft"
    assert kubernetes_validate.validate(job, "1.33", strict=True)
    pod = job["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert container["image"] == "regraft:0.1.0"
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert pod["spec"]["enableServiceLinks"] is False
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["metadata"]["labels"]["regraft/data"] == "shared"
    (affinity,) = pod["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert affinity["labelSelector"]["matchLabels"] == {"regraft/data": "shared"}
    assert storage["password"] not in str(job), "an argument can be read by who lists processes"

    done = subprocess.run(
        [str(Path(sys.executable).parent / container["args"][0]), *container["args"][1:]],
        env=variables(container, truth, storage["password"], tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    finished = instance.get_run_by_id(run.run_id)
    assert finished is not None
    assert finished.status is DagsterRunStatus.SUCCESS
    with duckdb.connect(str(tmp_path / "data" / "workbench.duckdb"), read_only=True) as workbench:
        assert workbench.execute("SELECT count(*) FROM llm_chat_turns").fetchone() == (1,)


def test_a_queued_run_becomes_a_job_of_the_daemon_that_the_dagster_service_runs(
    open_folder: Path, api: JobsApi
) -> None:
    composition = Composition(open_folder, "http://127.0.0.1:9/v1")
    try:
        composition.start_postgres()
        composition.run("migrate")
        data = open_folder / "root" / "data"
        (data / "dagster").mkdir()
        server = {"hostname": "127.0.0.1", "port": int(composition.ports["5432"])}
        write_instance(data / "dagster", data, api, server)
        password = (open_folder / "root/run/secrets/postgres_password").read_text()
        composition.services["dagster"]["environment"]["DAGSTER_PG_PASSWORD"] = password
        composition.start("dagster")
        launched = queue_run(int(composition.ports["4702"]))
        until(lambda: api.jobs, 120)
        ((namespace, job),) = api.jobs
        assert namespace == "regraft"
        assert job["metadata"]["labels"]["dagster/run-id"] == launched
        assert job["spec"]["template"]["spec"]["containers"][0]["image"] == "regraft:0.1.0"
        assert composition.stop("dagster") == 0
    finally:
        composition.close()


def queue_run(port: int) -> str:
    """Ask Dagster's page for a run of the runtime tables; the run's id."""
    selection = ",".join(f'{{path: ["{name}"]}}' for name in MADE)
    query = f"""mutation {{ launchRun(executionParams: {{mode: "default", selector: {{
        repositoryLocationName: "{MODULE}", repositoryName: "__repository__", jobName: "{ASSET_JOB}",
        assetSelection: [{selection}]}}}})
        {{ __typename ... on LaunchRunSuccess {{ run {{ runId }} }} ... on PythonError {{ message }} }} }}"""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/graphql", json.dumps({"query": query}), {"Content-Type": "application/json"})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    assert "errors" not in answer, answer
    assert answer["data"]["launchRun"]["__typename"] == "LaunchRunSuccess", answer
    return str(answer["data"]["launchRun"]["run"]["runId"])


def write_instance(home: Path, data: Path, api: JobsApi, server: dict[str, Any]) -> None:
    """The configuration of the manifests, with another server and another cluster."""
    document = yaml.safe_load((FOLDER / "instance.yaml").read_text().replace("/data/", f"{data}/"))
    document["storage"]["postgres"]["postgres_db"].update(server)
    cluster = {"load_incluster_config": False, "kubeconfig_file": str(api.write_kubeconfig(home / "kubeconfig"))}
    document["run_launcher"]["config"].update(cluster)
    (home / "dagster.yaml").write_text(yaml.safe_dump(document))


def variables(container: dict[str, Any], dsn: str, password: str, folder: Path) -> dict[str, str]:
    """What the container's process would be given, with this machine's database, folder and code."""
    given = dict(image_variables())
    for source in container["envFrom"]:
        (settings,) = yaml.safe_load_all((FOLDER / "settings.yaml").read_text())
        assert source["configMapRef"]["name"] == settings["metadata"]["name"]
        given |= settings["data"]
    for each in container["env"]:
        given[each["name"]] = each.get("value") or password
    secrets = folder / "secrets"
    secrets.mkdir()
    for name in ("postgres_password", "nats_token"):
        (secrets / name).write_text(password)
    (folder / "data").mkdir(exist_ok=True)
    moved = {
        "REGRAFT_CONFIG": str(FOLDER / "regraft.toml"),
        "REGRAFT_DATA_DIR": str(folder / "data"),
        "REGRAFT_POSTGRES__DSN": dsn,
        "DAGSTER_HOME": str(folder),
        "HOME": str(folder / "data"),
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    }
    return {key: value.replace("/run/secrets/regraft", str(secrets)) for key, value in {**given, **moved}.items()}
