"""Time of each operator of an eager program, taken where torch dispatches it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from whet._optional import require
from whet.core.evidence import LayerTime

__all__ = ["profile"]

_WARM_UP, _REQUESTS = 2, 5
_PRECISIONS = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}


def profile(request: Callable[[], object]) -> tuple[LayerTime, ...]:
    """Medians over a few requests, in order of execution.

    Args:
        request: runs the program once, in the calling thread.
    """
    require("torch", "profile a torch program")
    from torch.utils._python_dispatch import TorchDispatchMode

    calls: list[tuple[str, str, float]] = []

    class Clock(TorchDispatchMode):  # type: ignore[misc]  # torch is Any to mypy
        """Sees each operator after composite ones have been taken apart."""

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            start = time.perf_counter()
            answer = func(*args, **(kwargs or {}))
            spent = time.perf_counter() - start
            calls.append((func.overloadpacket.__name__, _precision(answer), spent * 1e3))
            return answer

    rounds = []
    for _ in range(_WARM_UP + _REQUESTS):
        calls.clear()
        with Clock():
            request()
        rounds.append(list(calls))
    return tuple(
        LayerTime(
            name=f"{steps[0][0]}_{number}",
            kind=steps[0][0],
            precision=steps[0][1],
            ms=statistics.median(ms for _, _, ms in steps),
        )
        # A program has no branches on data: all requests make the same calls.
        for number, steps in enumerate(zip(*rounds[_WARM_UP:], strict=True))
    )


def _precision(answer: Any) -> str:
    first = answer[0] if isinstance(answer, tuple | list) and answer else answer
    dtype = str(getattr(first, "dtype", "")).removeprefix("torch.")
    return _PRECISIONS.get(dtype, dtype)
