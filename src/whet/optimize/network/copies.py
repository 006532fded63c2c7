"""A network copied, so that what changes weights leaves the given one alone."""

from __future__ import annotations

from copy import deepcopy

from torch import fx

from whet.optimize.quiet import quiet

__all__ = ["copied"]


def copied(module: fx.GraphModule) -> fx.GraphModule:
    """The same network over weights of its own."""
    with quiet():  # torch warns of the way in which it keeps the form of inputs
        return deepcopy(module)
