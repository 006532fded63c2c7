"""Which metric of the user's own a search is judged by.

Its name doesn't say it, for the file may have been edited. What counts are the
bytes of the file and of the modules that it has loaded from its own folder,
and how it scores some of the original's answers, in order and in reverse: that
notices most of what it may read besides.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whet.core.spec import Arrays
from whet.measure.custom import load_metric

__all__ = ["metric_digest"]


def metric_digest(metric: str, answers: Arrays, labels: NDArray[np.generic] | None) -> str:
    """64 hex digits for a metric ``file.py:function``; empty for one of whet's own.

    Args:
        metric: as the contract names it, never ``"auto"``.
        answers: some of the original's, by output.
        labels: of the same samples.

    Raises:
        OptionError: the user's function can't be loaded, or fails.
    """
    if ":" not in metric:
        return ""
    score = load_metric(metric)
    total = hashlib.sha256()
    for file in _sources(metric.rpartition(":")[0]):
        total.update(f"{file.name}\0".encode())
        total.update(file.read_bytes())
    backwards = {name: array[::-1] for name, array in answers.items()}
    for given in (answers, backwards):
        total.update(np.asarray(score(given, labels, answers), np.float64).tobytes())
    return total.hexdigest()


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
