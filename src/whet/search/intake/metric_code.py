"""Which metric of the user's own a search is judged by.

Its name doesn't say it, for the file may have been edited. What counts are the
bytes of the file and of the modules that it has loaded from its own folder,
and how it scores some of the original's answers, in order and in reverse: that
notices most of what it may read besides. A live function is known by the same, and by its
compiled code, since a notebook has no file.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType

import numpy as np
from numpy.typing import NDArray

from whet.core.spec import Arrays
from whet.measure.custom import UserFunction, UserMetric

__all__ = ["metric_digest"]


def metric_digest(
    metric: str,
    answers: Arrays,
    labels: NDArray[np.generic] | None,
    *,
    own: UserMetric | None,
    function: UserFunction | None = None,
) -> str:
    """64 hex digits for a metric ``file.py:function``; empty for one of whet's own.

    Args:
        metric: as the contract names it, never ``"auto"``.
        answers: some of the original's, by output.
        labels: of the same samples.
        own: the user's metric, ready to be called; ``None`` for one of whet's own.
        function: the user's live function, where ``metric`` is only its name.

    Raises:
        OptionError: the user's function fails.
    """
    if own is None:
        return ""
    total = hashlib.sha256()
    if function is not None:
        total.update(_code(function))
    where = metric.rpartition(":")[0] if function is None else _file(function)
    for file in _sources(where) if where else []:
        total.update(f"{file.name}\0".encode())
        total.update(file.read_bytes())
    backwards = {name: array[::-1] for name, array in answers.items()}
    for given in (answers, backwards):
        total.update(np.asarray(own(given, labels, answers), np.float64).tobytes())
    return total.hexdigest()


def _file(function: UserFunction) -> str | None:
    try:
        return inspect.getsourcefile(inspect.unwrap(function))
    except (TypeError, ValueError):  # an object that is called, or a ring of wrappers
        return None


def _code(function: UserFunction) -> bytes:
    """The instructions of a function and of those within it, without addresses in memory."""
    code = getattr(function, "__code__", None)
    return b"\0".join(_parts(code)) if isinstance(code, CodeType) else b""


def _parts(code: CodeType) -> Iterator[bytes]:
    yield code.co_code
    yield repr(code.co_names).encode()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _parts(constant)
        else:
            yield repr(constant).encode()


def _sources(where: str) -> list[Path]:
    """The metric's file, and all modules that are loaded from its folder or below."""
    module = sys.modules.get(where)
    named = getattr(module, "__file__", None) or where
    local = Path(*where.split(".")).with_suffix(".py")
    file = Path(local if not where.endswith(".py") and local.is_file() else named).resolve()
    found = {file} if file.is_file() else set()
    loaded: list[object] = list(sys.modules.values())
    for other in loaded:
        # Not by getattr: some packages import more when they are asked for a name. What other
        # objects stand in for modules (``None`` forbids an import) has no file.
        path = vars(other).get("__file__") if inspect.ismodule(other) else None
        if isinstance(path, str) and "site-packages" not in Path(path).parts:
            found.add(Path(path).resolve())
    near = (path for path in found if path.is_relative_to(file.parent))
    return sorted(path for path in near if path.suffix == ".py" and path.is_file())
