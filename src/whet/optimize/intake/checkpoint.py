"""What a training loop saved: where the weights lie in it, under which names, and of which kind."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from whet._optional import require
from whet.errors import NetworkError

if TYPE_CHECKING:
    import torch

__all__ = ["UNUSED", "need_values", "unwrapped", "weights_in"]

# Keys under which training loops nest the weights in a checkpoint.
_NESTED = ("state_dict", "model_state_dict", "model")
_WRAPPED = "module."  # put before every name by DataParallel
_COMPILED = "_orig_mod."  # put before the names of whatever torch.compile wrapped
_AVERAGED = "n_averaged"  # put beside them by torch's AveragedModel
_HELD = "model."  # put there by a LightningModule that holds the network as ``model``
UNUSED = "num_batches_tracked"
"""How names end of what has no use after training, and may be missing."""


def weights_in(loaded: object, path: Path) -> dict[str, torch.Tensor]:
    """The tensors by name of a checkpoint; they may lie under one of the usual keys.

    Args:
        loaded: what torch's restricted reader gave.
        path: of the file, for errors.

    Raises:
        NetworkError: there are none; says what it holds instead and how to take them out of it.
    """
    if isinstance(loaded, Mapping):
        for key in _NESTED:
            if _are_weights(loaded.get(key)):
                return dict(loaded[key])
        if not loaded or _are_weights(loaded):
            return dict(loaded)
    raise _no_tensors(path, loaded)


def unwrapped(tensors: dict[str, torch.Tensor], own: Collection[str]) -> dict[str, torch.Tensor]:
    """The tensors without what wrappers put before their names.

    Args:
        tensors: by name.
        own: the names of the network's own.
    """
    plain = tensors if any(_COMPILED in name for name in own) else _uncompiled(tensors)
    bare = _without({n: t for n, t in plain.items() if n != _AVERAGED or n in own}, _WRAPPED)
    # A network may well have a part of such a name: it is taken off only where all names then fit.
    needed = {name for name in own if not name.endswith(UNUSED)}
    ways = (plain, bare, _without(bare, _HELD), _without(plain, _HELD))
    fitting = (way for way in ways if needed <= set(way) <= set(own))
    return next(fitting, bare)


def need_values(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Refuse tensors that hold no plain values.

    Raises:
        NetworkError: sparse, quantised, or without any values.
    """
    torch = require("torch", "read weights")
    for name, tensor in tensors.items():
        if tensor.is_meta:
            kind, remedy = "without values", "Load the weights into the network, then save them."
        elif tensor.is_quantized:
            kind, remedy = "quantised", "Save the network's float weights, from before that."
        elif tensor.layout is not torch.strided or tensor.is_nested:
            kind, remedy = "sparse or nested", "Save it dense: tensor.to_dense()."
        else:
            continue
        raise NetworkError(f"The tensor '{name}' in '{path.name}' is {kind}.", remedy)


def _uncompiled(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    named = {name.replace(_COMPILED, ""): tensor for name, tensor in tensors.items()}
    return named if len(named) == len(tensors) else tensors


def _without(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    if all(name.startswith(prefix) for name in tensors):
        return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def _are_weights(held: object) -> bool:
    torch = require("torch", "read weights")
    return (
        isinstance(held, Mapping)
        and len(held) > 0
        and all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in held.items())
    )


def _no_tensors(path: Path, loaded: object) -> NetworkError:
    """What a checkpoint holds instead, and how to take the weights out of it."""
    if not isinstance(loaded, Mapping):
        return NetworkError(
            f"'{path.name}' holds a {type(loaded).__name__}, and no tensors by name.",
            "Save the weights with torch.save(model.state_dict(), path).",
        )
    torch = require("torch", "read weights")
    bare = {k: v for k, v in loaded.items() if isinstance(k, str) and isinstance(v, torch.Tensor)}
    rest = [f"{key} ({type(value).__name__})" for key, value in loaded.items() if key not in bare]
    held = "tensors by name, but also" if bare else "no tensors by name but"
    whole = f"torch.load('{path.name}', weights_only=True)"
    ways = sorted(_ways(loaded), key=lambda way: (len(way), way[-1] not in _NESTED))
    if ways:
        taken = whole + "".join(f"[{key!r}]" for key in ways[0])
    elif bare:
        taken = f"{{k: v for k, v in {whole}.items() if isinstance(v, torch.Tensor)}}"
    else:
        taken = "model.state_dict()"
    more = f" and {len(rest) - 5} more" if len(rest) > 5 else ""
    return NetworkError(
        f"'{path.name}' holds {held} {', '.join(rest[:5])}{more}.",
        f"Save the weights alone: torch.save({taken}, 'weights.pt').",
    )


def _ways(whole: Mapping[object, object]) -> Iterator[tuple[object, ...]]:
    """The keys that lead to weights, one after the other; the shortest ways first."""
    waiting: list[tuple[tuple[object, ...], Mapping[object, object]]] = [((), whole)]
    seen = {id(whole)}  # a file may hold a mapping that holds itself
    for before, held in waiting:
        for key, value in held.items():
            if _are_weights(value):
                yield (*before, key)
            elif isinstance(value, Mapping) and id(value) not in seen:
                seen.add(id(value))
                waiting.append(((*before, key), value))
