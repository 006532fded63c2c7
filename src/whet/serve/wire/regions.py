"""System shared memory: tensors that a client on this machine leaves in a named region.

A region's file is read and written, and never mapped: a client that makes it shorter would end a
server that has it mapped, and a read is one copy. Only files that belong to the server's own user are
taken, by names that can't lead anywhere else.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import final

from whet.errors import RequestError

__all__ = ["Part", "Region", "Regions", "need_regions", "part_of"]

_HOME = Path("/dev/shm")  # noqa: S108 (where the system has its named memory, by POSIX's calls)
_KEY = re.compile(r"/?[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_MOST = 1024


@dataclass(frozen=True)
class Region:
    """A registered region.

    Attributes:
        name: under which requests name it.
        key: of the system's.
        offset: of it in the system's, in bytes.
        byte_size: of it.
    """

    name: str
    key: str
    offset: int
    byte_size: int


@dataclass(frozen=True)
class Part:
    """A part of a region, as a request names it."""

    region: str
    offset: int
    byte_size: int


def part_of(parameters: dict[str, bool | int | float | str]) -> Part | None:
    """Where a tensor lies, if its parameters say that it lies in a region.

    Raises:
        RequestError: they say it wrongly.
    """
    name = parameters.get("shared_memory_region")
    if name is None:
        return None
    offset = parameters.get("shared_memory_offset", 0)
    size = parameters.get("shared_memory_byte_size")
    if (
        not isinstance(name, str)
        or isinstance(offset, bool)
        or isinstance(size, bool)
        or not isinstance(offset, int)
        or not isinstance(size, int)
        or offset < 0
        or size < 0
    ):
        raise RequestError(
            "A tensor in shared memory needs shared_memory_region and shared_memory_byte_size.",
            "Give the region's name, and whole numbers from 0 on.",
        )
    return Part(name, offset, size)


def need_regions(regions: Regions | None) -> Regions:
    """The regions, where shared memory is allowed.

    Raises:
        RequestError: it isn't.
    """
    if regions is None:
        raise RequestError(
            "Shared memory isn't allowed here.", "Start the server with --shared-memory."
        )
    return regions


@final
class Regions:
    """Regions that clients registered."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[Region, int]] = {}

    def register(self, region: Region) -> None:
        """Take a region.

        Raises:
            RequestError: it is none, another has its name, or there are too many.
        """
        if not _KEY.fullmatch(region.name):
            raise RequestError("That is no name for a region.", "Take letters, digits, . _ and -.")
        if region.name in self._files:
            raise RequestError(f"A region '{region.name[:64]}' is registered already.")
        if len(self._files) >= _MOST:
            raise RequestError(f"{_MOST} regions are registered already.", "Unregister some.")
        if not _KEY.fullmatch(region.key) or min(region.offset, region.byte_size) < 0:
            raise RequestError("That is no region of shared memory.", "Give its key and size.")
        try:
            file = os.open(
                _HOME / region.key.removeprefix("/"), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
            )
        except OSError:
            raise RequestError("There is no such shared memory.", "Make it first.") from None
        about = os.fstat(file)
        if (
            not stat.S_ISREG(about.st_mode)
            or about.st_uid != os.geteuid()
            or region.offset + region.byte_size > about.st_size
        ):
            os.close(file)
            raise RequestError(
                "There is no such shared memory.", "It has to be as large as it is said to be."
            )
        self._files[region.name] = (region, file)

    def unregister(self, name: str = "") -> None:
        """Let a region go, or all; one that isn't there is gone already."""
        for each in [name] if name else list(self._files):
            found = self._files.pop(each, None)
            if found is not None:
                os.close(found[1])

    def status(self, name: str = "") -> list[Region]:
        """The region of a name, or all.

        Raises:
            RequestError: there is none of that name.
        """
        if name and name not in self._files:
            raise RequestError(f"There is no region '{name[:64]}'.", status=404)
        return [region for region, _ in self._files.values() if not name or region.name == name]

    def read(self, part: Part, most_bytes: int) -> memoryview:
        """The bytes of a part, as they are now.

        Args:
            part: to be read.
            most_bytes: that its tensor may take.

        Raises:
            RequestError: there is no such part, or it is more than that.
        """
        region, file = self._found(part)
        if part.byte_size > most_bytes:
            raise RequestError(f"{part.byte_size} bytes are more than the tensor takes.")
        raw = os.pread(file, part.byte_size, region.offset + part.offset)
        if len(raw) != part.byte_size:
            raise RequestError(f"Region '{region.name[:64]}' has become shorter.")
        return memoryview(raw)

    def write(self, part: Part, raw: bytes | memoryview) -> None:
        """Put bytes into a part.

        Raises:
            RequestError: there is no such part, or they are more.
        """
        region, file = self._found(part)
        if len(raw) > part.byte_size:
            raise RequestError(
                f"An output of {len(raw)} bytes doesn't fit into {part.byte_size} of region"
                f" '{region.name[:64]}'."
            )
        if os.fstat(file).st_size < region.offset + region.byte_size:
            raise RequestError(f"Region '{region.name[:64]}' has become shorter.")
        try:
            written = os.pwrite(file, raw, region.offset + part.offset)
        except OSError:
            written = -1
        if written != len(raw):
            raise RequestError(f"Region '{region.name[:64]}' can't be written: is there room?")

    def _found(self, part: Part) -> tuple[Region, int]:
        found = self._files.get(part.region)
        if found is None:
            raise RequestError(f"There is no region '{part.region[:64]}'.", "Register it first.")
        if part.offset + part.byte_size > found[0].byte_size:
            raise RequestError(f"Region '{part.region[:64]}' isn't as large as that.")
        return found
