"""The one grammar for names of files inside a bundle.

A name is one to eight segments joined by ``/``. A segment starts with a letter
or a digit, goes on with letters, digits, ``.``, ``_`` and ``-``, has at most
128 characters, doesn't end in a dot and is no device name of any system. So
there is no absolute name, no ``..``, no backslash, no drive, no control
character and no second spelling of the same name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from whet.errors import BundlePathError

__all__ = ["check_name", "check_names", "check_segment", "segment_of"]

_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_MAX_SEGMENTS = 8
_LONGEST = 100  # leaves room for what is put before or behind it
# Names that Windows maps to devices, with any suffix.
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))]
)
_REMEDY = "Don't use this bundle; get it again from where it was made."


def check_segment(segment: str, *, remedy: str = _REMEDY) -> str:
    """Return a single segment if it follows the grammar.

    Raises:
        BundlePathError: it doesn't.
    """
    if not _is_segment(segment):
        raise _not_allowed(segment, remedy)
    return segment


def segment_of(text: str, otherwise: str) -> str:
    """A segment that follows the grammar and reads like the text, or ``otherwise``; pure."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:_LONGEST].strip("-._")
    return plain if _is_segment(plain) else f"{otherwise}-{plain}".rstrip("-")


def check_name(name: str, *, remedy: str = _REMEDY) -> str:
    """Return a relative file name if it follows the grammar.

    Raises:
        BundlePathError: it doesn't; it is told in full, so that an attack is recognised.
    """
    # Bounded before it is split: a name of a million slashes is refused cheaply.
    segments = name.split("/", _MAX_SEGMENTS)
    if len(segments) > _MAX_SEGMENTS:
        raise BundlePathError(
            f"The name {name[:200]!r} has more than {_MAX_SEGMENTS} segments.", remedy
        )
    if not all(_is_segment(segment) for segment in segments):
        raise _not_allowed(name, remedy)
    return name


def _is_segment(segment: str) -> bool:
    return (
        _SEGMENT.fullmatch(segment) is not None
        and not segment.endswith(".")
        and segment.partition(".")[0].lower() not in _DEVICES
    )


def _not_allowed(name: str, remedy: str) -> BundlePathError:
    return BundlePathError(
        f"The name {name[:200]!r} is not allowed in a bundle (letters, digits, '.', '_', '-').",
        remedy,
    )


def check_names(names: Iterable[str], *, remedy: str = _REMEDY) -> None:
    """Check names that stand in one bundle together.

    Raises:
        BundlePathError: one breaks the grammar, two differ only in case (they
            are one file on some systems), or one is both a file and a folder.
    """
    seen: set[str] = set()
    folders: set[str] = set()
    for name in names:
        check_name(name, remedy=remedy)
        folded = name.casefold()
        if folded in seen:
            raise BundlePathError(f"The name '{name}' occurs twice (upper and lower case).", remedy)
        seen.add(folded)
        parts = folded.split("/")
        folders.update("/".join(parts[:end]) for end in range(1, len(parts)))
    both = sorted(seen & folders)
    if both:
        raise BundlePathError(f"The name '{both[0]}' is both a file and a folder.", remedy)
