"""Which groups cost the quality: each measured by the network's outputs, without labels.

The graph is quantised once with its quantisers as separate nodes. For each
group all other quantisers are taken out again, so that it is the only one that
rounds, and the outputs are compared with the original's. With one source of
error in an otherwise exact graph the figure isn't buried in the noise of the
others, as it would be when one group is taken out of a fully quantised graph.
Errors of independent layers add up well enough for a ranking.

Cost: one compilation and ``rows`` runs per group.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from whet.core.artifact import Artifact, Format
from whet.core.context import Context
from whet.core.note import Note
from whet.core.spec import Arrays
from whet.errors import WhetError
from whet.optimize.graph.io import read_onnx, write_onnx
from whet.optimize.graph.ir import read_ir, write_ir
from whet.optimize.graph.quantize.bypass import groups_ir, groups_onnx, without_ir, without_onnx
from whet.optimize.graph.quantize.calibration import Rows, need_rows
from whet.optimize.graph.quantize.damage import Damage, measure
from whet.optimize.graph.quantize.gemm import plain_gemms
from whet.optimize.graph.quantize.groups import Group
from whet.optimize.graph.quantize.nncf import Bias, NncfOptions, quantised_ir, quantised_onnx
from whet.optimize.graph.quantize.onnxes import named

__all__ = ["Runs", "Sensitivity", "group_damage"]


class Runs(Protocol):
    """The part of a runtime's session that is needed here."""

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> Arrays: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


class Sensitivity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Groups of a quantised graph with the damage that each does alone.

    Attributes:
        groups: in the order of execution.
        damage: by the name of the group; a group that could not be measured is missing.
        whole: damage with all groups quantised.
        rows: how many rows were run.
    """

    groups: tuple[Group, ...]
    damage: dict[str, float]
    whole: float
    rows: int
    notes: tuple[Note, ...] = ()


def group_damage(
    graph: Artifact,
    options: NncfOptions,
    ctx: Context,
    open_session: Callable[[Artifact], Runs],
    *,
    rows: int = 32,
    kind: Damage = Damage.SQUARED,
    limit: int | None = None,
) -> Sensitivity:
    """Damage of each group of quantisers, each quantised alone.

    Args:
        graph: the float graph, ONNX or IR.
        options: how it would be quantised (either NNCF pass).
        ctx: its workdir holds one variant at a time.
        open_session: compiles and opens a graph; files may go when it closes.
        rows: rows of the repair samples to compare on, other ones than those
            calibrated on as far as there are enough.
        kind: the measure of damage.
        limit: measure only the first so many groups; for a quick look.

    Raises:
        RequirementError: no samples, or samples that don't fit.
        PassError: the graph can't be quantised.
    """
    feed = need_rows(graph, ctx, "sensitivity")
    # Copied once: a feed may lend views of its file, and each row is run many times.
    chosen = tuple(
        {name: np.array(value) for name, value in row.items()}
        for row in Rows(feed, rows, ctx.seed + 1)
    )
    # A corrected bias belongs to its layer's rounding; it would be wrong without it.
    plain = replace(options, bias=Bias.NONE)
    variants = _Variants(graph, plain, ctx)
    with open_session(graph) as session:
        reference = [session.run(row) for row in chosen]

    def damage(gone: Sequence[str]) -> float:
        # One row's outputs at a time: those of a map of pixels are large.
        with open_session(variants.without(gone)) as session:
            return measure(kind, reference, (session.run(row) for row in chosen))

    found: dict[str, float] = {}
    notes: list[Note] = []
    for group in variants.groups[:limit]:
        others = [q for other in variants.groups if other is not group for q in other.quantisers]
        try:
            found[group.name] = damage(others)
        except WhetError as error:
            notes.append(Note(group.name, f"Its damage could not be measured: {error.message}"))
    return Sensitivity(variants.groups, found, damage(()), len(chosen), tuple(notes))


class _Variants:
    """One quantised graph, and copies of it without some of its quantisers."""

    def __init__(self, graph: Artifact, options: NncfOptions, ctx: Context) -> None:
        self._signature = graph.signature
        self._where: Path = ctx.workdir / "variants"
        self._ir = graph.format is Format.OPENVINO
        self._model: Any
        if self._ir:
            self._model, _ = quantised_ir(read_ir(graph), options, graph, ctx, fold=False)
            self.groups = groups_ir(self._model)
        else:
            proto = plain_gemms(named(read_onnx(graph)))
            self._model, _ = quantised_onnx(proto, options, graph, ctx, fold=False)
            self.groups = groups_onnx(self._model)

    def without(self, quantisers: Sequence[str]) -> Artifact:
        """Write the variant over the one before."""
        if self._ir:
            made = without_ir(self._model, quantisers)
            return write_ir(made, self._where, "variant", self._signature)
        made = without_onnx(self._model, quantisers)
        return write_onnx(made, self._where, "variant", self._signature)
