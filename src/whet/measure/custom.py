"""The user's own metric: ``file.py:function``, run only because the user named that file.

From Python it may also be a live function. Judging is done in the user's own process, so that
it is called as it is; nothing of it is written down but its name.

Each call has a time limit, a tenth of the search's budget: one that never returns would hold
up all that comes after it, and Python has no other way to go on without a function than to
leave it behind in a thread of its own.
"""

from __future__ import annotations

import contextvars
import ctypes
import threading
from collections.abc import Callable, Mapping
from typing import cast

import numpy as np
from numpy.typing import NDArray

from whet.core.units import seconds_words
from whet.data.userfile import USER_ERRORS, load_function, raised
from whet.errors import OptionError, SamplesError

__all__ = [
    "UserFunction",
    "UserMetric",
    "guarded",
    "load_metric",
    "metric_limit_s",
    "own_metric",
]

_LIMIT_S = 600.0  # of one call where there is no budget
_LEAST_S = 10.0
_OF_BUDGET = 0.1

Outputs = Mapping[str, NDArray[np.generic]]
UserFunction = Callable[[Outputs, NDArray[np.generic] | None, Outputs], object]
UserMetric = Callable[[Outputs, NDArray[np.generic] | None, Outputs], float | NDArray[np.float64]]
"""``function(outputs, labels, reference_outputs)``: scores (n,), one per sample, or one number.

Higher is better. ``outputs`` are those of the model that is scored, by name; the original
is scored too, by giving its outputs twice.
"""


def metric_limit_s(budget_s: float | None) -> float:
    """How long one call may take, in seconds; pure.

    Args:
        budget_s: of the whole search; ``None`` for no limit.
    """
    return _LIMIT_S if budget_s is None else max(_LEAST_S, _OF_BUDGET * budget_s)


def own_metric(
    metric: str, function: UserFunction | None, limit_s: float = _LIMIT_S
) -> UserMetric | None:
    """The user's own metric, ready to be called; ``None`` where it is one of whet's.

    Args:
        metric: as the contract names it.
        function: the user's live function, where ``metric`` is only its name.
        limit_s: of each call.

    Raises:
        OptionError: see `load_metric`.
    """
    if function is not None:
        return guarded(metric, function, limit_s)
    return load_metric(metric, limit_s) if ":" in metric else None


def load_metric(spec: str, limit_s: float = _LIMIT_S) -> UserMetric:
    """Load ``file.py:function`` and guard what it returns.

    Raises:
        OptionError: no such file or function, or it fails while it is loaded.
    """
    try:
        function = load_function(spec)
    except SamplesError as error:
        raise OptionError(
            f"The metric '{spec}' can't be loaded. {error.message}", error.remedy
        ) from error
    return guarded(spec, cast("UserFunction", function), limit_s)


def guarded(spec: str, function: UserFunction, limit_s: float = _LIMIT_S) -> UserMetric:
    """A function whose results are checked; what it raises, or that it hangs, is told by name.

    Args:
        spec: what to call it.
        function: the user's.
        limit_s: of each call.
    """

    def score(
        outputs: Outputs, labels: NDArray[np.generic] | None, reference_outputs: Outputs
    ) -> float | NDArray[np.float64]:
        try:
            found = _within(limit_s, lambda: function(outputs, labels, reference_outputs))
            result = np.asarray(found, dtype=np.float64)
        except _LateError as error:
            raise OptionError(
                f"The metric '{spec}' had not returned after {seconds_words(limit_s)}.",
                "Make it faster, or give a longer budget: one call may take a tenth of it.",
            ) from error
        except USER_ERRORS as error:
            raise OptionError(
                f"The metric '{spec}' {raised(error)}.",
                "It is called as function(outputs, labels, reference_outputs).",
            ) from error
        if result.ndim > 1 or not np.isfinite(result).all():
            raise OptionError(
                f"The metric '{spec}' gave shape {result.shape}"
                f" with {int((~np.isfinite(result)).sum())} values that are no numbers.",
                "Return one finite score per sample, or one finite number.",
            )
        return result if result.ndim == 1 else float(result)

    return score


class _LateError(Exception):
    """A call that took too long."""


def _within(limit_s: float, call: Callable[[], object]) -> object:
    """What a call returns or raises; it is given up after a while.

    Raises:
        _LateError: it hadn't returned by then. It is asked to end, which code that waits inside
            another library may not notice before it returns.
    """
    found: list[object] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            found.append(call())
        except BaseException as error:  # noqa: BLE001 - raised again by the caller
            raised.append(error)

    context = contextvars.copy_context()  # numpy's handling of errors is in it
    thread = threading.Thread(target=context.run, args=(run,), name="whet-metric", daemon=True)
    thread.start()
    thread.join(limit_s)
    if thread.is_alive():
        ended = ctypes.py_object(SystemExit)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ended)
        raise _LateError
    if raised:
        raise raised[0]
    return found[0]
