"""Whether samples can be shown to be those that were decoded before, without decoding them.

Data that lies still has an identity: arrays by their bytes, files by their
bytes, a folder by the name, size, times and inode of each file, so that 100 GB
aren't read twice. The kernel's own time of the last change is among them,
which no copying tool can set back. What runs code has none, for the code may
read anything: a function, an iterator, an object of an unknown kind.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from whet.data.text import TextTransform
from whet.data.transform import Transform
from whet.data.userfile import is_reference

__all__ = ["identity", "transform_identity"]


def identity(value: Any) -> str | None:
    """A digest of samples or labels as the user gave them; ``None`` where nothing can be shown.

    Args:
        value: a path (also ``file.npz#prefix``), arrays, plain data, or anything else.
    """
    total = hashlib.sha256()
    try:
        return total.hexdigest() if _update(total, value) else None
    except OSError:  # it may not be read, as its reader says
        return None


def transform_identity(transform: Transform | None) -> str:
    """A digest of a transform and of the tokenizer that it names."""
    total = hashlib.sha256(msgspec.json.encode(transform))
    if isinstance(transform, TextTransform):
        # One that may not be read is refused where it is opened.
        with contextlib.suppress(OSError):
            if Path(transform.tokenizer).is_file():
                _update_file(total, Path(transform.tokenizer))
    return total.hexdigest()


def _update(total: hashlib._Hash, value: Any) -> bool:
    """Add a value to the digest; ``False`` where it has no identity."""
    if isinstance(value, str | Path):
        return _update_text(total, value)
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            return False
        total.update(f"array {value.dtype} {value.shape}".encode())
        # As bytes: text and other extended datatypes give no buffer of their own.
        total.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
        return True
    if isinstance(value, Mapping):
        total.update(f"mapping {len(value)}".encode())
        return all(
            _update(total, str(key)) and _update(total, value[key])
            for key in sorted(value, key=str)
        )
    if isinstance(value, tuple | list):
        total.update(f"{type(value).__name__} {len(value)}".encode())
        return all(_update(total, item) for item in value)
    if value is None or isinstance(value, int | float | bool | bytes):
        total.update(f"{type(value).__name__} {value!r}".encode())
        return True
    return False


def _update_text(total: hashlib._Hash, value: str | Path) -> bool:
    text = str(value)
    total.update(f"text {len(text)} {text}".encode(errors="surrogateescape"))
    file = _named_file(text)
    if file is None:
        return not is_reference(text)
    if file.is_dir():
        for line in _listing(file):
            total.update(line.encode(errors="surrogateescape"))
    elif file.is_file():
        _update_file(total, file)
    else:  # a FIFO gives its bytes once, if ever
        return False
    return True


def _named_file(text: str) -> Path | None:
    """The file or folder that a text names, perhaps with a ``#prefix`` after it."""
    if len(text) > 4096 or "\0" in text:
        return None
    if _stands(Path(text)):
        return Path(text)
    head, found, _ = text.rpartition("#")
    return Path(head) if found and _stands(Path(head)) else None


def _stands(file: Path) -> bool:
    try:
        return file.exists()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # a text, and no path
            return False
        raise


def _listing(folder: Path) -> Iterator[str]:
    seen: set[str] = set()
    # Readers follow links to folders, so this does too; a circle is walked once.
    for where, below, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(where)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        below.sort()
        for name in sorted(names):
            file = Path(where, name)
            if file.exists():
                s = file.stat()
                times = f"{s.st_mtime_ns} {s.st_ctime_ns}"
                yield f"{file.relative_to(folder)}\0{s.st_size} {times} {s.st_dev} {s.st_ino}\n"


def _update_file(total: hashlib._Hash, file: Path) -> None:
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            total.update(chunk)
