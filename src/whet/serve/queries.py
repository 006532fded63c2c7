"""What a bench asks: queries made beforehand, and how the engine answers one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

import numpy as np

from whet.bundle.golden import load_goldens
from whet.bundle.manifest import Cascade
from whet.core.evidence import Percentile
from whet.core.spec import Arrays
from whet.errors import OptionError
from whet.measure.workload import Q
from whet.serve.loaded import Loaded

__all__ = ["Asking", "Parts", "golden_queries", "in_parts"]


Parts = dict[str, tuple[Percentile, ...]]


@dataclass(frozen=True)
class Asking(Generic[Q]):
    """Queries, and how one is answered.

    Attributes:
        run: answers one query.
        queries: to cycle over.
        rows: of a query.
        runs: of the engine that a query takes.
        parts: percentiles of the parts of so many last queries, by part, where they have any.
    """

    run: Callable[[Q], object]
    queries: list[Q]
    rows: int
    runs: int
    parts: Callable[[int], Parts] = lambda _: {}


def golden_queries(loaded: Loaded, rows: int | None) -> Asking[list[Arrays]]:
    """The golden inputs as queries, repeated where there are too few.

    Args:
        loaded: whose goldens are asked.
        rows: of a query. An engine with a smaller fixed batch is run several times for it. ``None``
            for as many as the engine is fixed to, or one.

    Raises:
        OptionError: there are no golden inputs.
    """
    chosen = loaded.variant  # a cascade is asked what its stages are
    name = chosen.stages[-1].variant if isinstance(chosen, Cascade) else chosen.name
    goldens = load_goldens(loaded.bundle, name)
    if goldens is None:
        raise OptionError(
            f"The variant '{chosen.name}' holds no golden inputs to ask with.",
            "Choose another variant.",
        )
    asked = rows if rows is not None else loaded.fixed_rows or 1
    count = len(next(iter(goldens.inputs.values())))
    queries = [
        [
            {name: array[part % count] for name, array in goldens.inputs.items()}
            for part in in_parts(start * asked, asked, loaded.fixed_rows)
        ]
        for start in range(max(1, count // asked))
    ]

    def run(query: list[Arrays]) -> None:
        for part in query:
            loaded.session.run(part)

    return Asking(run, queries, asked, len(queries[0]))


def in_parts(
    first: int, rows: int, fixed: int | None
) -> list[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Row numbers of each run that answers rows ``first`` to ``first + rows``; pure.

    The last run of an engine with a fixed batch is filled up with the last row.
    """
    if fixed is None:
        return [np.arange(first, first + rows)]
    last = first + rows - 1
    return [
        np.minimum(np.arange(start, start + fixed), last)
        for start in range(first, first + rows, fixed)
    ]
