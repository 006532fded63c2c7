"""Weights from files that hold numbers only, put into a module name by name.

``.safetensors`` and ``.npz`` can't hold code (``allow_pickle`` stays off).
Whatever ``torch.save`` wrote, under any of its usual endings, goes through
torch's restricted reader, which refuses everything that isn't a tensor or a
plain container.
"""

from __future__ import annotations

import pickle  # only for the name of the restricted reader's error
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from whet._optional import require
from whet.errors import NetworkError
from whet.optimize.quiet import quiet
from whet.optimize.said import first_line

if TYPE_CHECKING:
    import torch

__all__ = ["fill", "need_weights", "read_weights"]

_TORCH = (".pt", ".pth", ".bin", ".ckpt", ".tar")  # torch.save writes the same under each of them
_KINDS = "a .safetensors, .npz, .pt, .pth, .pth.tar, .bin or .ckpt file"
# Keys under which training loops nest the weights in a checkpoint.
_NESTED = ("state_dict", "model_state_dict", "model")
_WRAPPED = "module."  # put before every name by DataParallel


def fill(module: torch.nn.Module, path: Path) -> None:
    """Put the weights of a file into a module; every name and shape must agree.

    Values are cast to the dtype of the parameter that they fill.
    ``num_batches_tracked`` may be missing: it has no use after training.

    Raises:
        NetworkError: unreadable file, or names or shapes that don't agree.
    """
    found = _unwrapped(read_weights(path))
    own = module.state_dict()
    missing = [n for n in own if n not in found and not n.endswith("num_batches_tracked")]
    unexpected = [n for n in found if n not in own]
    if missing or unexpected:
        raise NetworkError(
            f"The weights in '{path.name}' don't fit the network:"
            f" {_listed('missing', missing)}{_listed('unexpected', unexpected)}".rstrip("; ")
            + ".",
            "Check that the factory builds the network that these weights were trained in.",
        )
    for name, tensor in found.items():
        if tensor.shape != own[name].shape:
            raise NetworkError(
                f"'{name}' in '{path.name}' has shape {tuple(tensor.shape)},"
                f" the network wants {tuple(own[name].shape)}.",
                "Check the factory's sizes (number of classes, width).",
            )
    module.load_state_dict({n: t.to(own[n].dtype) for n, t in found.items()}, strict=False)


def _listed(title: str, names: list[str]) -> str:
    if not names:
        return ""
    return f"{len(names)} {title} ({_few(names)}); "


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{', '.join(names[:5])}{more}"


def need_weights(path: Path) -> None:
    """Refuse a path that leads to nothing, or to a kind of file that isn't known.

    Raises:
        NetworkError: with the kinds that are.
    """
    if not path.is_file():
        raise NetworkError(f"There is no weights file '{path}'.", f"Give {_KINDS}.")
    if path.suffix.lower() not in (".safetensors", ".npz", *_TORCH):
        raise NetworkError(
            f"'{path.name}' is no kind of weights file that is known.", f"Give {_KINDS}."
        )


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Tensors by name.

    Raises:
        NetworkError: no such file, a kind that isn't known, a damaged file,
            or one that holds code.
    """
    need_weights(path)
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        return _read_safetensors(path)
    if suffix == ".npz":
        return _read_npz(path)
    return _read_torch(path)


def _damaged(path: Path, error: Exception) -> NetworkError:
    return NetworkError(
        f"'{path.name}' can't be read: {first_line(error)}.", "Copy or download it again."
    )


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    safetensors = require("safetensors", "read weights")
    reader = require("safetensors.torch", "read weights")
    try:
        loaded: dict[str, torch.Tensor] = reader.load_file(str(path))
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, error) from error
    return loaded


def _read_npz(path: Path) -> dict[str, torch.Tensor]:
    torch = require("torch", "read weights")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: np.ascontiguousarray(archive[name]) for name in archive.files}
        return {name: torch.from_numpy(array) for name, array in arrays.items()}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from error


def _read_torch(path: Path) -> dict[str, torch.Tensor]:
    torch = require("torch", "read weights")
    if tarfile.is_tarfile(path):
        raise NetworkError(
            f"'{path.name}' is an archive of files, not a file of weights.",
            "Unpack it and give the file in it.",
        )
    try:
        # It warns about its own storage classes and about newer pickle protocols.
        with quiet():
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise NetworkError(
            f"'{path.name}' holds more than tensors, or isn't of torch.save at all; running what it"
            " holds could do anything.",
            "Save the weights alone: torch.save(model.state_dict(), path), or as .safetensors.",
        ) from error
    except Exception as error:  # bytes of another kind may make the reader raise anything
        raise _damaged(path, error) from error
    for key in _NESTED:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
            break
    if not _are_tensors(loaded):
        raise _no_tensors(path, loaded)
    return dict(loaded)


def _are_tensors(loaded: object) -> bool:
    torch = require("torch", "read weights")
    return isinstance(loaded, Mapping) and all(
        isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in loaded.items()
    )


def _no_tensors(path: Path, loaded: object) -> NetworkError:
    """What a checkpoint holds instead, and how to take the weights out of it."""
    if not isinstance(loaded, Mapping):
        return NetworkError(
            f"'{path.name}' holds a {type(loaded).__name__}, and no tensors by name.",
            "Save the weights with torch.save(model.state_dict(), path).",
        )
    keys = [f"{key} ({type(value).__name__})" for key, value in loaded.items()]
    nested = [key for key, value in loaded.items() if value and _are_tensors(value)]
    taken = f"torch.load('{path.name}', weights_only=True)[{nested[0]!r}]" if nested else ""
    return NetworkError(
        f"'{path.name}' holds no tensors by name but {_few(keys) or 'nothing'}.",
        f"Save the weights alone: torch.save({taken or 'model.state_dict()'}, 'weights.pt').",
    )


def _unwrapped(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    if tensors and all(name.startswith(_WRAPPED) for name in tensors):
        return {name[len(_WRAPPED) :]: tensor for name, tensor in tensors.items()}
    return tensors
