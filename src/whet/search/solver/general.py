"""The best plan for one limit where blocks aren't a chain, or size is limited too.

A mixed-integer linear program: one entry of each menu; for each link one pair of forms, whose
sums over either end are what is picked there, so that the relaxation is tight. Solved to the end by
HiGHS (Huangfu and Hall 2018), through SciPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise, product

import numpy as np

from whet._optional import require
from whet.search.solver.menu import Link, Menu, Plan, planned

__all__ = ["solve"]

_GAP = 1e-9  # relative, between the plan and the proof that none is better
_CHOSEN = 0.5


@dataclass
class _Rows:
    """Linear constraints as they are gathered: (row, column, factor), and bounds of each row."""

    cells: list[tuple[int, int, float]] = field(default_factory=list)
    lower: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)

    def add(self, terms: Sequence[tuple[int, float]], lower: float, upper: float) -> None:
        self.cells += [(len(self.lower), column, factor) for column, factor in terms]
        self.lower.append(lower)
        self.upper.append(upper)


def solve(
    menus: Sequence[Menu],
    links: Sequence[Link],
    *,
    most_ms: float = np.inf,
    most_bytes: float = np.inf,
) -> Plan | None:
    """The plan with the least damage that keeps the limits; ``None`` where none does.

    Args:
        menus: of the blocks, in any order that links respect.
        links: which block's answer is which one's input.
        most_ms: limit on the sum of times.
        most_bytes: limit on the sum of sizes.
    """
    optimize = require("scipy.optimize", "solve over menus")
    sparse = require("scipy.sparse", "solve over menus")
    starts = list(accumulate((len(menu.entries) for menu in menus), initial=0))
    entries = [entry for menu in menus for entry in menu.entries]
    rows, ms = _Rows(), [entry.ms for entry in entries]
    for start, end in pairwise(starts):
        rows.add([(column, 1.0) for column in range(start, end)], 1, 1)
    for link in links:
        ms += _link(rows, menus, starts, link, len(ms))
    rows.add(list(enumerate(ms)), -np.inf, most_ms)
    rows.add([(i, float(e.size_bytes)) for i, e in enumerate(entries)], -np.inf, most_bytes)
    row, column, factor = zip(*rows.cells, strict=True)
    shape = (len(rows.lower), len(ms))
    found = optimize.milp(
        c=np.array([e.damage for e in entries] + [0.0] * (len(ms) - len(entries))),
        constraints=optimize.LinearConstraint(
            sparse.csr_array((factor, (row, column)), shape=shape), rows.lower, rows.upper
        ),
        # Pairs of forms follow from what is picked.
        integrality=np.arange(len(ms)) < len(entries),
        bounds=optimize.Bounds(0, 1),
        options={"mip_rel_gap": _GAP},
    )
    if found.x is None:
        return None
    picked = [entries[i] for i in np.flatnonzero(found.x[: len(entries)] > _CHOSEN)]
    return planned(picked, links)


def _link(
    rows: _Rows, menus: Sequence[Menu], starts: Sequence[int], link: Link, column: int
) -> list[float]:
    """Add the pairs of forms of a link; gives what each takes.

    Args:
        rows: where constraints go.
        menus: all of them.
        starts: column of each menu's first entry.
        link: the one to add.
        column: the first that is free.
    """
    ends = (
        (starts[link.before], [e.gives for e in menus[link.before].entries]),
        (starts[link.after], [e.takes for e in menus[link.after].entries]),
    )
    pairs = {
        pair: cost
        for pair in product(*(sorted(set(forms)) for _, forms in ends))
        if (cost := link.cost_ms(*pair)) is not None
    }
    for side, (start, forms) in enumerate(ends):
        for form in sorted(set(forms)):
            own = [(start + i, -1.0) for i, each in enumerate(forms) if each == form]
            own += [(column + i, 1.0) for i, pair in enumerate(pairs) if pair[side] == form]
            rows.add(own, 0, 0)
    return list(pairs.values())
