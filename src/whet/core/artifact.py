"""A model on disk: the thing that passes read and write and runtimes compile."""

from __future__ import annotations

import enum
import hashlib
from pathlib import Path

import msgspec

from whet.core.spec import Signature

__all__ = ["Artifact", "Format", "digest_files"]


class Format(enum.StrEnum):
    """What kind of file ``Artifact.path`` is."""

    ONNX = "onnx"  # .onnx, with optional external data in the files beside it
    OPENVINO = "openvino"  # IR: .xml with a .bin beside it
    TORCH = "torch"  # torch.export program, .pt2
    AOTI = "aoti"  # AOTInductor package, .pt2


class Artifact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model on disk with its signature.

    Attributes:
        path: the main file.
        format: what kind of file that is.
        signature: inputs and outputs.
        sidecars: further files (weights) that belong to it, in the same folder.
    """

    path: str
    format: Format
    signature: Signature
    sidecars: tuple[str, ...] = ()

    @property
    def file(self) -> Path:
        return Path(self.path)

    def files(self) -> tuple[Path, ...]:
        """The main file and the sidecars, in that order."""
        return (self.file, *(self.file.parent / name for name in self.sidecars))

    def size_bytes(self) -> int:
        return sum(file.stat().st_size for file in self.files())

    def digest(self) -> str:
        """SHA-256 over names and bytes of all files, as 64 hex digits."""
        return digest_files(self.files())


def digest_files(files: tuple[Path, ...]) -> str:
    """SHA-256 over the count, names, sizes and bytes of files, as 64 hex digits."""
    total = hashlib.sha256(str(len(files)).encode())
    for file in files:
        total.update(f"\0{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                total.update(chunk)
    return total.hexdigest()
