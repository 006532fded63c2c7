from __future__ import annotations

import argparse

import pytest

from whet.cli.main import parser
from whet.cli.words import attached, refusal


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (["--p99", "-3ms"], ["--p99=-3ms"]),
        (["--max-drop", "-1%", "--batch", "-2"], ["--max-drop=-1%", "--batch=-2"]),
        (["--p99", "--max-drop", "1%"], ["--p99", "--max-drop", "1%"]),
        (["--p99", "-h"], ["--p99", "-h"]),
        (["net.py:build", "-x"], ["net.py:build", "-x"]),
        (["--p99=-3ms", "-x"], ["--p99=-3ms", "-x"]),
        (["--out", "-"], ["--out", "-"]),
        ([], []),
    ],
)
def test_a_value_with_a_dash_belongs_to_its_option(given: list[str], found: list[str]) -> None:
    assert attached(given) == found


def test_no_verb_has_a_short_option_that_could_be_taken_for_a_value() -> None:
    verbs = next(a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    for each in (parser(), *verbs.choices.values()):
        short = {o for a in each._actions for o in a.option_strings if not o.startswith("--")}
        assert short == {"-h"}


@pytest.mark.parametrize(
    ("said", "message", "remedy"),
    [
        ("argument --p99: expected one argument", "--p99 has no value.", "behind the option"),
        ("argument --seed: invalid int value: 'x'", "--seed 'x' is no whole number.", "such as 2"),
        ("argument --rate: invalid float value: 'x'", "--rate 'x' is no number.", "such as 0.95"),
        (
            "argument --layout: invalid choice: 'A' (choose from 'B', 'C')",
            "--layout 'A' is not known.",
            "Take one of 'B', 'C'.",
        ),
        ("argument --quiet: ignored explicit argument '1'", "--quiet takes no value", "Leave it"),
        ("the following arguments are required: network", "Missing: network.", "'whet --help'"),
        ("unrecognized arguments: --odd", "'--odd' can't be understood.", "'whet --help'"),
        ("something new", "Something new.", "'whet --help'"),
    ],
)
def test_every_refusal_is_a_sentence_of_ours(said: str, message: str, remedy: str) -> None:
    error = refusal(said, "whet")
    assert error.message.startswith(message)
    assert remedy in error.remedy
