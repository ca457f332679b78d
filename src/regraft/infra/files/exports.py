"""Files that others exported: plain, gzip, Zstandard or zip, JSON or tables, opened as streams of text."""

from __future__ import annotations

import codecs
import gzip
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import SEEK_CUR
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from typing import IO, BinaryIO

import zstandard

from regraft.domain.errors import NotFoundError, UsageError
from regraft.infra.files import databases, tables

_CHUNK = 1 << 20
_PACKED_CHUNK = 1 << 10  # of Zstandard, of which four bytes may hold 128 KiB; the reader gives all of a piece at once
_MOST_BYTES = 32 << 30  # of one file, unpacked
_MOST_RATIO = 200  # of unpacked to packed bytes: text comes to 10 to 50, bombs to 1,000 and more
_SMALL_BYTES = 32 << 20  # which every file may come to, whatever it was packed to
LINES = (".jsonl", ".ndjson")  # files of lines, which may grow
_NAMES = (".json", *LINES)
_ZSTANDARD = 93  # zip's number for it, which Python's own reader does not know yet
_ENCRYPTED = 1
_LOCAL_HEAD = struct.Struct("<26xHH")  # of a member: the lengths of its name and of its extra field, at its end
_BESIDE = frozenset({"message_feedback.json"})  # files that say something of the conversations in another one
_PACKED = (".zst", ".gz")
_HEAD = 16  # bytes by which a table or a database is known


@dataclass(frozen=True, slots=True)
class Part:
    """One JSON file: a path, or a member of a zip. ``head`` is the member that says what the others are parts of;
    ``problem`` is why nothing can be opened."""

    path: Path
    member: str | None
    packed_bytes: int
    head: str | None = None
    problem: str = ""

    @property
    def name(self) -> str:
        """The name of the part in messages."""
        return f"{self.path.name}!{self.member}" if self.member else self.path.name


@dataclass(frozen=True, slots=True)
class OpenedPart:
    """A part that is being read: pieces of its text, and how many of its packed bytes were read so far."""

    pieces: Iterator[str]
    done: Callable[[], int]


def parts(path: Path) -> list[Part]:
    """The JSON files at a path: the file itself, those in a zip, or all in a folder.

    A zip that holds ``conversations.json`` (what chat applications send) means that one alone; one that holds
    ``header.json`` and ``samples/`` (an evaluation log) means the samples under that head. A zip in a folder means the
    same as by itself.
    Raises NotFoundError when there is nothing there.
    """
    if path.is_dir():
        files = [
            each
            for each in sorted(path.rglob("*"))
            if each.is_file() and (_wanted(each.name) or _is_zip(each)) and each.name not in _BESIDE
        ]
        if not files:
            raise NotFoundError(f"{path} holds no files to import.")
        return [part for each in files for part in parts(each)]
    if not path.is_file():
        raise NotFoundError(f"There is no file {path}.")
    if not zipfile.is_zipfile(path):
        return [Part(path, None, path.stat().st_size)]
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info.compress_size for info in archive.infolist() if _wanted(info.filename)}
    except (zipfile.BadZipFile, NotImplementedError) as error:
        return [_closed(path, f"{path.name} is not a readable zip file: {error}")]
    if sum(members.values()) > path.stat().st_size:
        return [_closed(path, f"{path.name} is not a valid zip file: its members overlap.")]
    talks = [name for name in members if Path(name).name.startswith("conversations")]
    samples = [name for name in members if name.startswith("samples/")]
    if "header.json" in members:
        return [Part(path, name, members[name], "header.json") for name in samples]
    if not members:
        return [_closed(path, f"{path.name} holds no JSON files.")]
    return [Part(path, name, members[name]) for name in talks or members]


def is_json(part: Part) -> bool:
    """Whether a part is JSON by its name."""
    name = part.member or part.path.name
    for packed in _PACKED:
        name = name.removesuffix(packed)
    return name.endswith(_NAMES)


def beside(part: Part, name: str) -> Part | None:
    """The file of this name that lies beside a part, in its folder or in its zip."""
    if part.member is None:
        path = part.path.with_name(name)
        return Part(path, None, path.stat().st_size) if path.is_file() else None
    member = str(PurePosixPath(part.member).with_name(name))
    with zipfile.ZipFile(part.path) as archive:
        return Part(part.path, member, 0) if member in archive.namelist() else None


def _closed(path: Path, problem: str) -> Part:
    return Part(path, None, path.stat().st_size, problem=problem)


def _is_zip(path: Path) -> bool:
    return path.suffix == ".zip" and zipfile.is_zipfile(path)


def _wanted(name: str) -> bool:
    for packed in _PACKED:
        name = name.removesuffix(packed)
    return name.endswith((*_NAMES, *tables.NAMES, *databases.NAMES, ".eval", ".traj"))


