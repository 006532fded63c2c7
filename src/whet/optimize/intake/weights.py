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
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whet._optional import require
from whet.core.reach import Kind, readable
from whet.errors import NetworkError
from whet.optimize.intake.checkpoint import UNUSED, need_values, unwrapped, weights_in
from whet.optimize.quiet import quiet
from whet.optimize.said import first_line

if TYPE_CHECKING:
    import torch

__all__ = ["fill", "is_torchscript", "need_weights", "read_weights"]

_TORCH = (".pt", ".pth", ".bin", ".ckpt", ".tar")  # torch.save writes the same under each of them
_KINDS = "a .safetensors, .npz, .pt, .pth, .pth.tar, .bin or .ckpt file"
# What numpy and zipfile raise on damaged files.
_FOREIGN = (
    OSError,
    ValueError,
    TypeError,
    EOFError,
    RuntimeError,  # encrypted, or compressed in a way that isn't known
    zipfile.BadZipFile,
    zlib.error,
)


def fill(module: torch.nn.Module, path: Path) -> None:
    """Put the weights of a file into a module; every name and shape must agree.

    Values are cast to the dtype of the parameter that they fill.
    ``num_batches_tracked`` may be missing: it has no use after training.

    Raises:
        NetworkError: unreadable file, or names or shapes that don't agree.
    """
    own = module.state_dict()
    found = unwrapped(read_weights(path), own)
    shared = _shared(module, found)
    missing = [n for n in own if n not in found and n not in shared and not n.endswith(UNUSED)]
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
        if tensor.is_complex() and not own[name].is_complex():
            raise NetworkError(
                f"'{name}' in '{path.name}' holds complex numbers, the network wants real ones.",
                "Save the real part alone, if that is what the network takes: tensor.real.",
            )
    need_values(found, path)
    try:
        module.load_state_dict({n: t.to(own[n].dtype) for n, t in found.items()}, strict=False)
    except (RuntimeError, NotImplementedError) as error:
        raise NetworkError(
            f"The weights in '{path.name}' can't be put into the network: {first_line(error)}.",
            "Save plain tensors: torch.save(model.state_dict(), path).",
        ) from error


def _shared(module: torch.nn.Module, found: Mapping[str, torch.Tensor]) -> set[str]:
    """Names of the network's tensors that it has under another name too, which is in the file.

    Files of `safetensors.torch.save_model` hold a tensor once that several parts share.
    """
    held = dict(module.named_parameters(remove_duplicate=False))
    filled = {id(held[name]) for name in found if name in held}
    return {name for name, parameter in held.items() if id(parameter) in filled}


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
    if readable(path, NetworkError) is not Kind.FILE:
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
            return {name: torch.from_numpy(_native(archive[name])) for name in archive}
    except _FOREIGN as error:
        raise _damaged(path, error) from error


def _native(held: object) -> NDArray[np.generic]:
    """An array in rows and in this machine's byte order; a single number keeps its shape ()."""
    array = np.asarray(held)  # what is no array in an archive comes as its bytes
    return np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")


def _read_torch(path: Path) -> dict[str, torch.Tensor]:
    torch = require("torch", "read weights")
    if tarfile.is_tarfile(path):
        raise NetworkError(
            f"'{path.name}' is an archive of files, not a file of weights.",
            "Unpack it and give the file in it.",
        )
    if is_torchscript(path):
        raise NetworkError(
            f"'{path.name}' is a TorchScript program, not a file of weights.",
            "Save its weights alone:"
            f" torch.save(torch.jit.load('{path.name}').state_dict(), 'weights.pt').",
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
    return weights_in(loaded, path)


def is_torchscript(path: Path) -> bool:
    """Whether a file is one of `torch.jit.save`, which is never run."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except _FOREIGN:  # older files are no archives
        return False
