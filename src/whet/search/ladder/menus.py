"""What is asked of the workers that make menus of a network and time its blocks; pure."""

from __future__ import annotations

import msgspec

from whet.core.artifact import Artifact
from whet.core.recipe import Recipe, Step
from whet.optimize.graph.quantize.space import ROUND, UNROUND
from whet.optimize.network.menus.menu import MenuPlan, WholePlan
from whet.search.intake.outputs import CLASS_METRICS
from whet.search.ladder.variations import TO_GRAPH
from whet.search.setup import Setup
from whet.search.workers.rescore_jobs import RescoreJob
from whet.search.workers.surgery_jobs import CostsJob, MenusJob, WholesJob

__all__ = ["costs_job", "menus_job", "rescore_job", "tail_of", "wholes_job"]

_STAY = (0.75, 0.5, 0.25)  # shares of a width that a menu offers
_LOW_RANK = (0.75, 0.5)  # shares of what a layer multiplies that its low-rank pair may have
_STREAM = (0.75, 0.5, 0.875)  # shares of the stream that are tried, the likeliest first
_PICTURES = (6 / 7, 5 / 7)  # of a picture's side: 192 and 160 of 224
_TOKENS = (0.5, 0.25, 0.75)  # shares of tokens that are gone at the end, the likeliest first
_SEPARABLE = (1, 2, 3)  # kernels for each channel that a convolution's separable pair may have
_JUDGED = (32, 128)  # rows that tell damages, at least and at most
_JUDGED_MACS = 1e11  # that they may take in between
# Channels that kernels take at once on CPUs with these flags, and on all others.
_TILES, _TILE = (("amx_int8", 16), ("avx512f", 16)), 8


def menus_job(setup: Setup) -> MenusJob:
    """The menus of a network."""
    plan = MenuPlan(
        stay=_STAY,
        low_rank=_LOW_RANK,
        separable=_SEPARABLE,
        tile=_tile(setup),
        classes=setup.metric in CLASS_METRICS,
        rows=setup.contract.batch,
        judged=_judged(setup),
    )
    return MenusJob(
        ground=setup.ground,
        plan=plan,
        # A search under another contract on the same samples may want other menus.
        workdir=str(setup.workdir / "surgery" / plan.digest()),
        shelf=str(setup.workdir / "built"),
    )


def rescore_job(
    setup: Setup, ms: tuple[tuple[float, ...], ...], seconds: float, looks: int
) -> RescoreJob:
    """Plans over the menus, scored together.

    Args:
        setup: of the search.
        ms: that each choice of each menu takes.
        seconds: that it may take.
        looks: at plans, at most.
    """
    menus = menus_job(setup)
    return RescoreJob(
        ground=menus.ground,
        plan=menus.plan,
        workdir=menus.workdir,
        shelf=menus.shelf,
        ms=ms,
        seconds=seconds,
        looks=looks,
    )


def wholes_job(setup: Setup, seconds: float) -> WholesJob:
    """What a network may become as a whole.

    Args:
        setup: of the search.
        seconds: that it may take.
    """
    plan = WholePlan(
        stream=_STREAM,
        pictures=_PICTURES,
        tokens=_TOKENS,
        tile=_tile(setup),
        classes=setup.metric in CLASS_METRICS,
        rows=setup.contract.batch,
        judged=_judged(setup),
    )
    return WholesJob(
        ground=setup.ground,
        plan=plan,
        workdir=str(setup.workdir / "wholes" / plan.digest()),
        shelf=str(setup.workdir / "built"),
        seconds=seconds,
    )


def _tile(setup: Setup) -> int:
    flags = setup.machine.flags
    return next((tile for flag, tile in _TILES if flag in flags), _TILE)


def _judged(setup: Setup) -> int:
    return int(min(_JUDGED[1], max(_JUDGED[0], _JUDGED_MACS / max(setup.macs, 1))))


def costs_job(
    setup: Setup, base: Recipe, graphs: tuple[Artifact, ...], seconds: float | None = None
) -> CostsJob:
    """What blocks take with the passes and settings of a candidate.

    Args:
        setup: of the search.
        base: the candidate.
        graphs: of the blocks.
        seconds: that it may take, where the first of them are better than none.
    """
    return CostsJob(
        graphs=graphs,
        steps=tuple(step for step in tail_of(base) if step != ROUND),  # it changes numbers only
        runtime=base.runtime,
        settings=base.settings,
        cache=str(setup.cache),
        threads=setup.threads,
        seed=setup.seed,
        seconds=seconds,
    )


def tail_of(base: Recipe) -> tuple[Step, ...]:
    """Its passes over graphs, without what names layers of the original's or takes its weights."""
    whole = base.steps
    behind = whole.index(TO_GRAPH) + 1 if TO_GRAPH in whole else 0
    return tuple(
        msgspec.structs.replace(
            step, options={k: v for k, v in step.options.items() if k != "ignored"}
        )
        for step in whole[behind:]
        if step.name != UNROUND
    )
