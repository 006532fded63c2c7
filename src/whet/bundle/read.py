"""Reading a bundle: hostile until checked.

In this order, and each step only on what the one before it let through: the
seal, the manifest's size, its JSON, its version, its rules, every listed file
(a plain file, in place, of the listed size), nothing else in the folder, and
the hashes. Links of any kind are refused, so no name leads outside.

What the hashes promise is integrity, not origin: the bytes are those that the
writer of the manifest saw. Who can write the folder can write a consistent
one. To accept only a certain bundle, keep its `Bundle.digest` elsewhere and
give it as ``expect_digest``. And a hash doesn't make a graph harmless: it is
parsed by the runtime, like any model file.
"""

from __future__ import annotations

import hashlib
import stat
from dataclasses import dataclass
from pathlib import Path

from whet.bundle.check import MANIFEST, SEAL, decode_manifest
from whet.bundle.files import (
    REMEDY,
    hash_file,
    plain_file,
    read_limited,
    unlisted,
    unreadable,
)
from whet.bundle.manifest import MANIFEST_LIMITS, FileEntry, Manifest, Variant
from whet.bundle.strictjson import JsonLimits, decode
from whet.core.artifact import Artifact
from whet.core.evidence import Evidence
from whet.errors import (
    BundleCorruptError,
    BundleError,
    NoBundleError,
    OptionError,
    UntrustedCodeError,
)

__all__ = ["EVIDENCE_LIMITS", "Bundle", "read_bundle", "seal_line"]

EVIDENCE_LIMITS = JsonLimits(size_bytes=64 << 20, nodes=4_000_000)


@dataclass(frozen=True)
class Bundle:
    """A bundle whose manifest and files were checked.

    Attributes:
        folder: its real path.
        manifest: what it holds.
        digest: SHA-256 of the manifest, which holds the hashes of all files:
            one value that stands for every byte of the bundle.
    """

    folder: Path
    manifest: Manifest
    digest: str

    def variant(self, name: str | None = None) -> Variant:
        """The variant of that name, or the default.

        Raises:
            OptionError: no such variant.
        """
        found = self.manifest.variant(name)
        if found is None:
            names = ", ".join(self.manifest.names)
            raise OptionError(f"The bundle has no variant '{name}'.", f"It has: {names}.")
        return found

    def artifact(self, name: str | None = None, *, trust_code: bool = False) -> Artifact:
        """The model files of a variant, with real paths, for a runtime to open.

        Args:
            name: of the variant; the default one if left out.
            trust_code: allow variants whose files hold native code.

        Raises:
            OptionError: no such variant.
            UntrustedCodeError: it holds code and isn't trusted.
        """
        variant = self.variant(name)
        if variant.runs_code and not trust_code:
            raise UntrustedCodeError(
                f"Opening the variant '{variant.name}' runs code that came with the bundle"
                f" (format {variant.format}).",
                "Choose another variant, or, if you made the bundle yourself, say that you trust its"
                " code: --trust-code, in Python trust_code=True.",
            )
        main, *rest = variant.files
        return Artifact(
            path=str(self.file(main)),
            format=variant.format,
            signature=variant.signature,
            sidecars=tuple(other.rpartition("/")[2] for other in rest),
        )

    def file(self, name: str) -> Path:
        """The real path of a listed file.

        Raises:
            BundleError: not listed.
        """
        if name not in self.manifest.files:
            raise BundleError(f"The bundle lists no file '{name}'.", "Check the name.")
        return self.folder / name

    def read(self, name: str, limit_bytes: int) -> bytes:
        """The bytes of a listed file; these very bytes are checked against its hash.

        Raises:
            BundleCorruptError: larger than the limit, or changed.
        """
        self.file(name)
        entry = self.manifest.files[name]
        if entry.size_bytes > limit_bytes:
            raise BundleCorruptError(
                f"'{name}' has {entry.size_bytes} bytes; {limit_bytes} are allowed.", REMEDY
            )
        data = read_limited(self.folder, name, entry.size_bytes)
        if FileEntry(len(data), hashlib.sha256(data).hexdigest()) != entry:
            raise _differs(name)
        return data

    def evidence(self) -> Evidence | None:
        """The record of the search, if the bundle holds it.

        Raises:
            BundleCorruptError: the file was changed or isn't evidence.
        """
        name = self.manifest.evidence
        if name is None:
            return None
        data = self.read(name, EVIDENCE_LIMITS.size_bytes)
        return decode(data, Evidence, name, EVIDENCE_LIMITS)

    def size_bytes(self) -> int:
        """Size of all listed files."""
        return sum(entry.size_bytes for entry in self.manifest.files.values())


