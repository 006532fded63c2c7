"""Several engines as one session: confident rows leave early, the others go on to the next.

Rows that go on are gathered into a smaller batch, and their answers are put back in their places, so
the answer to a row is that of the stage where it left, as if it had been asked alone. That holds only
for networks that answer row by row. An engine of a fixed batch is run as often as the rows ask
for; its last batch is filled up with the last row, whose surplus answers are dropped.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from whet.core.cascade import Confidence, Gate
from whet.core.confidence import confidence_of
from whet.core.evidence import LayerTime
from whet.core.spec import Arrays, Signature
from whet.errors import EngineError, OptionError
from whet.runtimes.base import Session
from whet.runtimes.guard import Guard

__all__ = ["CascadeSession", "check_rows"]

_Rows = NDArray[np.intp]


def check_rows(signature: Signature) -> None:
    """Refuse a network that has no rows to send on apart.

    Raises:
        OptionError: not all inputs and outputs lead with one dynamic size.
    """
    symbol = signature.batch_symbol
    leading = {spec.shape[0] if spec.shape else None for spec in signature.outputs}
    if symbol is None or leading != {symbol}:
        raise OptionError(
            "A cascade needs inputs and outputs that all lead with one dynamic batch size.",
            "Take a variant that is no cascade.",
        )


@final
class CascadeSession:
    """Stages that are one session; closes them.

    Args:
        stages: open sessions, the quickest first; the last answers whatever gets there.
        gates: of every stage but the last.
        confidence: where a stage's confidence is read.
        signature: what the cascade takes: the network's own, with any number of rows.

    Raises:
        OptionError: other gates than stages, or a network without rows.
    """

    def __init__(
        self,
        stages: Sequence[Session],
        gates: Sequence[Gate],
        confidence: Confidence,
        signature: Signature,
    ) -> None:
        check_rows(signature)
        if len(stages) < 2 or len(gates) != len(stages) - 1:
            raise OptionError(
                f"{len(stages)} stages with {len(gates)} gates are no cascade.",
                "Give two stages or more, and a gate for each but the last.",
            )
        self.signature = signature
        self._stages, self._gates, self._confidence = tuple(stages), tuple(gates), confidence
        self._guard = Guard(signature)
        self._names = tuple(spec.name for spec in signature.inputs)
        self._left = np.zeros(len(stages), np.int64)
        self._counting = threading.Lock()

    @property
    def left(self) -> tuple[int, ...]:
        """Rows that left at each stage since it was opened."""
        with self._counting:
            return tuple(int(count) for count in self._left)

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> Arrays:
        """Answer one request; the arrays returned belong to the caller."""
        return self.answer(inputs)[0]

    def answer(self, inputs: Mapping[str, NDArray[np.generic]]) -> tuple[Arrays, NDArray[np.int64]]:
        """As `run`, and the stage at which each row left (n,)."""
        arrays = dict(zip(self._names, self._guard.admit(inputs), strict=True))
        outputs = _run(self._stages[0], arrays)
        stage = np.zeros(len(next(iter(arrays.values()))), np.int64)
        rest = self._going_on(outputs, 0, np.arange(len(stage)))
        for number in range(1, len(self._stages)):
            if not len(rest):
                break
            some = {name: array[rest] for name, array in arrays.items()}
            found = _run(self._stages[number], some)
            stage[rest] = number
            outputs = _placed(outputs, found, rest)
            if number < len(self._gates):
                rest = self._going_on(found, number, rest)
        with self._counting:
            self._left += np.bincount(stage, minlength=len(self._left))
        return outputs, stage

    def layers(
        self,
        inputs: Mapping[str, NDArray[np.generic]],  # noqa: ARG002  # the interface's
    ) -> tuple[LayerTime, ...]:
        """Nothing: what a request takes depends on where it leaves."""
        return ()

    def close(self) -> None:
        """Close every stage."""
        with ExitStack() as stack:
            for session in self._stages:
                stack.callback(session.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _going_on(self, outputs: Arrays, number: int, rows: _Rows) -> _Rows:
        """Of ``rows``, whose answers these are, those that are not confident enough to leave."""
        gate = self._gates[number]
        sure = confidence_of(self._confidence, outputs, gate.temperature)
        return rows[sure < gate.threshold]


def _run(session: Session, arrays: Arrays) -> Arrays:
    """Any number of rows through an engine, whatever batch it is fixed to."""
    size = session.signature.inputs[0].shape[0]
    rows = len(next(iter(arrays.values())))
    if isinstance(size, str) or size == rows:
        return session.run(arrays)
    parts: list[Arrays] = []
    for start in range(0, rows, size):
        picks = np.minimum(np.arange(start, start + size), rows - 1)
        parts.append(session.run({name: array[picks] for name, array in arrays.items()}))
    return {name: np.concatenate([part[name] for part in parts])[:rows] for name in parts[0]}


def _placed(outputs: Arrays, found: Arrays, rows: _Rows) -> Arrays:
    """The outputs with the later answers of some rows in their places."""
    placed: Arrays = {}
    for name, array in outputs.items():
        part = found.get(name)
        if part is None or part.dtype != array.dtype or part.shape[1:] != array.shape[1:]:
            said = "missing" if part is None else f"{part.dtype}{list(part.shape[1:])} a row"
            raise EngineError(
                f"The output '{name}' is {array.dtype}{list(array.shape[1:])} a row of one stage"
                f" of the cascade, and {said} of a later one.",
                "Take a variant that is no cascade.",
            )
        if len(rows) == len(array):
            placed[name] = part
        else:
            placed[name] = array if array.flags.writeable else array.copy()
            placed[name][rows] = part
    return placed
