"""The files whose tests take longest come first, each worker has its share of them, and no worker ends alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

# By their longest test, on two cores; the slowest test of the first takes about a minute, of the last ten seconds.
SLOW = (
    "system/evaluation/test_partition.py",  # it compiles what the others then find compiled
    "system/services/test_faults.py",
    "system/services/test_demo.py",
    "system/lineage/test_identity.py",
    "system/datasets/test_erase_truth.py",
    "system/deploy/test_compose.py",
    "system/datasets/test_erase.py",
    "system/replay/test_replay_commands.py",
    "system/capture/test_stream_cluster.py",
    "system/replay/test_replays_killed.py",
    "system/replay/test_replay_failures.py",
    "system/services/test_full_disk.py",
    "system/services/test_guides.py",
    "system/orchestration/test_local_orchestrator.py",
    "system/deploy/test_monitored_chain.py",
    "system/lineage/test_compaction.py",
    "system/lineage/test_order.py",
    "system/deploy/test_run_launcher.py",
    "system/services/test_up_and_down.py",
    "system/evaluation/test_judge_commands.py",
    "system/replay/rollouts/test_rollout_outcomes.py",
    "system/lineage/test_returned_answers.py",
    "system/python/test_snapshot.py",
    "system/python/test_log.py",
)


def slow_first(items: Sequence[pytest.Item], workers: int) -> list[pytest.Item]:
    """The same tests. ``--dist worksteal`` gives each worker as many that follow one another: such a share begins with
    slow files, whose tests stay together, and ends with quick ones, which other workers take over."""
    by_file: dict[str, list[pytest.Item]] = {name: [] for name in SLOW}
    others: list[pytest.Item] = []
    for item in items:
        by_file.get(item.nodeid.partition("::")[0].removeprefix("tests/"), others).append(item)
    files = [each for each in by_file.values() if each]
    found: list[pytest.Item] = []
    for worker in range(workers):
        share = [item for each in files[worker::workers] for item in each]
        size = (len(items) - len(found)) // (workers - worker)
        quick = max(size - len(share), 0) if worker < workers - 1 else len(others)
        found += share + others[:quick]
        del others[:quick]
    return found
