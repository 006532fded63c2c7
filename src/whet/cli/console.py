"""Where a command writes: answers to stdout, everything else to stderr; colour where it is wanted."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TextIO

from whet.cli.streams import silence
from whet.errors import StorageError

__all__ = ["Console", "Paint", "Unread", "clip", "plain", "wants_colour", "width_of"]

# Names come from files of strangers and must not drive the terminal. The tab becomes a space.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


class Unread(Exception):  # noqa: N818 - it isn't an error
    """The reader of stdout went away (``| head``); that is its right."""


def plain(text: str) -> str:
    """One line of text without anything that a terminal would obey."""
    return _CONTROLS.sub(" ", text.replace("\u00a0", " "))


def width_of(text: str) -> int:
    """Columns that a text takes: wide characters take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def clip(text: str, columns: int) -> str:
    """The text cut to so many columns, with an ellipsis where something is missing."""
    if width_of(text) <= columns:
        return text
    kept, used = [], 0
    for c in text:
        used += width_of(c)
        if used > columns - 1:
            break
        kept.append(c)
    return "".join(kept) + "…" if columns > 0 else ""


def wants_colour(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """The usual rules: NO_COLOR wins, then a terminal that isn't dumb."""
    if environment.get("NO_COLOR"):
        return False
    return stream.isatty() and environment.get("TERM", "") != "dumb"


@dataclass(frozen=True)
class Paint:
    """Wraps text in colour codes, or doesn't."""

    on: bool

    def __call__(self, text: str, *styles: str) -> str:
        if not self.on or not styles or not text:
            return text
        codes = ";".join(_CODES[style] for style in styles)
        return f"\x1b[{codes}m{text}\x1b[0m"


@dataclass
class Console:
    """The two streams of a command and what they can show.

    Attributes:
        json: stdout takes exactly one JSON document and nothing else.
        quiet: no progress.
    """

    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    json: bool = False
    quiet: bool = False

    @property
    def paint(self) -> Paint:
        """For stdout."""
        return Paint(wants_colour(self.out, self.environment))

    @property
    def paint_err(self) -> Paint:
        """For stderr."""
        return Paint(wants_colour(self.err, self.environment))

    @property
    def live(self) -> bool:
        """Whether stderr can show a block that is redrawn."""
        return self.err.isatty() and self.environment.get("TERM", "") != "dumb"

    @property
    def columns(self) -> int:
        """Width of the terminal; 100 where there is none."""
        return shutil.get_terminal_size((100, 24)).columns

    def say(self, *lines: str) -> None:
        """Lines for the reader, on stdout; nothing where JSON is wanted.

        Raises:
            Unread: the reader has gone.
            StorageError: stdout takes no more.
        """
        if not self.json:
            self._answer(_shown(self.out, "".join(f"{line}\n" for line in lines)))

    def tell(self, *lines: str) -> None:
        """Lines about the run, on stderr."""
        self.draw("".join(f"{line}\n" for line in lines))

    def draw(self, text: str) -> None:
        """Text as it is, on stderr; where that takes nothing it is lost, which ends no run."""
        try:
            self.err.write(_shown(self.err, text))
            self.err.flush()
        except OSError:
            silence(self.err)

    def document(self, data: bytes) -> None:
        """The one JSON document.

        Raises:
            Unread: the reader has gone.
            StorageError: stdout takes no more.
        """
        text = data.decode()
        if _shown(self.out, text) != text:  # escapes say the same to whoever reads JSON
            text = json.dumps(json.loads(text))
        self._answer(f"{text}\n")

    def _answer(self, text: str) -> None:
        try:
            self.out.write(text)
            self.out.flush()
        except BrokenPipeError as error:
            silence(self.out)
            raise Unread from error
        except OSError as error:
            silence(self.out)
            raise StorageError(
                f"The answer can't be written to stdout: {error.strerror or error}.",
                "Free some space, or send it to another place.",
            ) from error


def _shown(stream: TextIO, text: str) -> str:
    """What the stream can show of it: ≤ or × become a question mark, not a traceback."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)
