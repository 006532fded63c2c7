"""Settings that come as flags, from the environment and from a file: one table, no setting ignored.

A flag wins over the environment, that over the file, and that over the default. A name that no setting
has is refused wherever it stands, for a mistyped one would otherwise do nothing.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from whet.errors import OptionError

__all__ = ["Setting", "Value", "add_settings", "from_environment", "from_file", "settled"]

Value = str | int | float | bool | None
_WORDS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        name: as a flag has it, without the dashes.
        kind: of its value.
        default: where it is given nowhere.
        words: for help.
        metavar: for the value, in help.
        choices: of which it is one; none for any.
    """

    name: str
    kind: type[str | int | float | bool]
    default: Value
    words: str
    metavar: str | None = None
    choices: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """As Python names it."""
        return self.name.replace("-", "_")


def add_settings(parser: argparse.ArgumentParser, settings: Sequence[Setting]) -> None:
    """Let each be given as a flag; what isn't given leaves no trace."""
    for setting in settings:
        flag = f"--{setting.name}"
        if setting.kind is bool:
            parser.add_argument(
                flag,
                action=argparse.BooleanOptionalAction,
                default=argparse.SUPPRESS,
                help=setting.words,
            )
        else:
            parser.add_argument(
                flag,
                type=setting.kind,
                default=argparse.SUPPRESS,
                help=setting.words,
                metavar=setting.metavar,
                choices=setting.choices or None,
            )


def from_file(path: str) -> dict[str, object]:
    """What a TOML file sets.

    Raises:
        OptionError: it can't be read.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise OptionError(f"{path} can't be read as TOML: {error}.", "Mend --config.") from error


def from_environment(environ: Mapping[str, str], prefix: str) -> dict[str, object]:
    """What variables set whose names begin with a prefix."""
    return {
        name.removeprefix(prefix).lower(): value
        for name, value in environ.items()
        if name.startswith(prefix)
    }


def settled(
    settings: Sequence[Setting],
    flags: Mapping[str, object],
    layers: Sequence[tuple[str, Mapping[str, object]]],
) -> dict[str, Value]:
    """The value of each setting.

    Args:
        settings: all that there are.
        flags: as the command line has them.
        layers: where else they are from, in words, and what is set there; a later one wins.

    Raises:
        OptionError: a name is no setting's, or a value not of its kind.
    """
    known = {setting.key: setting for setting in settings}
    found = {setting.key: setting.default for setting in settings}
    for where, given in layers:
        keys = [name.replace("-", "_") for name in given]
        if len(set(keys)) < len(keys):
            raise OptionError(f"{where} sets a setting twice.", "Write it once, with dashes.")
        for name, value in given.items():
            setting = known.get(name.replace("-", "_"))
            if setting is None:
                raise OptionError(
                    f"{where} sets '{name}', which is no setting.",
                    f"Take one of {', '.join(sorted(each.name for each in settings))}.",
                )
            found[setting.key] = _converted(setting, value, where)
    return found | {name: _plain(value) for name, value in flags.items() if name in known}


def _plain(value: object) -> Value:
    return value if isinstance(value, (str, int, float, bool)) else None


def _converted(setting: Setting, value: object, where: str) -> Value:
    """A value of a file or of the environment, where all is text."""
    if setting.kind is bool:
        found = _WORDS.get(str(value).lower())
        if found is None:
            raise _wrong(setting, value, where, "Write true or false.")
        return found
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise _wrong(setting, value, where, "Write it as its flag is written.")
    try:
        found_value = setting.kind(str(value))
    except ValueError as error:
        raise _wrong(setting, value, where, f"Write a {setting.kind.__name__}.") from error
    if setting.choices and found_value not in setting.choices:
        raise _wrong(setting, value, where, f"Take one of {', '.join(setting.choices)}.")
    return found_value


def _wrong(setting: Setting, value: object, where: str, remedy: str) -> OptionError:
    return OptionError(f"{where} sets {setting.name} to {value!r}.", remedy)
