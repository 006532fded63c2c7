"""The user's own metric: ``file.py:function``, run only because the user named that file.

From Python it may also be a live function. Judging is done in the user's own process, so that
it is called as it is; nothing of it is written down but its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import numpy as np
from numpy.typing import NDArray

from whet.data.userfile import USER_ERRORS, load_function, raised
from whet.errors import OptionError, SamplesError

__all__ = ["UserFunction", "UserMetric", "guarded", "load_metric"]

Outputs = Mapping[str, NDArray[np.generic]]
UserFunction = Callable[[Outputs, NDArray[np.generic] | None, Outputs], object]
UserMetric = Callable[[Outputs, NDArray[np.generic] | None, Outputs], float | NDArray[np.float64]]
"""``function(outputs, labels, reference_outputs)``: scores (n,), one per sample, or one number.

Higher is better. ``outputs`` are those of the model that is scored, by name; the original
is scored too, by giving its outputs twice.
"""


def load_metric(spec: str) -> UserMetric:
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
    return guarded(spec, cast("UserFunction", function))


def guarded(spec: str, function: UserFunction) -> UserMetric:
    """A function whose results are checked; what it raises is told with its name.

    Args:
        spec: what to call it.
        function: the user's.
    """

    def score(
        outputs: Outputs, labels: NDArray[np.generic] | None, reference_outputs: Outputs
    ) -> float | NDArray[np.float64]:
        try:
            result = np.asarray(function(outputs, labels, reference_outputs), dtype=np.float64)
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
