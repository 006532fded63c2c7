"""From a network and samples to the graph that a search starts from.

With a picture transform everything takes raw uint8 pictures: torch networks
are wrapped before the export, so that the eager baseline takes the same input
as every other contender; ONNX files get the arithmetic folded in.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from whet._optional import require
from whet.core.artifact import Artifact
from whet.core.context import Context, Feed
from whet.core.note import Note
from whet.core.passes import run
from whet.core.spec import Arrays, Signature, TensorSpec
from whet.data.transform import ImageTransform, TextTransform, Transform
from whet.errors import ExportError, NetworkError, RequirementError
from whet.optimize.axes import BATCH, told_apart
from whet.optimize.export import Exported, export
from whet.optimize.graph.facts import GraphFacts, facts
from whet.optimize.graph.fold import FoldTransform, slopes_and_shifts
from whet.optimize.intake.network import Kind, Network
from whet.optimize.rows import need_rows
from whet.optimize.tracing import symbols

__all__ = ["Front", "Samples", "export_front"]

_EXAMPLE_ROWS = 4
_SIZED_ROWS = 64


class Samples(Feed, Protocol):
    """A feed that can pick rows and knows its inputs (`whet.data.store.SampleStore`)."""

    inputs: tuple[TensorSpec, ...]

    def rows(self, indices: NDArray[np.integer]) -> Arrays:
        """The rows at these places, padded to the longest."""
        ...


@dataclass(frozen=True)
class Front:
    """What a search starts from.

    Attributes:
        graph: takes what the store holds.
        program: the same as a torch program, where the network came from torch.
        facts: of one row, at the samples' median sizes.
        kind: ``"cnn"``, ``"transformer"`` or ``"recurrent"``.
        notes: of the export.
        dropped: outputs that were to be ignored and were left out.
    """

    graph: Artifact
    program: Artifact | None
    facts: GraphFacts
    kind: str
    notes: tuple[Note, ...]
    dropped: tuple[str, ...] = ()


def export_front(
    network: Network,
    store: Samples,
    transform: Transform | None,
    workdir: Path,
    seed: int,
    ignore: Collection[str] = (),
) -> Front:
    """Export a network so that it takes what a store holds.

    Args:
        network: as `load_network` gave it.
        store: the samples.
        transform: that made them.
        workdir: to write into.
        seed: of the rows that it is tried on.
        ignore: outputs that nobody compares; see `whet.optimize.export.export`.

    Raises:
        NetworkError, ExportError: with the cause in one sentence; also where an output has no
            row for each row of the inputs, or the rows depend on each other.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    rows = np.random.default_rng(seed).permutation(len(store))[:_EXAMPLE_ROWS]
    example = store.rows(np.sort(rows))
    # A tokenizer's arrays are of one length by themselves.
    joined = isinstance(transform, TextTransform)
    inputs = store.inputs if joined else told_apart(store.inputs, store.batches(1))
    if isinstance(transform, ImageTransform):
        exported = _with_pictures(network, transform, example, workdir, ignore)
    else:
        exported = export(network, inputs, example, workdir, ignore=ignore)
    seen = _sizes_seen(store, inputs)
    _need_all_sizes(inputs, exported.graph.signature, seen)
    need_rows(network.name, exported.graph, example, ignore)
    sizes = _graph_sizes(exported.graph.signature, inputs, _median_sizes(seen))
    counted = facts(exported.graph, sizes)
    fresh = tuple(note for note in exported.notes if note not in network.notes)
    return Front(exported.graph, exported.program, counted, counted.kind, fresh, exported.dropped)


def _with_pictures(
    network: Network,
    transform: ImageTransform,
    example: Arrays,
    workdir: Path,
    ignore: Collection[str],
) -> Exported:
    _need_fit(network, transform)
    if network.kind is Kind.TORCH:
        wrapped = _wrapped(network, transform)
        return export(wrapped, (transform.raw_spec(),), example, workdir, ignore=ignore)
    pictures = example[transform.input].astype(np.uint8, copy=False)
    floats: Arrays = {transform.input: transform.arithmetic(pictures)}
    plain = export(network, (transform.network_spec(),), floats, workdir, ignore=ignore)
    ctx = Context(workdir=workdir, reference=plain.graph)
    try:
        folded = run(FoldTransform.of(transform), plain.graph, ctx)
    except RequirementError as error:
        raise NetworkError(error.message, error.remedy) from error
    return Exported(folded.model, None, (*plain.notes, *folded.notes), plain.dropped)


