"""Keep the quantisers from talking: no progress bars, no log lines, no usage reports.

Each of these is switched off where the library looks it up, for the length of
one call, and put back. What the user has to know comes back as notes.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import warnings
from collections.abc import Iterator
from types import ModuleType

from whet._optional import require

__all__ = ["NoReports", "import_nncf", "quiet_nncf", "quiet_ort", "replaced"]


class NoReports:
    """Stands where NNCF keeps its usage reporter; sends nothing."""

    def start_session(self, *_: object, **__: object) -> None: ...

    def send_event(self, *_: object, **__: object) -> None: ...

    def end_session(self, *_: object, **__: object) -> None: ...


def import_nncf() -> ModuleType:
    """Import NNCF without its side effect on logging (it replaces the logger class).

    Raises:
        MissingExtraError: NNCF is not installed.
    """
    before = logging.getLoggerClass()
    try:
        with warnings.catch_warnings():
            # The torch back end, which we don't use, warns about its own dependencies.
            warnings.simplefilter("ignore")
            return require("nncf", "quantise a graph")
    finally:
        logging.setLoggerClass(before)


@contextlib.contextmanager
def quiet_nncf() -> Iterator[ModuleType]:
    """NNCF with its reports, progress bars and log lines off; errors still come as exceptions."""
    nncf = import_nncf()
    bars = require("nncf.common.logging.track_progress", "quantise a graph")
    tracked = require("nncf.telemetry.decorator", "quantise a graph")
    log = logging.getLogger("nncf")
    with (
        replaced(tracked, "telemetry", NoReports()),
        replaced(bars, "Progress", functools.partial(bars.Progress, disable=True), drop="disable"),
        replaced(
            bars,
            "WeightedProgress",
            functools.partial(bars.WeightedProgress, disable=True),
            drop="disable",
        ),
        _level(log, logging.ERROR),
        warnings.catch_warnings(),
    ):
        # NNCF divides by empty ranges and builds ragged arrays on purpose, and
        # uses deprecated names of numpy, onnx and openvino; none is ours to act on.
        for kind in (RuntimeWarning, DeprecationWarning, FutureWarning, UserWarning):
            warnings.simplefilter("ignore", kind)
        yield nncf


@contextlib.contextmanager
def quiet_ort() -> Iterator[ModuleType]:
    """ONNX Runtime's quantiser without its prints and advice in the log."""
    module = require("onnxruntime.quantization", "quantise a graph")
    calibrate = require("onnxruntime.quantization.calibrate", "quantise a graph")
    with (
        # A name in the module hides the builtin there and nowhere else.
        replaced(calibrate, "print", _nothing),
        _level(logging.getLogger(), logging.ERROR),
        # It logs a traceback as an error where it then goes on without optimising.
        _level(logging.getLogger("onnxruntime.quantization"), logging.CRITICAL + 1),
        warnings.catch_warnings(),
    ):
        for kind in (RuntimeWarning, DeprecationWarning, UserWarning):
            warnings.simplefilter("ignore", kind)
        yield module


def _nothing(*_: object, **__: object) -> None: ...


@contextlib.contextmanager
def _level(log: logging.Logger, level: int) -> Iterator[None]:
    before = log.level
    log.setLevel(level)
    try:
        yield
    finally:
        log.setLevel(before)


@contextlib.contextmanager
def replaced(module: ModuleType, name: str, value: object, drop: str = "") -> Iterator[None]:
    """``module.name`` is ``value`` inside; with ``drop``, callers can't set that keyword."""
    missing = object()
    before = vars(module).get(name, missing)
    if drop and isinstance(value, functools.partial):
        inner = value

        def made(*args: object, **kwargs: object) -> object:
            kwargs.pop(drop, None)
            return inner(*args, **kwargs)

        value = made
    setattr(module, name, value)
    try:
        yield
    finally:
        if before is missing:
            delattr(module, name)
        else:
            setattr(module, name, before)
