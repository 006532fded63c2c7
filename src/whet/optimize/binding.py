"""Which sample goes into which argument of a network."""

from __future__ import annotations

import inspect
from collections.abc import Collection
from typing import TYPE_CHECKING

from whet._optional import require
from whet.core.fit import labels_hint
from whet.core.spec import TensorSpec
from whet.errors import NetworkError
from whet.optimize.intake.network import Network

if TYPE_CHECKING:
    import torch

__all__ = ["bind_module", "match_names"]


def match_names(stated: tuple[str, ...], inputs: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    """The inputs in the order of the stated names; a single input may have any name.

    Raises:
        NetworkError: the names don't agree.
    """
    by_name = {spec.name: spec for spec in inputs}
    if set(by_name) == set(stated):
        return tuple(by_name[name] for name in stated)
    if len(stated) == len(inputs) == 1:
        return inputs
    raise NetworkError(
        f"The network takes {', '.join(stated)}, but the samples hold {', '.join(by_name)}.",
        f"Give the samples the network's names.{labels_hint(inputs, stated)}",
    )


def bind_module(
    network: Network, inputs: tuple[TensorSpec, ...], *, without: Collection[str] = ()
) -> tuple[torch.nn.Module, tuple[TensorSpec, ...]]:
    """A module that takes tensors by position, and the inputs in that order.

    Inputs are given by name where ``forward`` knows the names, else by position
    where the number is right.

    Args:
        network: from torch.
        inputs: what the samples hold.
        without: outputs to leave out.

    Raises:
        NetworkError: neither is possible.
    """
    wrappers = require("whet.optimize.intake.modules", "export a network")
    module = network.module
    if module is None:
        raise NetworkError(f"'{network.name}' holds no module.", "Load it before the export.")
    if network.inputs:
        ordered = match_names(tuple(spec.name for spec in network.inputs), inputs)
        return wrappers.Called(module, [spec.name for spec in ordered], (), without), ordered
    parameters = inspect.signature(module.forward).parameters.values()
    named = {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    known = [q.name for q in parameters if q.kind in named]
    by_name = {spec.name: spec for spec in inputs}
    if set(network.parameters) <= set(by_name) <= set(known):
        ordered = tuple(by_name[name] for name in known if name in by_name)
        return wrappers.Called(module, (), [spec.name for spec in ordered], without), ordered
    takes_any = any(q.kind is inspect.Parameter.VAR_POSITIONAL for q in parameters)
    single = len(inputs) == 1 and len(network.parameters) == 1
    if takes_any or single:
        return wrappers.Called(module, [spec.name for spec in inputs], (), without), inputs
    raise NetworkError(
        f"The network takes {', '.join(network.parameters) or 'nothing'},"
        f" but the samples hold {', '.join(by_name)}.",
        "Give the samples the names of the arguments of forward."
        f"{labels_hint(inputs, network.parameters)}",
    )
