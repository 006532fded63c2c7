"""``file.py:factory``: run a function of the user's own file, then put weights in.

This is the one place where code is run, and only from the path that the user
named. The file's own folder is importable while it loads, as it is when the
file is run as a script.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from whet._optional import broken_package, require
from whet.core.note import Note
from whet.core.reach import Kind, expanded, readable
from whet.errors import NetworkError
from whet.optimize.intake.live import load_module, need_traceable
from whet.optimize.intake.network import Network
from whet.optimize.intake.untrained import untrained_notes
from whet.optimize.intake.weights import fill
from whet.optimize.said import kind_and_line

if TYPE_CHECKING:
    import torch

__all__ = ["factory_parts", "is_factory", "load_factory"]

# Function names that say nothing; the file's name stands in.
_GENERIC = frozenset(
    {"build", "create", "factory", "get_model", "main", "make", "model", "net", "network"}
)
_FORM = re.compile(r"(?P<file>.+\.py):(?P<name>[^:\\/]*)", re.DOTALL)


def is_factory(source: str) -> bool:
    """Whether a source is written as ``file.py:factory``."""
    return _FORM.fullmatch(source) is not None


def factory_parts(source: str) -> tuple[Path, str]:
    """The file, which exists, and the name of the function.

    Raises:
        NetworkError: written otherwise, or no such file.
    """
    match = _FORM.fullmatch(source)
    if match is None:
        raise NetworkError(f"'{source}' names no factory.", "Write it as 'file.py:function'.")
    path, name = expanded(Path(match["file"])), match["name"]
    if readable(path, NetworkError) is not Kind.FILE:
        raise NetworkError(
            f"There is no file '{path}'.", "Give the path of a Python file, then ':function'."
        )
    return path, name


def load_factory(source: str, weights: Path | None) -> Network:
    """Run the factory and put the weights into what it gives.

    Raises:
        NetworkError: no such file or function, the function failed or gave no
            module, or the weights don't fit.
        HostError: the file asks for an installed package that is broken.
    """
    path, name = factory_parts(source)
    notes: tuple[Note, ...] = ()
    with _importable(path.parent.resolve()):
        code = _execute(path.resolve())
        module = _build(code, path, name)
        need_traceable(module)
        if weights is None:
            notes = untrained_notes(module, lambda: _build(code, path, name))
    if weights is not None:
        fill(module, weights)
    network = load_module(module, path.stem if name.lower() in _GENERIC else name)
    return replace(network, notes=(*network.notes, *notes))


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))


def _execute(path: Path) -> ModuleType:
    # One name per path: torch and inspect look modules up by name later on.
    name = f"whet_factory_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise NetworkError(f"'{path}' can't be loaded as Python.", "Give a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise broken_package(error) or NetworkError(
            f"'{path}' failed while it was loaded: {kind_and_line(error)}.",
            "Run the file by itself and mend it.",
        ) from error
    return module


def _build(code: ModuleType, path: Path, name: str) -> torch.nn.Module:
    torch = require("torch", "build a network from a factory")
    factory = vars(code).get(name)
    if factory is None:
        known = ", ".join(
            sorted(key for key, value in vars(code).items() if _is_own_function(code, key, value))
        )
        raise NetworkError(
            f"'{path.name}' has no function '{name}'.",
            f"It has: {known}." if known else "It defines no function.",
        )
    if isinstance(factory, torch.nn.Module):
        return factory
    if not callable(factory):
        raise NetworkError(f"'{name}' in '{path.name}' is no function.", "Name a function.")
    try:
        module = factory()
    except (Exception, SystemExit) as error:
        raise broken_package(error) or NetworkError(
            f"The factory '{name}' in '{path.name}' failed: {kind_and_line(error)}.",
            "It is called without arguments and must give a torch.nn.Module.",
        ) from error
    if not isinstance(module, torch.nn.Module):
        raise NetworkError(
            f"The factory '{name}' gave a {type(module).__name__}, not a torch.nn.Module.",
            "Return the module itself.",
        )
    return module


def _is_own_function(code: ModuleType, key: str, value: object) -> bool:
    return (
        callable(value)
        and not key.startswith("_")
        and getattr(value, "__module__", None) == code.__name__
    )
