"""Two answers to the same samples, judged as the search has it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from whet.core.evidence import Quality
from whet.measure.custom import own_metric
from whet.measure.quality import judge
from whet.search.setup import Setup

__all__ = ["judged_as_asked", "judged_as_mixed"]

Answered = Mapping[str, NDArray[np.generic]]


def judged_as_asked(
    setup: Setup,
    original: Answered,
    got: Answered,
    labels: NDArray[np.generic] | None,
    *,
    rows_per_sample: int,
    per_class: bool = False,
) -> Quality:
    """By the contract's metric, floor and confidence; see `whet.measure.quality.judge`."""
    return judge(
        setup.metric,
        original,
        got,
        labels,
        rows_per_sample=rows_per_sample,
        max_drop=setup.contract.max_drop,
        confidence=setup.contract.confidence,
        per_class=per_class,
        output=setup.contract.output,
        ignore=setup.contract.ignore_outputs,
        task=setup.task,
        seed=setup.seed,
        own=own_metric(setup.metric, setup.function, setup.metric_s),
    )


def judged_as_mixed(
    setup: Setup,
    original: Answered,
    got: Answered,
    labels: NDArray[np.generic] | None,
    *,
    per_class: bool = False,
) -> Quality:
    """As `judged_as_asked`, of answers that several engines gave: what changes is counted only.

    How far margins moved (`whet.measure.edge`) tells what other samples would show where all of
    them moved by one engine's error. Here those that a quick engine moves far are the ones that it
    is sure of, and most of the others don't move.
    """
    quality = judged_as_asked(setup, original, got, labels, rows_per_sample=1, per_class=per_class)
    return msgspec.structs.replace(quality, changes=None)
