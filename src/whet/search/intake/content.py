"""What an export or a store of samples *is*, whatever it was made from.

A file's name says nothing about what its code will load, so a search is
recognised by what came out: the graph with its weights, the torch program, the
decoded samples. The exporter writes the same graph for the same network, byte
by byte; the program's archive is the same but for a random serial number and
the example that it was traced with.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from whet.core.artifact import Artifact
from whet.data.layout import HASHES, LABELS, META
from whet.search.workers.jobs import Exported

__all__ = ["export_digest", "moved", "store_digest"]

# Members of a program's archive that don't tell one network from another.
_INCIDENTAL = ("/.data/serialization_id", "/data/sample_inputs/")


def export_digest(exported: Exported) -> str:
    """64 hex digits over all that an export says and holds, but not over where it lies."""
    said = _at(exported, lambda file: Path(file.name))
    total = hashlib.sha256(msgspec.json.encode(said, order="deterministic"))
    total.update(exported.graph.digest().encode())
    if exported.program is not None:
        _update_program(total, exported.program)
    return total.hexdigest()


def store_digest(folder: Path) -> str:
    """64 hex digits over the samples, their labels and what is said of them.

    The samples count by the hash that the store keeps of each (`whet.data.layout`).
    """
    total = hashlib.sha256()
    for name in (META, LABELS, HASHES):
        file = folder / name
        data = file.read_bytes() if file.exists() else b""
        total.update(f"{name} {len(data)}\0".encode())
        total.update(data)
    return total.hexdigest()


def moved(exported: Exported, old: Path, new: Path) -> Exported:
    """The same export, after its folder got another name."""
    return _at(exported, lambda file: new / file.relative_to(old))


def _at(exported: Exported, place: Callable[[Path], Path]) -> Exported:
    def put(artifact: Artifact) -> Artifact:
        return msgspec.structs.replace(artifact, path=str(place(artifact.file)))

    program = exported.program
    return msgspec.structs.replace(
        exported,
        graph=put(exported.graph),
        program=put(program) if program is not None else None,
    )


def _update_program(total: hashlib._Hash, program: Artifact) -> None:
    if not zipfile.is_zipfile(program.file):
        total.update(program.digest().encode())
        return
    with zipfile.ZipFile(program.file) as archive:
        for member in archive.infolist():
            if any(part in f"/{member.filename}" for part in _INCIDENTAL):
                continue
            total.update(f"{member.filename} {member.file_size}\0".encode())
            with archive.open(member) as stream:
                while chunk := stream.read(1 << 20):
                    total.update(chunk)
