"""YAML as it is allowed in a recipe: plain values, bounded before they are built, each with its line.

PyYAML's own loaders make any object that a tag names, follow aliases (a few hundred bytes that mean
gigabytes) and keep the last of two equal keys. So only its parser is used, which tells what comes
next in the text; the values are made here, and what a recipe has no use for is refused with its
line: tags, anchors and aliases, directives, a second document, equal keys, control characters.

A word without quotes is a number, ``true``, ``false`` or ``null`` where JSON has it as such, give or
take a sign or a dot; anything else is text (``no`` and ``1:30`` too, which other readers of YAML
take for something else). What is written here puts quotes where one or the other could be misled.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, final

from whet._optional import require
from whet.errors import OptionError

__all__ = ["MOST_BYTES", "Parsed", "Place", "parse", "written"]

MOST_BYTES = 256 << 10
_MOST_VALUES = 20_000
_DEPTH = 16
_LONGEST = 60  # of a text in a sentence
_TEXT = "tag:yaml.org,2002:str"

_WORDS: Mapping[str, object] = {"null": None, "~": None, "": None, "true": True, "false": False}
_WHOLE = re.compile(r"[-+]?[0-9]+", re.ASCII)
_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_DIGITS = 20  # hold every 64-bit integer; longer ones are refused before they are built
# C0 without tab and newline, DEL and C1, lone surrogates, overrides of the writing direction.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")

Place = tuple[str | int, ...]
"""Keys and positions that lead to a value."""


@final
@dataclass(frozen=True)
class Parsed:
    """A text's value, and where its parts stand.

    Attributes:
        value: of dicts, lists, texts, numbers, truth values and ``None``.
        what: the file's name for messages.
        lines: of the values by their place, and of keys by the place of what they name; from 1.
    """

    value: object
    what: str
    lines: Mapping[Place, int]

    def refusal(self, place: Place, message: str, remedy: str) -> OptionError:
        """An error that names the line of a value, or of the nearest that it lies in."""
        while place not in self.lines and place:
            place = place[:-1]
        return _refusal(self.what, self.lines.get(place, 1), message, remedy)


def parse(data: bytes, what: str) -> Parsed:
    """Hostile YAML as plain values.

    Args:
        data: the text.
        what: the file's name for messages.

    Raises:
        OptionError: no YAML, or anything that the module's docstring lists.
    """
    if len(data) > MOST_BYTES:
        raise OptionError(
            f"'{what}' has more than the {MOST_BYTES} bytes that a recipe may have.",
            "Name a recipe.",
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _refusal(what, line, "This is no UTF-8.", "Save it as UTF-8.") from error
    return _Builder(what).built(text)


def written(value: object) -> str:
    """Plain values as YAML that `parse` reads as the same.

    Args:
        value: of dicts with texts as keys, lists, texts, finite numbers, truth values and ``None``.
    """
    yaml = require("yaml", "write a recipe")

    class Dumper(yaml.SafeDumper):  # type: ignore[misc,name-defined]  # yaml is untyped here
        def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  # equal parts are written twice
            return True

    def text(dumper: Any, data: str) -> object:
        misleads = data in _WORDS or _NUMBER.fullmatch(data) is not None
        return dumper.represent_scalar(_TEXT, data, style="'" if misleads else None)

    Dumper.add_representer(str, text)
    made: str = yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)
    return made


class _RefusedError(ValueError):
    """Raised for a scalar; never leaves this file."""


@dataclass
class _Builder:
    """From the parser's events to values."""

    what: str
    lines: dict[Place, int] = field(default_factory=dict)
    count: int = 0

    def built(self, text: str) -> Parsed:
        yaml = require("yaml", "read a recipe")
        line = 1
        try:
            events = yaml.parse(text, Loader=yaml.SafeLoader)
            value = self._document(events)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark is not None else 1
            said = error.problem or error.context or "it can't be read"
            raise self._no_yaml(line, said) from error
        except yaml.reader.ReaderError as error:
            line = text[: error.position].count("\n") + 1
            raise self._no_yaml(line, f"{error.reason}") from error
        # Escapes and directives with numbers that no character or version has.
        except (ValueError, OverflowError) as error:
            line = max(self.lines.values(), default=1)
            raise self._no_yaml(line, str(error)) from error
        return Parsed(value, self.what, self.lines)

    def _document(self, events: Iterator[Any]) -> object:
        next(events)  # the stream begins
        start = next(events)
        if _is(start, "StreamEnd"):
            raise self._refused(start, "There is nothing in it.", "Name a recipe.")
        if start.version is not None or start.tags:
            raise self._refused(start, "A recipe has no directives.", "Take the % lines out.")
        value = self._value(next(events), events, (), _DEPTH)
        next(events)  # the document ends
        after = next(events)
        if not _is(after, "StreamEnd"):
            raise self._refused(after, "A second document begins here.", "Keep one to a file.")
        return value

    def _value(self, event: Any, events: Iterator[Any], place: Place, depth: int) -> object:
        self._allow(event, depth)
        self.lines.setdefault(place, event.start_mark.line + 1)
        if _is(event, "Scalar"):
            return self._scalar(event)
        if _is(event, "SequenceStart"):
            found: list[object] = []
            while not _is(event := next(events), "SequenceEnd"):
                found.append(self._value(event, events, (*place, len(found)), depth - 1))
            return found
        made: dict[str, object] = {}
        while not _is(event := next(events), "MappingEnd"):
            self._allow(event, depth)
            if not _is(event, "Scalar"):
                raise self._refused(event, "A key is a list or a mapping.", "Give a name.")
            key = self._text(event)
            if key in made:
                raise self._refused(event, f"'{_cut(key)}' occurs twice.", "Keep one of them.")
            self.lines[(*place, key)] = event.start_mark.line + 1
            made[key] = self._value(next(events), events, (*place, key), depth - 1)
        return made

    def _allow(self, event: Any, depth: int) -> None:
        """Refuse what a recipe has no use for, before anything is built of it."""
        self.count += 1
        if self.count > _MOST_VALUES:
            raise self._refused(event, f"More than {_MOST_VALUES} values.", "Name a recipe.")
        if depth < 1:
            raise self._refused(event, f"It nests deeper than {_DEPTH} levels.", "Name a recipe.")
        if event.anchor is not None:
            raise self._refused(
                event, "Anchors (&) and aliases (*) are not read.", "Write the value itself."
            )
        if event.tag is not None:
            raise self._refused(
                event, f"The tag '{_cut(str(event.tag))}' is not read.", "Leave it out."
            )

    def _text(self, event: Any) -> str:
        text: str = event.value
        if _CONTROL.search(text) is not None:
            raise self._refused(event, "There are control characters in a text.", "Leave them out.")
        return text

    def _scalar(self, event: Any) -> object:
        text = self._text(event)
        try:
            return _meant(text) if event.style is None else text
        except _RefusedError as error:
            raise self._refused(event, f"{error}.", "Give a number that fits 64 bits.") from error

    def _refused(self, event: Any, message: str, remedy: str) -> OptionError:
        return _refusal(self.what, event.start_mark.line + 1, message, remedy)

    def _no_yaml(self, line: int, said: str) -> OptionError:
        said = _CONTROL.sub(" ", said)
        return _refusal(self.what, line, f"This is no YAML: {said}.", "Mend the line.")


def _meant(word: str) -> object:
    """What a word without quotes stands for."""
    if word in _WORDS:
        return _WORDS[word]
    if _WHOLE.fullmatch(word) is not None:
        if len(word) > _DIGITS or not -(2**63) <= int(word) < 2**63:
            raise _RefusedError(f"The integer {_cut(word)} doesn't fit 64 bits")
        return int(word)
    if _NUMBER.fullmatch(word) is not None:
        value = float(word)
        if not math.isfinite(value):
            raise _RefusedError(f"{_cut(word)} is not a finite number")
        return value
    return word


def _is(event: Any, kind: str) -> bool:
    return type(event).__name__ == f"{kind}Event"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _refusal(what: str, line: int, message: str, remedy: str) -> OptionError:
    return OptionError(f"'{what}', line {line}: {message}", remedy)
