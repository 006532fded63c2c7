"""From an exporter's traceback to the one sentence that its reader needs."""

from __future__ import annotations

import re
import sysconfig
import traceback
from pathlib import Path

from whet.errors import ExportError
from whet.optimize.said import kind_and_line

__all__ = ["export_error", "first_cause", "users_line"]

_OWN = str(Path(__file__).parent)
_LIBRARIES = tuple({sysconfig.get_path(key) for key in ("purelib", "platlib", "stdlib")})


def first_cause(error: BaseException) -> BaseException:
    """The deepest error of a chain."""
    seen = {id(error)}
    while (below := error.__cause__ or error.__context__) is not None and id(below) not in seen:
        seen.add(id(below))
        error = below
    return error


def export_error(name: str, error: BaseException) -> ExportError:
    """Say why a network can't be exported, where in the user's code, and what to do."""
    chain = _chain(error)
    text = "\n".join(str(link) for link in chain)
    where = next((at for link in chain if (at := users_line(link))), "")
    kinds = {type(link).__name__ for link in chain}
    if "GuardOnDataDependentSymNode" in kinds or "data-dependent" in text:
        return ExportError(
            f"'{name}' can't be exported: its control flow depends on the values of its inputs{where}.",
            "Write the branch with torch.where or torch.cond, or give a part of the network without it.",
        )
    if "DispatchError" in kinds or "No ONNX function found" in text:
        found = re.search(r"op='([\w.]+)'", text)
        operator = found[1] if found else "an operator"
        return ExportError(
            f"'{name}' can't be exported: '{operator}' has no ONNX form{where}.",
            "Write it with other operators, or leave that part out of the network.",
        )
    return ExportError(
        f"'{name}' can't be exported: {kind_and_line(first_cause(error))}{where}.",
        "Check that forward runs on the samples, with tensors in and out.",
    )


def _chain(error: BaseException) -> list[BaseException]:
    links, seen = [error], {id(error)}
    while (below := links[-1].__cause__ or links[-1].__context__) is not None:
        if id(below) in seen:
            break
        seen.add(id(below))
        links.append(below)
    return links[::-1]


def users_line(error: BaseException) -> str:
    """``" (net.py, line 12)"``: the deepest frame that is neither a library's nor ours."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        inside = (*_LIBRARIES, _OWN, "<")
        if frame.lineno and not frame.filename.startswith(inside):
            return f" ({Path(frame.filename).name}, line {frame.lineno})"
    return ""
