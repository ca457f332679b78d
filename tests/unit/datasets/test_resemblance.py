"""The parts of a comparison on Daft that need no Daft."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from regraft.domain.datasets.signature_bands import HASHES, bands
from regraft.domain.errors import UnavailableError, UsageError
from regraft.infra.daft.engine import Engine, compare


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.99, 1.0])
def test_bands_find_nearly_every_pair_at_the_threshold(threshold: float) -> None:
    count, width = bands(threshold)
    assert count * width <= HASHES
    found = 1 - (1 - threshold**width) ** count
    assert found >= 0.995


def test_far_pairs_of_a_high_threshold_seldom_share_a_band() -> None:
    count, width = bands(0.8)
    assert 1 - (1 - 0.2**width) ** count < 0.01


@pytest.mark.parametrize("ray", ["local", "local:0", "local:two", "cluster", "http://cluster:6379", "a b:1", "a:1\n"])
def test_what_is_no_ray_cluster_is_refused(ray: str) -> None:
    with pytest.raises(UsageError, match="no Ray cluster"):
        Engine(Path(sys.executable), ray)


@pytest.mark.parametrize("ray", ["", "auto", "local:2", "head:6379", "10.0.0.1:6379", "ray://head:10001"])
def test_a_ray_cluster_is_named_by_its_address(ray: str) -> None:
    assert Engine(Path(sys.executable), ray).ray == ray


def test_an_environment_that_is_not_there_is_named_with_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="make scale"):
        Engine(tmp_path / "bin" / "python")


def test_an_environment_without_daft_says_so_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="No module named 'daft'"):
        compare(Engine(Path(sys.executable)), ["nothing.parquet"], ["messages"], 0.8, tmp_path)
    assert list(tmp_path.iterdir()) == []
