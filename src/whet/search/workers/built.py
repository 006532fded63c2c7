"""The graph that a list of passes makes, built once; for worker processes.

What is kept lies beside the graph. Candidates that begin with the same slow passes share their
graph, built in a folder of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import msgspec

from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.note import Note
from whet.core.recipe import Step, digest_of
from whet.errors import RequirementError
from whet.optimize.graph.traffic import Traffic

__all__ = ["BuiltGraph", "Counts", "built", "built_graph", "keep"]

# Passes behind which a graph is kept: they take up to minutes, and several quantisers may follow.
_SLOW = frozenset({"round-weights", "to-graph"})


class Counts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is counted in a graph whose layers aren't the original's, of one row."""

    parameters: int
    macs: int


class BuiltGraph(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept beside a built graph, so that it isn't built twice."""

    graph: Artifact
    notes: tuple[Note, ...]
    traffic: Traffic | None = None
    counts: Counts | None = None


def built(
    steps: tuple[Step, ...], graph: Artifact, ctx: Context, shelf: Path, sizes: Mapping[str, int]
) -> BuiltGraph:
    """The graph with what is known of it.

    Args:
        steps: in order; none gives the graph itself.
        graph: the untouched one.
        ctx: its workdir is the graph's own folder.
        shelf: where the folders of built graphs stand, each named by the digest of its steps.
        sizes: of symbols to count the memory traffic at.

    Raises:
        PassError, OptionError: as the pass says; also where the passes change nothing, since
            that engine is the untouched graph's.
    """
    if not steps:
        return BuiltGraph(graph, ())
    done = ctx.workdir / "built.json"
    if done.exists():
        return msgspec.json.decode(done.read_bytes(), type=BuiltGraph)
    made = built_graph(steps, graph, ctx, shelf, sizes)
    counts = made.counts or (_counts(made.graph, sizes) if _is_surgery(steps) else None)
    kept = BuiltGraph(made.graph, made.notes, _traffic(made.graph, sizes), counts)
    keep(done, kept)
    return kept


def built_graph(
    steps: tuple[Step, ...],
    graph: Artifact,
    ctx: Context,
    shelf: Path,
    sizes: Mapping[str, int] = MappingProxyType({}),
) -> BuiltGraph:
    """As `built`, but only what comes of the slow first passes is kept.

    Args:
        steps: in order.
        graph: the untouched one.
        ctx: its workdir is the graph's own folder.
        shelf: where the folders of built graphs stand.
        sizes: of symbols; none where nothing is to be counted.
    """
    from whet.optimize.build import build

    if not steps:
        return BuiltGraph(graph, ())
    ctx.workdir.mkdir(parents=True, exist_ok=True)
    slow = [steps[: i + 1] for i, step in enumerate(steps) if step.name in _SLOW]
    apart = [(first, shelf / digest_of(first)) for first in reversed(slow)]
    first, folder = next((pair for pair in apart if pair[1] != ctx.workdir), ((), shelf))
    if first:
        start = built(first, graph, replace(ctx, workdir=folder), shelf, sizes)
        if first == steps:
            return start
        result = build(steps[len(first) :], start.graph, ctx)
        return BuiltGraph(result.model, (*start.notes, *result.notes), counts=start.counts)
    result = build(steps, graph, ctx)
    if not result.changed:
        raise RequirementError(
            f"{_listed(steps)} found nothing to change in this graph.",
            "Take the untouched graph.",
        )
    return BuiltGraph(result.model, result.notes)


def keep(done: Path, value: msgspec.Struct | Sequence[msgspec.Struct]) -> None:
    """Written last and renamed: what was cut off is made again."""
    beside = done.with_suffix(".part")
    beside.write_bytes(msgspec.json.encode(value))
    beside.replace(done)


def _listed(steps: tuple[Step, ...]) -> str:
    names = [f"'{step.name}'" for step in steps]
    return f"The pass {names[0]}" if len(names) == 1 else f"The passes {' and '.join(names)}"


def _is_surgery(steps: tuple[Step, ...]) -> bool:
    return bool(steps) and steps[-1].name == "to-graph"


def _counts(graph: Artifact, sizes: Mapping[str, int]) -> Counts:
    from whet.optimize.graph.facts import facts

    found = facts(graph, sizes)
    return Counts(found.parameters, found.macs)


def _traffic(graph: Artifact, sizes: Mapping[str, int]) -> Traffic | None:
    """Traffic of a built graph; ``None`` where it can't be counted, so that it is estimated."""
    from whet.optimize.graph.traffic import traffic_of

    try:
        return traffic_of(graph, dict(sizes))
    except Exception:  # noqa: BLE001 - a figure on paper must not cost a candidate
        return None
