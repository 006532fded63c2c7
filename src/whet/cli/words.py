"""The words of a command line before they are parsed, and what to say when they can't be.

``argparse`` takes ``--p99 -3ms`` for two options. No verb has short options
but ``-h``, so a word with one dash behind an option is that option's value;
what is wrong with it can then be said by whoever reads the value.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from whet.errors import OptionError

__all__ = ["attached", "refusal"]

_OPTION = re.compile(r"--[a-z][\w-]*")
_VALUE = re.compile(r"-[^-].*", re.DOTALL)
_HELP = "-h"

# What argparse says, what we say, and the remedy; names in braces are the groups.
_SAID: tuple[tuple[str, str, str], ...] = (
    (
        r"argument (?P<flag>\S+): expected one argument",
        "{flag} has no value.",
        "Write it behind the option; '{prog} --help' shows the forms.",
    ),
    (
        r"argument (?P<flag>\S+): invalid int value: (?P<value>.*)",
        "{flag} {value} is no whole number.",
        "Write one such as 2.",
    ),
    (
        r"argument (?P<flag>\S+): invalid float value: (?P<value>.*)",
        "{flag} {value} is no number.",
        "Write one such as 0.95.",
    ),
    (
        r"argument VERB: invalid choice: (?P<value>.*) \(choose from (?P<known>.*)\)",
        "{value} is no verb of whet.",
        "Take one of {known}.",
    ),
    (
        r"argument (?P<flag>\S+): invalid choice: (?P<value>.*) \(choose from (?P<known>.*)\)",
        "{flag} {value} is not known.",
        "Take one of {known}.",
    ),
    (
        r"argument (?P<flag>\S+): ignored explicit argument (?P<value>.*)",
        "{flag} takes no value, and {value} was given.",
        "Leave it out.",
    ),
    (
        r"the following arguments are required: (?P<names>.*)",
        "Missing: {names}.",
        "'{prog} --help' says what it is.",
    ),
    (
        r"unrecognized arguments: (?P<words>.*)",
        "'{words}' can't be understood.",
        "'{prog} --help' lists what can be given.",
    ),
)


def attached(words: Sequence[str]) -> list[str]:
    """The words with a value that begins with a dash put to its option: ``--p99=-3ms``."""
    found: list[str] = []
    for word in words:
        if found and _OPTION.fullmatch(found[-1]) and _VALUE.fullmatch(word) and word != _HELP:
            found[-1] = f"{found[-1]}={word}"
        else:
            found.append(word)
    return found


def refusal(message: str, prog: str) -> OptionError:
    """Our sentence for one of argparse's; its own where it is none that is known."""
    for pattern, said, remedy in _SAID:
        match = re.fullmatch(pattern, message, re.DOTALL)
        if match is not None:
            fields = {**match.groupdict(), "prog": prog}
            return OptionError(said.format(**fields), remedy.format(**fields))
    return OptionError(
        f"{message[:1].upper()}{message[1:]}.", f"'{prog} --help' lists what can be given."
    )
