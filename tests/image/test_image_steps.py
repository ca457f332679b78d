"""The Dockerfile without a container runtime: its steps run in folders, and the services start from the result."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.composition import REPOSITORY, Composition
from support.deployments import Numbered
from support.dockerfile_steps import DockerfileSteps
from support.gateways import Upstream
from support.sealed import can_seal

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def image() -> Iterator[Path]:
    """The folder that represents the image's root; every account can reach it."""
    with tempfile.TemporaryDirectory(prefix="regraft-image-") as folder:
        Path(folder).chmod(0o755)
        yield DockerfileSteps(REPOSITORY, Path(folder) / "stages").build()


def test_the_image_has_the_page_and_no_tool_that_builds(image: Path) -> None:
    programs = {each.name for each in (image / "opt/regraft/bin").iterdir()}
    assert {"regraft", "nats-server", "dagster"} <= programs
    assert not programs & {"pip", "pip3", "hatchling", "node", "npm"}
    (packages,) = (image / "opt/regraft/lib").glob("python3*/site-packages")
    assert (packages / "regraft/presentation/web/static/index.html").is_file()
    assert (packages / "dagster_k8s").is_dir()
    assert not (packages / "xllamacpp").exists()


def test_its_services_capture_and_show_a_call(image: Path) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="regraft-", ignore_cleanup_errors=True) as folder,
        Upstream(Numbered()) as upstream,
    ):
        Path(folder).chmod(0o755)
        composition = Composition(Path(folder), upstream.base_url, seal=can_seal(), image=image)
        try:
            composition.start_postgres()
            composition.start("nats")
            composition.run("migrate")
            for name in ("gateway", "ingest", "web", "dagster", "metrics"):
                composition.start(name)
            found = composition.run("web", "regraft", "--version")
            assert found.startswith("regraft ")
            assert [composition.stop(name) for name in ("metrics", "dagster", "web", "ingest", "gateway")] == [0] * 5
        finally:
            composition.close()


def test_its_python_is_that_of_the_base_image(image: Path) -> None:
    python = image / "opt/regraft/bin/python"
    done = subprocess.run([str(python), "-c", "import regraft, sys; print(sys.prefix)"], capture_output=True, text=True)
    assert Path(done.stdout.strip()).is_dir(), done.stderr
