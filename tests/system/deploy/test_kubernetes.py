"""The manifests for Kubernetes: valid in several of its versions, closed, and in agreement with one another."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from regraft.infra.config.listening import EVERY_ADDRESS
from regraft.infra.settings import load_settings
from regraft.presentation.dagster import home
from support.composition import DEPLOY, compose_file, image_variables

FOLDER = DEPLOY / "kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
MANIFESTS: list[dict[str, Any]] = [
    manifest for file in KUSTOMIZATION["resources"] for manifest in yaml.safe_load_all((FOLDER / file).read_text())
]
WORKLOADS = {each["metadata"]["name"]: each for each in MANIFESTS if each["kind"] in ("Deployment", "StatefulSet")}
PODS = {name: workload["spec"]["template"] for name, workload in WORKLOADS.items()}
VERSIONS = ("1.30", "1.33", "1.37")


def containers(pod: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from pod["spec"].get("initContainers", [])
    yield from pod["spec"]["containers"]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_valid(version: str) -> None:
    for manifest in MANIFESTS:
        assert kubernetes_validate.validate(manifest, version, strict=True) == version


def test_a_mistake_would_be_found() -> None:
    wrong = yaml.safe_load((FOLDER / "namespace.yaml").read_text())
    wrong["metadata"]["lables"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="lables"):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


def test_kustomize_makes_the_same_of_them() -> None:
    program = shutil.which("kubectl")
    if program is None:
        message = "kubectl is not here (Debian: apt-get install kubernetes-client)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    made = subprocess.run([program, "kustomize", str(FOLDER)], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    built = list(yaml.safe_load_all(made.stdout))
    names = {(each["kind"], each["metadata"]["name"]) for each in built}
    generated = {("ConfigMap", each["name"]) for each in KUSTOMIZATION["configMapGenerator"]}
    assert names == {(each["kind"], each["metadata"]["name"]) for each in MANIFESTS} | generated
    for manifest in built:
        kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)
        assert manifest["kind"] == "Namespace" or manifest["metadata"]["namespace"] == "regraft"


@pytest.mark.parametrize("name", PODS)
def test_pods_keep_to_the_restricted_standard(name: str) -> None:
    spec = PODS[name]["spec"]
    assert spec["enableServiceLinks"] is False, "a Service's name would become a variable that is not a setting"
    assert spec["automountServiceAccountToken"] is (name == "dagster")
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(PODS[name]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["image"] == compose_file()["services"]["gateway"]["image"]


def test_the_user_is_that_of_the_image() -> None:
    (user,) = re.findall(r"^USER (\d+):", (DEPLOY.parent / "Dockerfile").read_text(), re.MULTILINE)
    assert {pod["spec"]["securityContext"]["runAsUser"] for pod in PODS.values()} == {int(user)}


@pytest.mark.parametrize("name", PODS)
def test_what_a_pod_mounts_and_selects_is_there(name: str) -> None:
    workload, spec = WORKLOADS[name], PODS[name]["spec"]
    claims = {each["metadata"]["name"] for each in workload["spec"].get("volumeClaimTemplates", [])}
    volumes = {each["name"]: each for each in spec["volumes"]}
    for container in containers(PODS[name]):
        assert {mount["name"] for mount in container["volumeMounts"]} <= {*volumes, *claims}
    maps = {each["name"] for each in KUSTOMIZATION["configMapGenerator"]} | {
        each["metadata"]["name"] for each in MANIFESTS if each["kind"] == "ConfigMap"
    }
    used = {volume["configMap"]["name"] for volume in volumes.values() if "configMap" in volume}
    used |= {each["configMapRef"]["name"] for item in containers(PODS[name]) for each in item.get("envFrom", [])}
    assert used <= maps
    assert workload["spec"]["selector"]["matchLabels"].items() <= PODS[name]["metadata"]["labels"].items()
    (service,) = [each for each in MANIFESTS if each["kind"] == "Service" and each["metadata"]["name"] == name]
    assert service["spec"]["selector"].items() <= PODS[name]["metadata"]["labels"].items()
    ports = {port["name"]: port["containerPort"] for port in spec["containers"][0]["ports"]}
    assert [(port["targetPort"], port["port"]) for port in service["spec"]["ports"]] == list(ports.items())
    probes = [value for key, value in spec["containers"][0].items() if key.endswith("Probe")]
    assert probes
    assert all(probe["httpGet"]["port"] in ports for probe in probes)


@pytest.mark.parametrize("name", PODS)
def test_variables_are_settings_and_there_is_time_to_finish_calls(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for secret in ("postgres_password", "nats_token", "own_key"):
        (tmp_path / secret).write_text("secret")
    (shared,) = [each["data"] for each in MANIFESTS if each["kind"] == "ConfigMap"]
    (container,) = PODS[name]["spec"]["containers"]
    own = {each["name"]: each.get("value", "") for each in container["env"]}
    for key, value in {**image_variables(), **shared, **own}.items():
        if key.startswith("REGRAFT_"):
            moved = value.replace("/run/secrets/regraft", str(tmp_path))
            monkeypatch.setenv(key, moved.replace("/etc/regraft/regraft.toml", str(FOLDER / "regraft.toml")))
    settings = load_settings()
    assert settings.start_services is False
    assert "password=secret" in settings.postgres.dsn.get_secret_value()
    assert settings.client.api_key() == "secret"
    listening = {
        "gateway": settings.gateway.host,
        "web": settings.web.host,
        "dagster": settings.dagster.host,
        "metrics": settings.metrics.host,
        "ingest": settings.ingest.metrics_host,
    }
    assert listening[name] in EVERY_ADDRESS
    if name == "gateway":
        patience = settings.gateway.drain_notice + settings.gateway.drain_seconds + 15
        assert PODS[name]["spec"]["terminationGracePeriodSeconds"] > patience
        assert settings.gateway.drain_notice > 0, "so that no call is sent to a gateway that ends"


def test_dagster_is_configured_as_elsewhere_but_for_where_runs_and_their_records_are() -> None:
    here = yaml.safe_load((FOLDER / "instance.yaml").read_text())
    elsewhere = yaml.safe_load(home._configuration(Path("/data/dagster")))
    assert set(here) - {"run_launcher"} == set(elsewhere)
    assert [key for key in elsewhere if here[key] != elsewhere[key]] == ["storage"]
    variables = {each["name"]: each.get("value") for each in run_container()["env"]}
    assert home.BATCHING.items() <= variables.items()


def run_container() -> dict[str, Any]:
    launcher = yaml.safe_load((FOLDER / "instance.yaml").read_text())["run_launcher"]["config"]
    container: dict[str, Any] = launcher["run_k8s_config"]["container_config"]
    return container
