"""Files that aren't what the manifest says, or no files at all."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bundle_factory import change, manifest_of, reseal

from whet.bundle.golden import load_goldens
from whet.bundle.read import Bundle
from whet.errors import BundleCorruptError, BundleError

WEIGHTS = "variants/small/small.onnx.data"


def changed(bundle: Path) -> None:
    data = bytearray((bundle / WEIGHTS).read_bytes())
    data[3] ^= 1
    (bundle / WEIGHTS).write_bytes(data)


def truncated(bundle: Path) -> None:
    os.truncate(bundle / WEIGHTS, 5)


def truncated_manifest(bundle: Path) -> None:
    os.truncate(bundle / "manifest.json", 200)


def missing(bundle: Path) -> None:
    (bundle / WEIGHTS).unlink()


def missing_seal(bundle: Path) -> None:
    (bundle / "manifest.sha256").unlink()


def edited_manifest(bundle: Path) -> None:
    """Without a new seal."""
    file = bundle / "manifest.json"
    file.write_bytes(file.read_bytes().replace(b'"default": "small"', b'"default": "exact"'))


def uppercase_hash(bundle: Path) -> None:
    change(
        bundle,
        lambda m: m["files"]["report.html"].update(
            sha256=m["files"]["report.html"]["sha256"].upper().replace("0", "A")
        ),
    )


def instead(make: Callable[[Path], object], name: str = WEIGHTS) -> Callable[[Path], None]:
    """Something else in place of a file."""

    def craft(bundle: Path) -> None:
        (bundle / name).unlink()
        make(bundle / name)

    return craft


def make_socket(where: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        os.chdir(where.parent)  # socket paths are short
        try:
            made.bind(where.name)
        finally:
            os.chdir(here)


def file_in_place_of_a_folder(bundle: Path) -> None:
    import shutil

    shutil.rmtree(bundle / "goldens")
    (bundle / "goldens").write_text("x")


def giant_size(bundle: Path) -> None:
    change(bundle, lambda m: m["files"][WEIGHTS].update(size_bytes=2**62))


def giant_in_all(bundle: Path) -> None:
    def edit(plain: dict[str, Any]) -> None:
        for entry in plain["files"].values():
            entry["size_bytes"] = 1 << 39

    change(bundle, edit)


def sparse_giant(bundle: Path) -> None:
    """A file that is as large as it says, but takes no space: must be refused before it is read."""
    os.truncate(bundle / "evidence.json", 1 << 39)
    change(bundle, lambda m: m["files"]["evidence.json"].update(size_bytes=(1 << 39) - 1))


def negative_size(bundle: Path) -> None:
    change(bundle, lambda m: m["files"][WEIGHTS].update(size_bytes=-1))


ATTACKS: dict[str, tuple[Callable[[Path], None], type[BundleError]]] = {
    "changed": (changed, BundleCorruptError),
    "truncated": (truncated, BundleCorruptError),
    "truncated manifest": (truncated_manifest, BundleCorruptError),
    "missing": (missing, BundleCorruptError),
    "missing seal": (missing_seal, BundleCorruptError),
    "edited manifest": (edited_manifest, BundleCorruptError),
    "uppercase hash": (uppercase_hash, BundleCorruptError),
    "folder in place of a file": (instead(lambda p: p.mkdir()), BundleCorruptError),
    "file in place of a folder": (file_in_place_of_a_folder, BundleCorruptError),
    "fifo": (instead(os.mkfifo), BundleCorruptError),
    "fifo as manifest": (instead(os.mkfifo, "manifest.json"), BundleCorruptError),
    "fifo as seal": (instead(os.mkfifo, "manifest.sha256"), BundleCorruptError),
    "folder as manifest": (instead(lambda p: p.mkdir(), "manifest.json"), BundleCorruptError),
    "socket": (instead(make_socket), BundleCorruptError),
    "giant size": (giant_size, BundleCorruptError),
    "giant in all": (giant_in_all, BundleCorruptError),
    "sparse giant": (sparse_giant, BundleCorruptError),
    "negative size": (negative_size, BundleCorruptError),
}


def put(bundle: Path, name: str, data: bytes) -> None:
    """Replace a file and list it as it is now."""
    (bundle / name).write_bytes(data)
    plain = manifest_of(bundle)
    plain["files"][name] = {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    reseal(bundle, plain)


def pickle_in_npy(bundle: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, np.array([{"evil": 1}], dtype=object), allow_pickle=True)
    put(bundle, "goldens/inputs/0.npy", stream.getvalue())


def npz_for_npy(bundle: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("x.npy", b"")
    put(bundle, "goldens/inputs/0.npy", stream.getvalue())


def code_in_the_header(bundle: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (exit(1),), }\n"
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    put(bundle, "goldens/inputs/0.npy", data)


def shape_beyond_the_file(bundle: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000, 3), }\n"
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    put(bundle, "goldens/inputs/0.npy", data)


def evidence_of_another_shape(bundle: Path) -> None:
    put(bundle, "evidence.json", b'{"contract": {}, "more": 1}')


def deep_evidence(bundle: Path) -> None:
    put(bundle, "evidence.json", b"[" * 100_000 + b"]" * 100_000)


# The bundle opens, since hashes fit; reading the part must be refused.
LATE_ATTACKS: dict[str, tuple[Callable[[Path], None], Callable[[Bundle], object]]] = {
    "pickle in npy": (pickle_in_npy, load_goldens),
    "npz for npy": (npz_for_npy, load_goldens),
    "code in the header": (code_in_the_header, load_goldens),
    "shape beyond the file": (shape_beyond_the_file, load_goldens),
    "evidence of another shape": (evidence_of_another_shape, Bundle.evidence),
    "deep evidence": (deep_evidence, Bundle.evidence),
}
