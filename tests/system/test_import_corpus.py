"""Recorded conversations are imported with every branch, once, whatever interrupts it."""

from __future__ import annotations

import json

import pytest

from regraft.domain.errors import UsageError
from regraft.flows.importing import import_files
from regraft.infra.postgres.pool import connect

NORMALISED = ("hh-rlhf-harmless", "mt-bench", "oasst-trees", "tau-bench-airline", "glaive-toolcall", "vicuna-bench")


def count(dsn: str, sql: str) -> int:
    with connect(dsn) as connection:
        row = connection.execute(sql.encode()).fetchone()
    return next(iter(row.values()))


@pytest.mark.parametrize("name", NORMALISED)
def test_every_message_of_every_branch_is_kept_once(truth, corpus, name):
    counts = import_files(truth, sorted((corpus / name).glob("conversations*.jsonl.zst")))
    totals = json.loads((corpus / "totals.json").read_text())["sources"][name]
    assert counts.refused == {}
    assert counts.conversations == totals["conversations"]
    assert count(truth, "SELECT count(DISTINCT projection_id) FROM context") == totals["semantic"]["nodes"]
    assert count(truth, "SELECT count(*) FROM lineage_queue") == 0


def test_importing_again_adds_nothing(truth, corpus):
    files = sorted((corpus / "mt-bench").glob("conversations*.jsonl.zst"))
    first = import_files(truth, files)
    before = count(truth, "SELECT count(*) FROM session_turn")
    again = import_files(truth, files)
    assert first.turns == before > 0
    assert (again.turns, again.already) == (0, again.conversations)
    assert count(truth, "SELECT count(*) FROM session_turn") == before


def test_a_dry_run_counts_the_same_and_needs_no_database(truth, corpus):
    files = sorted((corpus / "oasst-trees").glob("conversations*.jsonl.zst"))
    told, stored = import_files(None, files), import_files(truth, files)
    assert (told.conversations, told.messages, told.branches) == (
        stored.conversations,
        stored.messages,
        stored.branches,
    )


def test_a_file_of_no_known_format_is_refused_by_name(truth, tmp_path):
    odd = tmp_path / "odd.json"
    odd.write_text('{"nothing": "known"}')
    with pytest.raises(UsageError, match=r"odd\.json"):
        import_files(truth, [odd])
