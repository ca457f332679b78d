"""Rows of Parquet files read from any place on, found by id, and searched in their columns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.io.pyarrow import PyArrowFileIO

from regraft.domain.datasets.rows import Row, RowSource
from regraft.domain.errors import IntegrityError
from regraft.infra.iceberg.row_search import matching
from regraft.infra.iceberg.rows import to_batch
from regraft.infra.iceberg.stored_files import StoredFile, StoredFiles
from support.rows import ANSWER, TOOLS, USER, calls, pair, result, says, sft

GROUP = 7  # rows of a row group


def numbered(number: int) -> Row:
    source = RowSource("answer", f"0000{number:04d}-node", f"turn-{number}")
    messages = (says("user", f"Question {number} of Été"), says("assistant", "Answer."))
    more = {"row_id": f"row-{number:04d}", "sources": (source,), "session_id": f"session-{number // 10}"}
    return replace(sft(*messages, stratum="even" if number % 2 == 0 else "odd", label_source="human"), **more)


@pytest.fixture
def stored(tmp_path: Path) -> StoredFiles:
    """Three files of two splits with 20, 5 and 30 rows, in groups of seven."""
    files, first = [], 0
    for split, rows in (("test", 20), ("train", 5), ("train", 30)):
        path = tmp_path / f"{split}-{first}.parquet"
        batch = to_batch([(numbered(first + each), split) for each in range(rows)], "sft")
        pq.write_table(pa.Table.from_batches([batch]), path, row_group_size=GROUP)
        files.append(StoredFile(path.as_uri(), split, first, rows))
        first += rows
    return StoredFiles(PyArrowFileIO(), files)


def ids(stored: StoredFiles, start: int, split: str | None = None) -> list[tuple[int, str]]:
    found = []
    for first, batch in stored.scan(start, split):
        found += [(first + place, one) for place, one in enumerate(batch.column("row_id").to_pylist())]
    return [one for one in found if one[0] >= start]


@pytest.mark.parametrize("start", [0, 1, 6, 7, 8, 19, 20, 24, 25, 31, 54, 55, 10**9])
def test_rows_are_read_from_any_place_to_the_end(stored: StoredFiles, start: int) -> None:
    assert stored.rows == 55
    assert ids(stored, start) == [(number, f"row-{number:04d}") for number in range(start, 55)]
    assert ids(stored, start, "train") == [(number, f"row-{number:04d}") for number in range(max(start, 20), 55)]


def test_every_row_is_found_by_its_id(stored: StoredFiles) -> None:
    wanted = [f"row-{number:04d}" for number in range(55)]
    assert stored.places(wanted) == {row_id: number for number, row_id in enumerate(wanted)}
    assert stored.places(["row-0054", "none"]) == {"row-0054": 54}
    for number in (0, 6, 7, 20, 54):
        assert stored.at(number).column("row_id").to_pylist() == [f"row-{number:04d}"]


def test_a_file_that_is_gone_is_said_to_be(stored: StoredFiles, tmp_path: Path) -> None:
    (tmp_path / "train-20.parquet").unlink()
    with pytest.raises(IntegrityError):
        ids(stored, 0)


def found(batch: pa.RecordBatch, kind: str = "sft", **wanted: str) -> list[int]:
    return matching(batch, kind, **wanted)


def test_text_is_found_in_messages_whatever_its_case_also_in_a_slice(stored: StoredFiles) -> None:
    batch = next(batch for _, batch in stored.scan(0))
    assert found(batch, text="question 3 of") == [3]
    assert found(batch, text="ÉTÉ") == list(range(batch.num_rows))
    assert found(batch.slice(2, 4), text="question 3 of") == [1]
    assert found(batch, text="question 3 of", stratum="even") == []
    assert found(batch, stratum="odd", label_source="human") == [1, 3, 5]
    assert found(batch, label_source="model") == []


def test_ids_are_found_by_their_start(stored: StoredFiles) -> None:
    batch = next(batch for _, batch in stored.scan(0))
    assert found(batch, text="row-0004") == [4]
    assert found(batch, text="00000005-NODE") == [5]
    assert found(batch, text="session-0") == list(range(batch.num_rows))
    assert found(batch, text="node") == []


def test_calls_parts_and_both_sides_are_searched() -> None:
    rows = [
        sft(USER, calls('{"city": "Oslo"}'), result("cold"), ANSWER, tools=TOOLS),
        sft(USER, says("assistant", None, parts=["one part", "another"])),
        sft(USER, ANSWER),
    ]
    batch = to_batch([(replace(row, row_id=f"r{place}"), "train") for place, row in enumerate(rows)], "sft")
    assert found(batch, text='"city": "oslo"') == [0]
    assert found(batch, text="weather") == [0, 1, 2]  # the question names it too
    assert found(batch, text="another") == [1]
    sides = to_batch([(pair((USER,)), "train")], "dpo")
    assert found(sides, "dpo", text="I do not know") == [0]
    assert found(sides, "dpo", text="nothing like it") == []
