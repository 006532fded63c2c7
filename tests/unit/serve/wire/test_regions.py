"""Shared memory that clients name: what may be read and written, and what may not be named."""

from __future__ import annotations

import os
from collections.abc import Iterator
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import pytest

from whet.errors import RequestError
from whet.serve.wire.regions import Part, Region, Regions, part_of


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    found = SharedMemory(create=True, size=100)
    yield found
    found.close()
    found.unlink()


@pytest.fixture
def regions(memory: SharedMemory) -> Iterator[Regions]:
    found = Regions()
    found.register(Region("r", f"/{memory.name}", 10, 80))
    yield found
    found.unregister()


def test_what_a_client_left_is_read_and_what_it_asked_for_is_written(
    regions: Regions, memory: SharedMemory
) -> None:
    memory.buf[15:19] = b"abcd"
    assert bytes(regions.read(Part("r", 5, 4), 4)) == b"abcd"
    regions.write(Part("r", 20, 4), b"wxyz")
    assert bytes(memory.buf[30:34]) == b"wxyz"
    assert [region.name for region in regions.status()] == ["r"]


@pytest.mark.parametrize("part", [Part("r", 78, 4), Part("other", 0, 1), Part("r", 0, 1 << 40)])
def test_parts_beyond_a_region_arent_there(regions: Regions, part: Part) -> None:
    with pytest.raises(RequestError):
        regions.read(part, 1 << 50)
    with pytest.raises(RequestError):
        regions.write(part, b"1")


def test_no_more_is_read_than_the_tensor_takes(regions: Regions) -> None:
    with pytest.raises(RequestError, match="more than"):
        regions.read(Part("r", 0, 40), 39)


def test_more_than_the_part_isnt_written(regions: Regions, memory: SharedMemory) -> None:
    with pytest.raises(RequestError, match="doesn't fit"):
        regions.write(Part("r", 0, 2), b"123")
    assert bytes(memory.buf) == bytes(100)


def test_one_that_was_made_shorter_ends_no_server(regions: Regions, memory: SharedMemory) -> None:
    os.truncate(f"/dev/shm/{memory.name}", 12)
    with pytest.raises(RequestError, match="shorter"):
        regions.read(Part("r", 0, 40), 40)
    with pytest.raises(RequestError, match="shorter"):
        regions.write(Part("r", 0, 40), b"1")


@pytest.mark.parametrize(
    "key", ["", "/", "../etc/passwd", "/../etc/passwd", "a/b", ".hidden", "gone", "x" * 300, "a\0b"]
)
def test_keys_lead_nowhere_else(key: str) -> None:
    with pytest.raises(RequestError):
        Regions().register(Region("r", key, 0, 1))


def test_links_and_sizes_that_lie(memory: SharedMemory, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(100))
    link = Path("/dev/shm") / f"whet-link-{os.getpid()}"
    link.symlink_to(secret)
    try:
        with pytest.raises(RequestError):
            Regions().register(Region("r", link.name, 0, 1))
    finally:
        link.unlink()
    for offset, size in ((0, 101), (50, 51), (-1, 5), (0, -5)):
        with pytest.raises(RequestError):
            Regions().register(Region("r", memory.name, offset, size))


def test_a_name_is_taken_once_and_free_afterwards(regions: Regions, memory: SharedMemory) -> None:
    again = Region("r", memory.name, 0, 10)
    with pytest.raises(RequestError, match="already"):
        regions.register(again)
    regions.unregister("r")
    regions.unregister("r")
    regions.register(again)
    with pytest.raises(RequestError) as found:
        regions.status("other")
    assert found.value.status == 404


def test_where_a_tensor_lies() -> None:
    assert part_of({}) is None
    named = {"shared_memory_region": "r", "shared_memory_byte_size": 4}
    assert part_of(dict(named)) == Part("r", 0, 4)
    for wrong in (
        {"shared_memory_byte_size": None},
        {"shared_memory_byte_size": -1},
        {"shared_memory_byte_size": "4"},
        {"shared_memory_byte_size": True},
        {"shared_memory_offset": -1},
        {"shared_memory_region": 3},
    ):
        with pytest.raises(RequestError):
            part_of({**named, **wrong})  # type: ignore[dict-item]