def read_bundle(
    path: str | Path, *, check_hashes: bool = True, expect_digest: str | None = None
) -> Bundle:
    """Open a bundle and check it.

    Args:
        path: the bundle's folder. A packed file is refused here: runtimes need
            real files; `whet.bundle.pack.opened` takes both forms.
        check_hashes: read every file and compare its SHA-256. Without it,
            presence, kind and size are still checked.
        expect_digest: refuse any bundle but the one with this `Bundle.digest`.

    Raises:
        NoBundleError: nothing there, or not a bundle.
        BundleError: it may not be read.
        BundlePathError: a name or a link leads elsewhere.
        BundleVersionError: written by a newer whet.
        BundleCorruptError: bytes differ from what the manifest says.
    """
    folder = _folder(Path(path))
    manifest_bytes = _sealed_manifest(folder)
    digest = hashlib.sha256(manifest_bytes).hexdigest()
    if expect_digest is not None and digest != expect_digest.lower():
        raise BundleCorruptError(
            f"'{path}' is not the bundle that was asked for: its digest is {digest}.",
            "Get the right bundle, or ask for this digest.",
        )
    manifest = decode_manifest(manifest_bytes)
    for name, entry in manifest.files.items():
        size = plain_file(folder, name).st_size
        if size != entry.size_bytes:
            raise BundleCorruptError(
                f"'{name}' has {size} bytes; the manifest says {entry.size_bytes}.", REMEDY
            )
    stranger = unlisted(folder, manifest.files.keys())
    if stranger is not None:
        raise BundleCorruptError(
            f"The bundle holds {stranger!r}, which its manifest doesn't list.",
            "Remove it if you know how it got there; a runtime might load it unchecked.",
        )
    if check_hashes:
        for name, entry in manifest.files.items():
            if hash_file(folder, name) != entry.sha256:
                raise _differs(name)
    return Bundle(folder, manifest, digest)


def seal_line(manifest_bytes: bytes) -> bytes:
    """The content of the seal; ``sha256sum -c manifest.sha256`` reads it too."""
    return f"{hashlib.sha256(manifest_bytes).hexdigest()}  {MANIFEST}\n".encode()


def _folder(path: Path) -> Path:
    try:
        mode = path.stat().st_mode
        folder = path.resolve(strict=True)
    except (OSError, ValueError, RuntimeError) as error:  # a NUL in the path; a loop of links
        if isinstance(error, PermissionError):
            raise unreadable(str(path), error) from error
        raise NoBundleError(f"There is no bundle at '{path}'.", "Check the path.") from error
    if stat.S_ISDIR(mode):
        return folder
    if stat.S_ISREG(mode) and _starts_with(folder, b"PK"):
        raise NoBundleError(
            f"'{path}' is a packed bundle, not a folder.",
            "Unpack it first (whet.bundle.pack.unpack), or open it with whet.bundle.pack.opened.",
        )
    raise NoBundleError(f"'{path}' is not a bundle.", "Give the folder that whet optimize wrote.")


def _starts_with(path: Path, magic: bytes) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(len(magic)) == magic
    except OSError as error:
        raise unreadable(str(path), error) from error


def _sealed_manifest(folder: Path) -> bytes:
    try:
        (folder / MANIFEST).lstat()
    except FileNotFoundError as error:
        words = f"'{folder}' is not a bundle: it has no '{MANIFEST}'."
        if (folder / SEAL).exists():  # it was one
            raise BundleCorruptError(words, REMEDY) from error
        raise NoBundleError(words, "Give the folder that whet optimize wrote.") from error
    except OSError as error:
        raise unreadable(str(folder), error) from error
    data = read_limited(folder, MANIFEST, MANIFEST_LIMITS.size_bytes)
    seal = read_limited(folder, SEAL, 1024)
    if seal != seal_line(data):
        raise BundleCorruptError(
            f"'{MANIFEST}' was changed or damaged: its SHA-256 is not the one in '{SEAL}'.", REMEDY
        )
    return data


def _differs(name: str) -> BundleCorruptError:
    return BundleCorruptError(
        f"'{name}' was changed or damaged: its SHA-256 is not the one in the manifest.", REMEDY
    )
