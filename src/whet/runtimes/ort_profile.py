"""Layer times of ONNX Runtime, from the trace that it writes."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from whet.core.evidence import LayerTime
from whet.core.room import temporary_folder

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["layer_times", "profile"]

_WARM_UP, _REQUESTS = 2, 5
_KERNEL = "_kernel_time"
_PRECISIONS = {"float": "fp32", "float16": "fp16", "bfloat16": "bf16"}


def profile(
    ort: ModuleType,
    engine: Path,
    options: onnxruntime.SessionOptions,
    providers: list[str],
    feed: Mapping[str, NDArray[np.generic]],
    outputs: list[str],
) -> tuple[LayerTime, ...]:
    """Open the engine once more with tracing on, run a few requests and read the trace.

    ``options`` are changed only until the traced session is open.
    """
    with temporary_folder("whet-profile-") as folder:
        options.enable_profiling = True
        options.profile_file_prefix = str(folder / "trace")
        try:
            session = ort.InferenceSession(str(engine), options, providers=providers)
        finally:
            options.enable_profiling = False
        for _ in range(_WARM_UP + _REQUESTS):
            session.run(outputs, feed)
        trace = Path(session.end_profiling())
        events = json.loads(trace.read_bytes())
    return layer_times(events, skip=_WARM_UP)


def layer_times(events: Iterable[Mapping[str, Any]], *, skip: int = 0) -> tuple[LayerTime, ...]:
    """Median time of each node over the requests of a trace, in order of execution.

    Args:
        events: of the trace (Chrome's trace-event form; ``dur`` in µs).
        skip: requests at the start that don't count.
    """
    times: dict[str, list[float]] = {}
    about: dict[str, tuple[str, str]] = {}
    for event in events:
        if event.get("cat") != "Node" or not event["name"].endswith(_KERNEL):
            continue
        name, args = event["name"].removesuffix(_KERNEL), event["args"]
        times.setdefault(name, []).append(event["dur"] / 1e3)
        about[name] = (args["op_name"], _precision(args))
    return tuple(
        LayerTime(
            name=name,
            kind=about[name][0],
            precision=about[name][1],
            ms=statistics.median(durations[skip:] or durations),
        )
        for name, durations in times.items()
    )


def _precision(args: Mapping[str, Any]) -> str:
    """The narrowest view on a node: its first input's element type, else its first output's."""
    for key in ("input_type_shape", "output_type_shape"):
        for typed in args.get(key, ()):
            for element in map(str, typed):
                return _PRECISIONS.get(element, element)
    return ""
