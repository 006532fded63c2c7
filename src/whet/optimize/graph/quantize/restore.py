"""Mixed precision in one step: quantise by NNCF, all but the groups that hurt most.

The search does this better, by asking for candidates and measuring each
(`whet.optimize.graph.quantize.plan.RestoreSearch`); this pass is for a recipe
without a search. It measures the damage of each group on the outputs, guesses
which to leave in float, and quantises with those ignored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, final

from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.note import Note
from whet.core.passes import Pass, PassResult, Stage, run
from whet.core.settings import Settings
from whet.errors import OptionError
from whet.optimize.graph.io import need_onnx
from whet.optimize.graph.ir import need_ir
from whet.optimize.graph.quantize.calibration import need_rows
from whet.optimize.graph.quantize.nncf import NncfOptions, QuantizeNncf, QuantizeNncfIr
from whet.optimize.graph.quantize.plan import plan_restore
from whet.optimize.graph.quantize.sensitivity import Runs, Sensitivity, group_damage
from whet.runtimes.registry import get

__all__ = ["Restore", "RestoreIr", "opener"]


def opener(runtime: str, threads: int = 1) -> Callable[[Artifact], Runs]:
    """Opens graphs from their own files on a runtime, computing in float32; nothing is cached."""
    engine, settings = get(runtime), Settings(threads=threads)
    return lambda graph: engine.open(graph.file, graph, settings)


@dataclass(frozen=True)
class RestoreOptions(NncfOptions):
    """Those of the quantiser, and how much to leave in float.

    Attributes:
        share: of the damage of all groups, as each does it alone, that is to go (0-1).
        max_groups: most groups to leave in float.
        rows: rows on which damage is measured.

    Raises:
        OptionError: a number out of its range.
    """

    share: float = 0.5
    max_groups: int = 8
    rows: int = 32

    def __post_init__(self) -> None:
        NncfOptions.__post_init__(self)
        if not 0 <= self.share <= 1:
            raise OptionError(f"share={self.share} is no share.", "Give a number from 0 to 1.")
        if self.max_groups < 1 or self.rows < 1:
            raise OptionError("Nothing can be restored like this.", "Give limits of 1 or more.")


@final
@dataclass(frozen=True)
class Restore(RestoreOptions, Pass[Artifact, Artifact]):
    """On ONNX graphs, with damage measured on ONNX Runtime."""

    name: ClassVar[str] = "restore"
    takes: ClassVar[Stage] = Stage.GRAPH
    gives: ClassVar[Stage] = Stage.GRAPH

    def requires(self, model: Artifact, ctx: Context) -> None:
        need_onnx(model, self.name)
        need_rows(model, ctx, self.name)

    def apply(self, model: Artifact, ctx: Context) -> PassResult[Artifact]:
        found = _measured(model, self, ctx, "onnxruntime")
        ignored, notes = _chosen(found, self)
        result = run(QuantizeNncf(**_plain(self, ignored)), model, ctx)
        return PassResult(result.model, True, (*notes, *result.notes))

    def ensures(self, model: Artifact, ctx: Context) -> None:
        """The quantiser has checked its own result."""


@final
@dataclass(frozen=True)
class RestoreIr(RestoreOptions, Pass[Artifact, Artifact]):
    """On OpenVINO IR, with damage measured on OpenVINO."""

    name: ClassVar[str] = "restore-ir"
    takes: ClassVar[Stage] = Stage.IR
    gives: ClassVar[Stage] = Stage.IR

    def requires(self, model: Artifact, ctx: Context) -> None:
        need_ir(model, self.name)
        need_rows(model, ctx, self.name)

    def apply(self, model: Artifact, ctx: Context) -> PassResult[Artifact]:
        found = _measured(model, self, ctx, "openvino")
        ignored, notes = _chosen(found, self)
        result = run(QuantizeNncfIr(**_plain(self, ignored)), model, ctx)
        return PassResult(result.model, True, (*notes, *result.notes))

    def ensures(self, model: Artifact, ctx: Context) -> None:
        """The quantiser has checked its own result."""


def _measured(model: Artifact, options: RestoreOptions, ctx: Context, runtime: str) -> Sensitivity:
    """A few rows settle the ranges well enough for a ranking."""
    quick = replace(options, subset_size=min(options.subset_size, 64))
    return group_damage(model, quick, ctx, opener(runtime, ctx.threads), rows=options.rows)


def _chosen(found: Sensitivity, options: RestoreOptions) -> tuple[tuple[str, ...], list[Note]]:
    names = plan_restore(found.damage, share=options.share, max_groups=options.max_groups)
    total = sum(found.damage.values()) or 1.0
    notes = [
        Note(
            name,
            f"Restored to float: {found.damage[name] / total:.0%} of the damage of all groups.",
        )
        for name in names
    ]
    members = {group.name: group.members for group in found.groups}
    ignored = (*options.ignored, *(member for name in names for member in members[name]))
    return tuple(dict.fromkeys(ignored)), [*found.notes, *notes]


def _plain(options: RestoreOptions, ignored: tuple[str, ...]) -> dict[str, Any]:
    """The fields that the quantiser has as well."""
    values = {field.name: getattr(options, field.name) for field in fields(NncfOptions)}
    return {**values, "ignored": ignored}
