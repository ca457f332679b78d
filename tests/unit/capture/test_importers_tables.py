"""Parquet, Arrow and CSV files are read as lines, batch by batch, and their rows by what they hold."""

from __future__ import annotations

import json
import zipfile
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest

from regraft.domain.capture.importers import conversations, detected
from regraft.domain.capture.importers.records import records
from regraft.domain.errors import UsageError
from regraft.infra.files.exports import opened, parts

ROWS = [
    {
        "conversation_hash": f"h{at}",
        "model": "gpt-4",
        "timestamp": datetime(2026, 1, 1, tzinfo=UTC),
        "conversation": [
            {"role": "user", "content": f"q{at}", "toxic": None, "turn_identifier": at},
            {"role": "assistant", "content": f"a{at}", "toxic": False, "turn_identifier": at},
        ],
        "score": 0.5,
    }
    for at in range(700)
]


def rows(path):
    """The records of all parts of a path."""
    found = []
    for part in parts(path):
        with opened(part) as file:
            found += list(records(file.pieces))
    return found


def said(path):
    found = rows(path)
    importer = detected(found[0])
    talks = [talk for _, talk in conversations(importer, found)]
    return importer.form, [[each.message["content"] for each in talk.said] for talk in talks], talks


def write_parquet(path, table):
    pa.parquet.write_table(table, path, row_group_size=300)


def write_file(path, table):
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def write_stream(path, table):
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)


@pytest.mark.parametrize(
    ("name", "write"),
    [("t.parquet", write_parquet), ("t.arrow", write_file), ("t.arrow", write_stream), ("no-name", write_parquet)],
)
def test_rows_of_columnar_files_are_conversations(tmp_path, name, write):
    write(tmp_path / name, pa.Table.from_pylist(ROWS))
    form, words, talks = said(tmp_path / name)
    assert form == "turns"
    assert words == [[f"q{at}", f"a{at}"] for at in range(700)]
    assert talks[3].key == "h3"
    assert talks[3].started_ns == 1_767_225_600_000_000_000
    assert [each.name for each in talks[3].said[1].judgements] == ["score"]
    assert talks[3].said[0].rest == {}


def test_a_table_in_a_folder_and_in_a_zip_is_read(tmp_path):
    folder = tmp_path / "set" / "data"
    folder.mkdir(parents=True)
    write_parquet(folder / "train-0.parquet", pa.Table.from_pylist(ROWS[:2]))
    assert len(rows(tmp_path / "set")) == 2
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.write(folder / "train-0.parquet", "data/train-0.parquet")
    assert len(rows(tmp_path / "set.zip")) == 2


@pytest.mark.parametrize(("name", "delimiter"), [("t.csv", ","), ("t.tsv", "\t"), ("t.csv", ";")])
def test_csv_cells_may_hold_lines_delimiters_quotes_and_turns_as_json(tmp_path, name, delimiter):
    turns = json.dumps([{"role": "user", "content": 'say "x",\ny;z'}, {"role": "assistant", "content": "ok"}])
    cells = [["id", "messages", "empty"], ["7", turns, ""]]
    text = "\r\n".join(delimiter.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in cells)
    (tmp_path / name).write_text("\ufeff" + text)
    _, words, talks = said(tmp_path / name)
    assert words == [['say "x",\ny;z', "ok"]]
    assert talks[0].key == "7"


def test_csv_labels_and_votes_are_read_from_their_texts(tmp_path):
    (tmp_path / "k.csv").write_text("prompt,completion,label\nq,a,True\nr,b,0\n")
    _, _, talks = said(tmp_path / "k.csv")
    assert [each.said[1].judgements[0].value for each in talks] == [1.0, 0.0]


def test_broken_tables_are_refused_with_a_reason(tmp_path):
    (tmp_path / "t.parquet").write_bytes(b"PAR1" + b"\0" * 40)
    with pytest.raises(UsageError, match="cannot be read as a table"):
        rows(tmp_path / "t.parquet")
    (tmp_path / "t.csv").write_text("a,b\n1,2,3\n")
    with pytest.raises(UsageError, match="more cells than columns"):
        rows(tmp_path / "t.csv")


def test_values_that_json_has_none_for_are_written_as_text(tmp_path):
    table = pa.table(
        {"x": [float("nan")], "blob": [b"\xff\x00"], "m": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64()))}
    )
    write_parquet(tmp_path / "t.parquet", table)
    assert rows(tmp_path / "t.parquet")[0].value == {"x": "nan", "blob": "/wA=", "m": {"k": 1}}
