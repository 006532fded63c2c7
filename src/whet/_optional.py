"""Deferred imports of optional packages, with the extra to install in the error.

Heavy packages are imported inside the function that needs them, through
`require`, so that ``import whet`` stays light and a missing package gives one
sentence instead of a traceback.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterable
from types import ModuleType

from whet.errors import HostError, MissingExtraError

__all__ = ["broken_package", "installed", "need_installed", "require"]

# Top-level package -> the extra of whet that brings it.
_EXTRAS = {
    "torch": "optimize",
    "torch_pruning": "optimize",
    "onnx": "optimize",
    "onnxscript": "optimize",
    "onnxslim": "optimize",
    "nncf": "optimize",
    "optuna": "optimize",
    "transformers": "optimize",
    "scipy": "optimize",
    "safetensors": "optimize",
    "yaml": "optimize",
    "openvino": "openvino",
    "onnxruntime": "onnxruntime",
    "PIL": "images",
    "tokenizers": "text",
    "sklearn": "demo",
    "uvicorn": "serve",
    "uvloop": "serve",
    "httptools": "serve",
    "grpc": "grpc",
    "google": "grpc",
}

_OWN = "whet"  # some of its own modules are imported late as well
_LONGEST = 300  # of what a foreign error says

# Importing these sends a usage report through this package. Both fall back to a
# stub of their own when it can't be imported; ``None`` in sys.modules says just that.
_REPORTS_HOME = {"openvino": "openvino_telemetry", "nncf": "openvino_telemetry"}


def installed(package: str) -> bool:
    """Whether a top-level package can be imported, without importing it."""
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # imported already, by something that left no specification
        return True


def need_installed(packages: Iterable[str], job: str, extra: str) -> None:
    """Refuse a job whose packages aren't there, before it blames something else.

    Args:
        packages: top-level packages.
        job: what needs them, as the start of a sentence.
        extra: of whet, which brings all of them.

    Raises:
        MissingExtraError: names those that are missing.
    """
    missing = [package for package in packages if not installed(package)]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise MissingExtraError(
            f"{job} needs {', '.join(missing)}, which {verb} not installed.",
            f"Install what it needs with: pip install 'whet[{extra}]'",
        )


def require(module: str, why: str) -> ModuleType:
    """Import an optional module or say which extra brings it.

    Args:
        module: dotted name, e.g. ``"onnxruntime.quantization"``.
        why: what it is needed for, as the end of "is needed to ...".

    Raises:
        MissingExtraError: the top-level package is not installed.
        HostError: it is installed, but its own import or that of the module fails.
    """
    package = module.partition(".")[0]
    if package in _REPORTS_HOME:
        sys.modules.setdefault(_REPORTS_HOME[package], None)  # type: ignore[arg-type]  # "not importable"
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as error:  # a broken package may raise anything
        package = _missing(error) if package == _OWN else package
        if not installed(package):
            extra = _EXTRAS.get(package, "all")
            raise MissingExtraError(
                f"The package '{package}' is needed to {why} and is not installed.",
                f"Install it with: pip install 'whet[{extra}]'",
            ) from error
        # Where the package itself is imported, one of its parts is missing, or what that needs.
        broken = broken_package(error)
        if broken is None and package == _OWN:
            raise
        raise (broken or _broken(module, error)) from error


def _missing(error: BaseException) -> str:
    """The package that a module of whet lacks, if extras bring it; else whet itself."""
    name = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    return name if name in _EXTRAS and not installed(name) else _OWN


def broken_package(error: BaseException) -> HostError | None:
    """The host's error behind one that was raised while other code was imported or run.

    Where an installed package fails while it is imported (a missing shared library, a wrong
    build), whoever asked for it isn't to blame. That it was the package shows in where the error
    comes from: the package's own top level, which Python forgets again if it fails.

    Args:
        error: what was raised.

    Returns:
        The error to raise in its place; ``None`` where no package of `require` is broken.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        name: object = frame.f_globals.get("__name__")
        if frame.f_code.co_name != "<module>" or name not in _EXTRAS or name in sys.modules:
            continue
        return _broken(str(name), error)
    return None


def _broken(module: str, error: BaseException) -> HostError:
    """What to say of an installed package, or of a module of it, that can't be imported."""
    package = module.partition(".")[0]
    said = " ".join(str(error).split())[:_LONGEST]
    part = "" if module == package else f"its module '{module}' "
    return HostError(
        f"The package '{package}' is installed here but {part}can't be imported:"
        f" {type(error).__name__}{f': {said}' if said else ''}",
        f"See what \"python -c 'import {module}'\" says, then install the package again:"
        f" pip install --force-reinstall 'whet[{_EXTRAS.get(package, 'all')}]'",
    )
