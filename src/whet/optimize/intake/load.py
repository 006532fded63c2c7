"""One door for every kind of network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from whet._optional import need_installed
from whet.core.reach import Kind, expanded, readable
from whet.errors import NetworkError
from whet.optimize.intake.factory import factory_parts, is_factory, load_factory
from whet.optimize.intake.huggingface import load_directory
from whet.optimize.intake.live import load_module
from whet.optimize.intake.network import Network
from whet.optimize.intake.onnx_file import load_onnx
from whet.optimize.intake.program import load_program
from whet.optimize.intake.weights import is_torchscript, need_weights

if TYPE_CHECKING:
    import torch

__all__ = ["load_network", "need_files", "need_packages"]

_KINDS = (
    "'file.py:factory', a .pt2 program, an .onnx file, a Hugging Face model directory"
    " or a live torch.nn.Module"
)
_FILES = {".onnx": "an ONNX file", ".pt2": "a .pt2 program"}


def load_network(
    source: str | Path | torch.nn.Module, *, weights: str | Path | None = None
) -> Network:
    """Read a network.

    Args:
        source: ``"file.py:factory"``, a ``.pt2`` program of `torch.export.save`,
            an ``.onnx`` file, a Hugging Face model directory, or a module.
        weights: ``.safetensors``, ``.npz`` or a file of ``torch.save``; for a factory only.

    Raises:
        NetworkError: with the cause and the remedy.
        MissingExtraError: a package that reads this kind isn't installed.
    """
    need_files(source, weights)
    if not isinstance(source, str | Path):
        return load_module(source)
    text = str(source)
    if is_factory(text):
        return load_factory(text, Path(weights) if weights is not None else None)
    path = expanded(Path(text))
    if path.is_dir():
        return load_directory(path)
    return load_onnx(path) if path.suffix.lower() == ".onnx" else load_program(path)


def need_packages(source: str | Path | torch.nn.Module) -> None:
    """Refuse an optimisation where only what runs a bundle is installed.

    Whatever is loaded without these fails on its own imports, and would be blamed for it.

    Args:
        source: see `load_network`.

    Raises:
        MissingExtraError: names the packages.
    """
    graph = isinstance(source, str | Path) and Path(source).suffix.lower() == ".onnx"
    need_installed(("onnx",) if graph else ("torch", "onnx"), "An optimisation", "optimize")


def need_files(source: str | Path | torch.nn.Module, weights: str | Path | None = None) -> None:
    """Refuse, before anything is loaded, what isn't there or is of no kind that is known.

    Args:
        source: see `load_network`.
        weights: likewise.

    Raises:
        NetworkError: with the cause and the remedy.
    """
    if not isinstance(source, str | Path):
        _need_no_weights(weights, "a live module")
        _need_module(source)
        return
    if is_factory(str(source)):
        factory_parts(str(source))
        if weights is not None:
            need_weights(Path(weights))
        return
    path = expanded(Path(source))
    stands = readable(path, NetworkError)
    if not stands.there:
        raise NetworkError(f"There is no file or directory '{path}'.", f"Give {_KINDS}.")
    whole = stands is Kind.FOLDER
    kind = "a model directory" if whole else _FILES.get(path.suffix.lower())
    if kind is None:
        raise _unknown(path)
    if stands is Kind.OTHER:
        raise NetworkError(f"'{path}' is neither a file nor a directory.", f"Give {_KINDS}.")
    _need_no_weights(weights, kind)


def _need_no_weights(weights: str | Path | None, kind: str) -> None:
    if weights is not None:
        raise NetworkError(
            f"{kind[0].upper()}{kind[1:]} holds its own weights, so '{weights}' has no use.",
            "Leave the weights out, or give 'file.py:factory' to put them into.",
        )


def _need_module(source: object) -> None:
    # A live module means that torch is loaded already; nothing is imported to find out.
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(source, torch.nn.Module):
        raise NetworkError(f"A {type(source).__name__} is no network.", f"Give {_KINDS}.")


def _unknown(path: Path) -> NetworkError:
    suffix = path.suffix.lower()
    if suffix == ".py":
        return NetworkError(
            f"'{path}' names no function.",
            f"Name the function that builds the network: '{path}:build'.",
        )
    if is_torchscript(path):
        return NetworkError(
            f"'{path.name}' is a TorchScript program, which can't be read as a network.",
            "Export the network with torch.onnx.export or torch.export.save, or give it as"
            " 'file.py:factory' with its weights.",
        )
    if suffix in {".pt", ".pth", ".bin", ".ckpt", ".tar", ".safetensors", ".npz"}:
        return NetworkError(
            f"'{path.name}' holds weights only, not the network that they belong to.",
            "Give the network as 'file.py:factory' and this file as its weights.",
        )
    return NetworkError(f"'{path.name}' is no kind of network that is known.", f"Give {_KINDS}.")
