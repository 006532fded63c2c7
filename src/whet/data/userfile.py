"""Load a function that the user named as ``module:function`` or ``file.py:function``.

Only what was named is imported. While a file runs, its folder is on
``sys.path`` so that it finds its neighbours; afterwards the path is as before.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

from whet._optional import broken_package
from whet.core.reach import Kind, readable
from whet.errors import HostError, SamplesError

__all__ = ["USER_ERRORS", "is_reference", "load_function", "neighbours", "raised"]

USER_ERRORS = (Exception, SystemExit)
"""What the user's code may raise; its wish to end the program would end it without a word."""


def raised(error: BaseException, when: str = "") -> str:
    """What the user's code did, to follow its name: ``"raised ValueError: its message"``.

    Args:
        error: one of `USER_ERRORS`.
        when: it did so, with a space before it.
    """
    if isinstance(error, SystemExit):
        return f"called sys.exit({'' if error.code is None else repr(error.code)}){when}"
    return f"raised {type(error).__name__}{when}: {error}"


def is_reference(source: str) -> bool:
    """Whether ``source`` reads ``module:function`` or ``file.py:function``."""
    module, _, function = source.rpartition(":")
    plain = module.endswith(".py") or all(part.isidentifier() for part in module.split("."))
    # One letter before the colon is a drive, not a module.
    return function.isidentifier() and len(module) > 1 and plain


def load_function(reference: str) -> Callable[..., object]:
    """The function that ``reference`` names.

    Raises:
        SamplesError: no such file, module or function, or the import fails.
        HostError: the import fails because an installed package is broken.
    """
    where, _, name = reference.rpartition(":")
    module = _from_file(Path(where)) if where.endswith(".py") else _from_name(where)
    function: object = getattr(module, name, None)
    if function is None or not callable(function):
        raise SamplesError(f"{where} has no function '{name}'.", "Check the name after the colon.")
    return function


@contextlib.contextmanager
def neighbours(folder: Path) -> Iterator[None]:
    """Put ``folder`` at the front of ``sys.path`` for a while."""
    entry = str(folder)
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the user's code may have taken it out
            sys.path.remove(entry)


def _from_name(name: str) -> ModuleType:
    local = Path(*name.split(".")).with_suffix(".py")
    if readable(local, SamplesError) is Kind.FILE:
        return _from_file(local)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise SamplesError(
                f"There is no module '{name}'.", "Name a file instead, e.g. samples.py:batches."
            ) from error
        raise _failed(name, error) from error
    except USER_ERRORS as error:
        raise _failed(name, error) from error


def _from_file(path: Path) -> ModuleType:
    if readable(path, SamplesError) is not Kind.FILE:
        raise SamplesError(f"There is no file {path}.", "Check the path before the colon.")
    path = path.resolve()
    unique = f"_whet_user_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(unique, path)
    if spec is None or spec.loader is None:
        raise SamplesError(f"{path} is no Python file.", "Name a .py file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module  # dataclasses look their module up there
    try:
        with neighbours(path.parent):
            spec.loader.exec_module(module)
    except USER_ERRORS as error:
        del sys.modules[unique]
        raise _failed(str(path), error) from error
    return module


def _failed(where: str, error: BaseException) -> SamplesError | HostError:
    broken = broken_package(error)
    if broken is not None:
        return broken
    return SamplesError(f"Importing {where} {raised(error)}", "Repair it first.")
