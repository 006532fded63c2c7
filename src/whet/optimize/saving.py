"""Writing a torch program in a way that survives a full disk."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, TYPE_CHECKING

from whet._optional import require
from whet.core.artifact import Artifact, Format
from whet.core.spec import Signature
from whet.errors import StorageError
from whet.optimize.quiet import quiet

if TYPE_CHECKING:
    import torch
    from typing_extensions import Buffer

__all__ = ["save_program"]


def save_program(
    program: torch.export.ExportedProgram, signature: Signature, folder: Path
) -> Artifact:
    """Write ``network.pt2`` into a folder; it is whole or not there.

    Raises:
        StorageError: the disk is full, or the folder can't be written to.
    """
    torch = require("torch", "export a network")
    path, part = folder / "network.pt2", folder / "network.part.pt2"
    try:
        with part.open("wb") as file:
            sink = _Sink(file)
            with quiet():
                torch.export.save(program, sink)
        if sink.failed is not None:
            raise sink.failed
        part.replace(path)
    except (OSError, RuntimeError) as error:
        part.unlink(missing_ok=True)
        raise StorageError(
            f"'{path}' can't be written.", "Free some space or name another folder."
        ) from error
    return Artifact(str(path), Format.TORCH, signature)


class _Sink(io.RawIOBase):
    """Keeps a failed write for later: torch's writer is C++ and ends the process over it."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self.failed: OSError | None = None

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def write(self, data: Buffer) -> int:
        size = memoryview(data).nbytes
        if self.failed is None:
            try:
                self._file.write(data)
            except OSError as error:
                self.failed = error
        return size