@contextmanager
def opened(part: Part, member: str | None = None) -> Iterator[OpenedPart]:
    """The text of a part in pieces, or of another ``member`` of its zip.

    Bytes that are not UTF-8 are read as lone surrogates, which mark the records that they are in; bytes that cannot be
    unpacked to their end raise UsageError where they are.
    """
    with _opened(part, member) as file:
        yield (
            file
            if not _is_delimited(part, member)
            else replace(file, pieces=tables.delimited_lines(file.pieces, part.name))
        )


def _is_delimited(part: Part, member: str | None) -> bool:
    name = member or part.member or part.path.name
    for packed in _PACKED:
        name = name.removesuffix(packed)
    return tables.is_delimited(name)


@contextmanager
def _opened(part: Part, member: str | None) -> Iterator[OpenedPart]:
    member = member or part.member
    if part.problem:
        raise UsageError(part.problem)
    with part.path.open("rb") as file:
        if member is not None:
            with zipfile.ZipFile(file) as archive:
                packed = min(archive.getinfo(member).compress_size, part.path.stat().st_size)
                pieces = _limited(_member(file, archive, member, part.name), packed, part.name)
                if member.endswith(tables.NAMES) and not tables.is_delimited(member):
                    with TemporaryFile() as whole:  # a table is read from its end
                        for piece in pieces:
                            whole.write(piece)
                        whole.seek(0)
                        yield OpenedPart(tables.columnar_lines(whole, part.name), lambda: 0)
                    return
                yield OpenedPart(_text(pieces, part.name), lambda: 0)
        elif part.path.suffix == ".zst":
            pieces = _limited(_zstandard(file), part.path.stat().st_size, part.name)
            yield OpenedPart(_text(pieces, part.name), file.tell)
        elif part.path.suffix == ".gz":
            with gzip.GzipFile(fileobj=file) as unpacked:
                pieces = _limited(_read(unpacked), part.path.stat().st_size, part.name)
                yield OpenedPart(_text(pieces, part.name), file.tell)
        elif databases.is_database(head := file.read(_HEAD)):
            yield OpenedPart(databases.database_lines(part.path), lambda: 0)
        elif tables.is_columnar(head):
            file.seek(0)
            yield OpenedPart(tables.columnar_lines(file, part.name), file.tell)
        else:
            file.seek(0)
            yield OpenedPart(_text(_read(file), part.name), file.tell)


def _limited(pieces: Iterator[bytes], packed: int, name: str) -> Iterator[bytes]:
    """Unpacked pieces, up to what a file of this size can plausibly contain. Raises UsageError beyond it."""
    unpacked = 0
    for piece in pieces:
        unpacked += len(piece)
        if unpacked > _MOST_BYTES:
            raise UsageError(f"{name} unpacks to more than {_MOST_BYTES >> 30} GiB. Unpack it and split it first.")
        if unpacked > max(_SMALL_BYTES, _MOST_RATIO * packed):
            raise UsageError(
                f"{name} unpacks to more than {_MOST_RATIO} times its size, like files made to exhaust memory. "
                "If it is yours, unpack it first."
            )
        yield piece


def _member(file: BinaryIO, archive: zipfile.ZipFile, member: str, name: str) -> Iterator[bytes]:
    info = archive.getinfo(member)
    if info.compress_type == _ZSTANDARD and not info.flag_bits & _ENCRYPTED:
        file.seek(info.header_offset)
        file.seek(sum(_LOCAL_HEAD.unpack(file.read(_LOCAL_HEAD.size))), SEEK_CUR)
        yield from _zstandard(file, info.compress_size)
        return
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, _ZSTANDARD):
        # Python's reader unpacks bzip2 and LZMA without a bound: a few bytes may become gigabytes in one step.
        raise UsageError(f"{name} is packed in a way that cannot be read here: method {info.compress_type}")
    try:
        inner = archive.open(member)
    except (NotImplementedError, RuntimeError) as error:  # a method that is not known; a password
        raise UsageError(f"{name} is packed in a way that cannot be read here: {error}") from error
    with inner:
        yield from _read(inner)


def _read(stream: BinaryIO | IO[bytes] | gzip.GzipFile) -> Iterator[bytes]:
    while piece := stream.read(_CHUNK):
        yield piece


def _zstandard(file: BinaryIO, size: int | None = None) -> Iterator[bytes]:
    """All frames of a file, or of its next ``size`` bytes. The library's own reader takes a file that was cut short
    for a whole one."""
    frame = zstandard.ZstdDecompressor().decompressobj()
    begun = False
    left = size
    while packed := file.read(_PACKED_CHUNK if left is None else min(left, _PACKED_CHUNK)):
        left = None if left is None else left - len(packed)
        while packed:
            yield frame.decompress(packed)
            begun, packed = not frame.eof, frame.unused_data
            if frame.eof:
                frame = zstandard.ZstdDecompressor().decompressobj()
    if begun or left:
        raise EOFError("it was cut short")


def _text(pieces: Iterator[bytes], name: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    try:
        for piece in pieces:
            yield decoder.decode(piece)
        yield decoder.decode(b"", final=True)
    except (zstandard.ZstdError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise UsageError(f"{name} cannot be unpacked: {error}") from error
