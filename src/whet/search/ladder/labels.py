"""Whether networks may learn the labels of their samples beside what the original gives. A thin shell."""

from __future__ import annotations

import numpy as np

from whet.errors import StorageError, WhetError
from whet.measure.metrics import pick
from whet.search.decisions.labels import LABELLED, share_right, too_seldom_right
from whet.search.ladder.assay import ask_original
from whet.search.ladder.trials import Trials
from whet.search.setup import Setup

__all__ = ["labels_option"]

_WHERE = "distillation"
_LOOK = 256  # rows of which is asked how often the original is right


def labels_option(setup: Setup, trials: Trials) -> dict[str, str]:
    """What makes `distill` learn the labels of what it learns from; nothing where there are none.

    Labels are taken for what they say only where the original is about as often right by them as by
    those that judge it.

    Raises:
        StorageError: answers can't be written.
        Stopped: the user asked to stop.
    """
    store = setup.learnt_from
    if setup.metric not in LABELLED or store.labels is None or store.rows_per_sample != 1:
        return {}
    few = np.random.default_rng(setup.seed).permutation(store.samples)[:_LOOK]
    shares = []
    try:
        look = store.subset(few, setup.workdir / f"learnt-look-{len(few)}.npy")
        for part in (look, setup.select):
            original = ask_original(
                setup, part, left_s=trials.climbing_s(), while_waiting=trials.stop.check
            )
            shares.append(share_right(pick(original, setup.contract.output), part.labels))
    except StorageError:
        raise
    except WhetError as error:
        trials.tell.once(_WHERE, f"Labels were left aside: {error.message}")
        return {}
    learnt, judged = shares
    if learnt is None or judged is None:
        trials.tell.once(_WHERE, "Labels were left aside: they name no classes of the network.")
        return {}
    if too_seldom_right(learnt, judged):
        reason = (
            f"Labels of what is learnt from were left aside: by them the original is right in"
            f" {learnt:.0%}, by those that judge it in {judged:.0%}. Are they other classes, or in"
            " another order?"
        )
        trials.tell.once(_WHERE, reason)
        return {}
    return {"labels": setup.contract.output or next(iter(original))}
