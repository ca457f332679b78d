"""Large bodies: in memory while there is room for all of them, then in files, and always the same bytes."""

from __future__ import annotations

import os

import pytest
import zstandard

from regraft.infra.http.body_memory import IN_FILE, BodyMemory, GatheredBody, MappedBody, PackedBody, compressed

PIECE = os.urandom(1 << 20)


def gathered(memory, pieces):
    body = GatheredBody(memory)
    for _ in range(pieces):
        body.append(PIECE)
    return body.finish()


def test_bodies_share_the_memory_and_give_it_back(tmp_path):
    memory = BodyMemory(most=4 << 20, folder=tmp_path)
    first = gathered(memory, 3)
    assert isinstance(first, bytearray)
    assert memory.held == 3 << 20
    second = gathered(memory, 3)
    assert isinstance(second, MappedBody)
    assert bytes(first) == bytes(second) == PIECE * 3
    del first
    assert (memory.held, isinstance(gathered(memory, 3), bytearray)) == (0, True)
    assert list(tmp_path.iterdir()) == []  # files without a name


def test_a_body_that_is_larger_than_most_goes_to_a_file_at_once(tmp_path):
    memory = BodyMemory(folder=tmp_path)
    assert isinstance(gathered(memory, IN_FILE >> 20), MappedBody)
    assert memory.held == 0


def test_a_body_in_a_file_reads_like_bytes_and_lets_go_of_its_pages(tmp_path):
    body = gathered(BodyMemory(most=0, folder=tmp_path), 3)
    assert isinstance(body, MappedBody)
    word = PIECE[-4:] + PIECE[:4]  # across two pieces
    assert word in body
    assert b"\0not there\0" not in body
    body.release()
    body.release(5_000, 9_000)
    assert body[:] == PIECE * 3


@pytest.mark.parametrize("most", [0, 1 << 30])
def test_a_body_is_compressed_where_it_is(tmp_path, most):
    memory = BodyMemory(most=most, folder=tmp_path)
    body = gathered(memory, 2)
    packed = compressed(body, memory)
    assert isinstance(packed, MappedBody) is isinstance(body, MappedBody)
    assert zstandard.frame_content_size(bytes(packed)) == len(body)
    assert zstandard.ZstdDecompressor().decompress(bytes(packed)) == PIECE * 2


def test_a_body_that_becomes_small_is_in_memory_again(tmp_path):
    memory = BodyMemory(most=0, folder=tmp_path)
    body = GatheredBody(memory)
    for _ in range(3):
        body.append(bytes(1 << 20))
    assert isinstance(compressed(body.finish(), memory), bytes)


@pytest.mark.parametrize("most", [0, 1 << 30])
@pytest.mark.parametrize("pieces", [[], [b"x"], [b"ab" * 300_000] * 4, [PIECE[:70_000]] * 30])
def test_a_body_is_packed_while_it_comes_into_a_frame_that_says_its_size(tmp_path, most, pieces):
    body = PackedBody(BodyMemory(most=most, folder=tmp_path))
    for piece in pieces:
        body.append(piece)
    packed = bytes(body.finish())
    assert zstandard.frame_content_size(packed) == body.size == sum(map(len, pieces))
    assert zstandard.ZstdDecompressor().decompress(packed) == b"".join(pieces)


def test_a_changed_body_is_held_like_any_other(tmp_path):
    memory = BodyMemory(most=1 << 20, folder=tmp_path)
    assert memory.take(b"small") == b"small"
    taken = memory.take(PIECE * 3)
    assert isinstance(taken, MappedBody)
    assert bytes(taken) == PIECE * 3


def test_files_that_a_killed_process_left_with_their_names_are_removed(tmp_path):
    old, young, other = tmp_path / ".body-old", tmp_path / ".body-young", tmp_path / "other"
    for path in (old, young, other):
        path.write_bytes(b"x")
    os.utime(old, (0, 0))
    os.utime(other, (0, 0))
    BodyMemory(folder=tmp_path).sweep()
    assert sorted(tmp_path.iterdir()) == [young, other]
    with BodyMemory(folder=tmp_path).file() as file:
        assert os.fstat(file.fileno()).st_mode & 0o777 == 0o600
