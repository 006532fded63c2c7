"""Whether a network holds random values instead of trained ones.

Whoever forgets the weights gets a network that answers at random, and everything
after it can be fast, certified and worthless. A factory that draws its values gives
others each time it is called; one that loads them gives the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from whet._optional import require
from whet.core.note import Note

if TYPE_CHECKING:
    import torch

__all__ = ["random_parts", "untrained_notes"]

_SEED = 20_061  # any other than what the first call met
_NAMED = 3


def random_parts(
    module: torch.nn.Module, build: Callable[[], torch.nn.Module]
) -> tuple[tuple[str, ...], int]:
    """Names of the tensors that differ when it is built again, and how many there are.

    Only what both hold is compared. A factory that can't be called twice, or gives
    the very same module, says nothing.

    Args:
        module: what the factory gave.
        build: calls the factory again.
    """
    torch = require("torch", "read a network")
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_SEED)
            again = build()
        other = again.state_dict()
    except (Exception, SystemExit):  # noqa: BLE001 - the user's code; the first call was good
        return (), 0
    own = module.state_dict()
    differing = [
        name
        for name, tensor in own.items()
        if (twin := other.get(name)) is not None
        and twin.shape == tensor.shape
        and not torch.equal(twin.cpu(), tensor.cpu())
    ]
    return tuple(differing), len(own)


def untrained_notes(
    module: torch.nn.Module, build: Callable[[], torch.nn.Module]
) -> tuple[Note, ...]:
    """A warning where the factory draws values at random; see `random_parts`."""
    differing, of = random_parts(module, build)
    if not differing:
        return ()
    more = f" and {len(differing) - _NAMED} more" if len(differing) > _NAMED else ""
    reason = (
        f"The network isn't trained: {len(differing)} of its {of} tensors"
        f" ({', '.join(differing[:_NAMED])}{more}) are drawn at random, others each time the"
        " factory is called. Give the trained values with --weights."
    )
    return (Note("weights", reason),)