def _need_fit(network: Network, transform: ImageTransform) -> None:
    if len(network.input_names()) > 1:
        raise NetworkError(
            f"The network takes {', '.join(network.input_names())}; pictures fill only one input.",
            "Give the samples as arrays by name.",
        )
    made = transform.network_spec()
    for spec in network.inputs:
        agree = len(spec.shape) == len(made.shape) and all(
            isinstance(a, str) or isinstance(b, str) or a == b
            for a, b in zip(spec.shape[1:], made.shape[1:], strict=True)
        )
        if spec.dtype != made.dtype or not agree:
            raise NetworkError(
                f"The network takes {spec}, the transform gives {made}.",
                "Set size, layout and channels of the transform as the network wants them: --image-size,"
                " --layout, --channels (L for grey).",
            )


def _wrapped(network: Network, transform: ImageTransform) -> Network:
    wrappers = require("whet.optimize.intake.modules", "fold a transform")
    slopes, shifts = slopes_and_shifts(transform.scale, transform.mean, transform.std)

    def wrap(module: object) -> object:
        return wrappers.WithArithmetic(module, slopes, shifts, transform.layout)

    return replace(
        network,
        module=wrap(network.module),
        graph_module=wrap(network.graph_module) if network.graph_module is not None else None,
        inputs=(transform.raw_spec(),),
        parameters=(transform.input,),
    )


def _sizes_seen(store: Samples, inputs: tuple[TensorSpec, ...]) -> dict[str, list[int]]:
    """The size of every symbol of the inputs in some rows."""
    seen: dict[str, list[int]] = {name: [] for name in symbols(inputs)}
    for row in store.batches(1, _SIZED_ROWS):
        for spec in inputs:
            for axis, dim in enumerate(spec.shape):
                if isinstance(dim, str):
                    seen[dim].append(row[spec.name].shape[axis])
    return seen


def _median_sizes(seen: Mapping[str, list[int]]) -> dict[str, int]:
    """Batch 1, and the median of every other symbol."""
    sizes = {name: int(np.median(found)) for name, found in seen.items() if found}
    return {**sizes, BATCH: 1}


def _graph_sizes(
    graph: Signature, inputs: tuple[TensorSpec, ...], sizes: Mapping[str, int]
) -> dict[str, int]:
    """The samples' sizes under the graph's own symbols."""
    known = {spec.name: spec.shape for spec in inputs}
    found: dict[str, int] = {}
    for spec in graph.inputs:
        for dim, have in zip(spec.shape, known.get(spec.name, ()), strict=False):
            size = sizes.get(have) if isinstance(have, str) else have
            if isinstance(dim, str) and size is not None:
                found[dim] = size
    return found


def _need_all_sizes(
    inputs: tuple[TensorSpec, ...], graph: Signature, seen: Mapping[str, list[int]]
) -> None:
    """Refuse a graph with one size where the samples have several."""
    taken = {spec.name: spec.shape for spec in graph.inputs}
    for spec in inputs:
        for axis, dim in list(enumerate(spec.shape))[1:]:
            size = taken[spec.name][axis] if spec.name in taken else dim
            if isinstance(dim, str) and isinstance(size, int) and {*seen[dim]} - {size}:
                sizes = f"{min(seen[dim])} to {max(seen[dim])}"
                raise ExportError(
                    f"Axis {axis} of '{spec.name}' can't be dynamic in this network, but has the"
                    f" sizes {sizes} in the samples.",
                    "Pad the samples to one size, or free the axis: no loop over it in forward"
                    " (nn.LSTM and nn.GRU need none), no fixed size where it was exported.",
                )
