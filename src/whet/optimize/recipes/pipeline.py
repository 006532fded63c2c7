"""Passes in order, as they are written by hand.

Core's pipeline is strict: each pass takes the stage that the one before it gives. Here the one
change of stage that can only mean one thing is put in: where passes over the network end, it is
exported (`whet.optimize.network.to_graph`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, final

from whet.core.passes import Pass, Stage
from whet.core.recipe import Step
from whet.core.registry import names, resolve
from whet.errors import OptionError
from whet.optimize.build import pass_of, step_of

__all__ = ["Pipeline"]

_TO_GRAPH = Step("to-graph")
_TAKES = {Stage.NETWORK: "a network", Stage.GRAPH: "a graph", Stage.IR: "an OpenVINO IR"}


@final
@dataclass(frozen=True)
class Pipeline:
    """Passes one after another, for `whet.apply`.

    Where passes over the network end, `ToGraph` is put in if it isn't there.

    Attributes:
        passes: in order; none leaves the network as it is.

    Raises:
        OptionError: something else than one of whet's passes, or a pass in the wrong place.
    """

    passes: tuple[Pass[Any, Any], ...]

    def __init__(self, passes: Iterable[Pass[Any, Any]]) -> None:
        if isinstance(passes, Pass) or not isinstance(passes, Iterable):
            raise OptionError(
                f"A pipeline of a {type(passes).__name__} can't be made.", "Give a list of passes."
            )
        given = tuple(_checked(each) for each in passes)
        object.__setattr__(self, "passes", _exported(given))

    @property
    def steps(self) -> tuple[Step, ...]:
        """The passes as data."""
        return tuple(step_of(each) for each in self.passes)


def _checked(given: object) -> Pass[Any, Any]:
    """One of whet's passes, with its options as a file would give them: texts become enums."""
    if isinstance(given, type):
        raise OptionError(
            f"{given.__name__} is a class, no pass.", f"Make one of it: {given.__name__}()."
        )
    if not isinstance(given, Pass):
        raise OptionError(
            f"A {type(given).__name__} is no pass.", "Give passes, such as whet.Narrow(0.3)."
        )
    if given.name not in names("pass") or type(given) is not resolve("pass", given.name):
        raise OptionError(
            f"{type(given).__name__} is none of whet's own passes, so no recipe can name it.",
            "Run it with whet.core.passes.run.",
        )
    return pass_of(step_of(given))


def _exported(passes: tuple[Pass[Any, Any], ...]) -> tuple[Pass[Any, Any], ...]:
    """The passes with the export where it is missing; each takes what the one before it gives."""
    found: list[Pass[Any, Any]] = []
    for each in passes:
        have = found[-1].gives if found else None
        if have is Stage.NETWORK and each.takes is not Stage.NETWORK:
            found.append(pass_of(_TO_GRAPH))
            have = Stage.GRAPH
        if each.takes is not have and not (have is None and each.takes is not Stage.IR):
            raise _misplaced(each, found)
        found.append(each)
    if found and found[-1].gives is Stage.NETWORK:
        found.append(pass_of(_TO_GRAPH))
    return tuple(found)


def _misplaced(each: Pass[Any, Any], before: list[Pass[Any, Any]]) -> OptionError:
    if each.takes is Stage.NETWORK:
        remedy = f"Put '{each.name}' before '{_first_graph(before).name}'."
    elif each.takes is Stage.IR:
        remedy = "Put 'convert-ir' before it."
    else:
        remedy = "Put it before 'convert-ir'."
    have = (
        f"'{before[-1].name}' before it gives {_TAKES[before[-1].gives]}"
        if before
        else ("nothing before it makes one")
    )
    return OptionError(f"The pass '{each.name}' takes {_TAKES[each.takes]}, but {have}.", remedy)


def _first_graph(passes: list[Pass[Any, Any]]) -> Pass[Any, Any]:
    return next(each for each in passes if each.gives is not Stage.NETWORK)
