"""What is done to a candidate that is good: other settings, padding, a change of its passes.

Each takes the best so far and tries what lies beside it, so that the order of the
ladder stays what it is: what is likely to win comes first, and these fill the
time that is left.
"""

from __future__ import annotations

from collections.abc import Sequence

from whet.core.evidence import Status, Trial
from whet.runtimes.axes import Axes
from whet.runtimes.registry import get
from whet.search.decisions.decide import promising
from whet.search.decisions.figures import answers_right, is_untouched, plainest, speed
from whet.search.decisions.limits import overrun
from whet.search.decisions.outlook import SURE
from whet.search.decisions.worth import keeps_room, worth_judging
from whet.search.ladder import variations
from whet.search.ladder.lengths import masked_symbols, round_ups
from whet.search.ladder.trials import Trials
from whet.search.ladder.waves import good, short_of_room, wave
from whet.search.setup import Setup

__all__ = [
    "ALL",
    "FEW",
    "LEVEL",
    "TUNING",
    "judge_the_fast",
    "pad",
    "retune",
    "retune_the_original",
    "rework",
]

FEW, ALL = 4, 99  # neighbouring settings tried before other algorithms, and after them
LEVEL = 0.05  # quick timings this near to each other may change places in the next search
TUNING = 0.2  # share of the time left that a wave may take, so that those after it have their turn
_LATE = 2  # trials that are judged after the climb
_ROWS_LOOKED_AT = 256


def pad(setup: Setup, trials: Trials, bases: Sequence[Trial]) -> None:
    """The fastest of some trials with its sizes rounded up, where that may help."""
    able = [t for t in bases if "round_up" in get(t.recipe.runtime).honours]
    if able:
        best = max(able, key=speed)
        if not best.recipe.settings.round_up:
            choices = round_ups(_masked_sizes(setup))
            wave(trials, best.rung, variations.padded(best, choices), stop=setup)


def _masked_sizes(setup: Setup) -> dict[str, list[int]]:
    """Sizes of what a mask covers, in the first select rows."""
    signature = setup.graph.signature
    symbols = masked_symbols(signature)
    if not symbols:
        return {}
    sizes = [signature.bind(row) for row in setup.select.batches(1, limit=_ROWS_LOOKED_AT)]
    return {symbol: [of[symbol] for of in sizes] for symbol in symbols}


def rework(setup: Setup, trials: Trials) -> None:
    """Other passes for the fastest candidate that is good, once its algorithm is found."""
    safe = [t for t in trials.all.values() if t.recipe.steps and good(setup, t)]
    if not safe:
        return
    best = _best(setup, safe)
    wave(trials, 2, variations.reworked(setup.kind, best), share=TUNING, stop=setup)
    own = [t for t in trials.untouched() if t.recipe.runtime == best.recipe.runtime]
    # Refused where there is nothing to tidy; then there isn't before quantising either.
    for base in ([plainest(own, within=LEVEL)] if own else []) + [best]:
        if not wave(trials, 2, variations.tidied(base), share=TUNING, stop=setup):
            break


def _best(setup: Setup, trials: Sequence[Trial]) -> Trial:
    """Of the fastest the plainest, one that is sure to be certified before all others.

    What is made of it answers as it does: tuning a candidate that fails is time lost.
    """
    n = setup.certify.samples

    def sure(trial: Trial) -> bool:
        return promising(trial, setup.contract, n, least=SURE)

    return plainest(trials, within=LEVEL, before=sure)


def retune(setup: Setup, trials: Trials, axes: Axes, *, most: int) -> None:
    """Other settings for the fastest candidate that is good."""
    safe = [t for t in trials.all.values() if not is_untouched(t) and good(setup, t)]
    if safe:
        best = _best(setup, safe)
        pad(setup, trials, safe)
        slow = variations.slow_precisions(trials.all.values(), best.recipe.runtime)
        recipes = variations.retuned(best, axes, most=most, slow=slow)
        wave(trials, best.rung, recipes, share=TUNING, stop=setup)


def retune_the_original(setup: Setup, trials: Trials, axes: Axes) -> None:
    """The same for the best untouched engine: what others are held to is tuned like them."""
    right = [t for t in trials.untouched() if answers_right(t)]
    if right:
        best = plainest(right, within=LEVEL)
        recipes = variations.retuned(best, axes, most=ALL)
        wave(trials, 1, recipes, judge=False, share=TUNING, stop=setup)


def judge_the_fast(setup: Setup, trials: Trials) -> None:
    """Judge what is faster than everything safe but was only timed, while time allows.

    Where nothing safe keeps the limits on size and memory, what comes nearest to them is first.
    """
    contract, known = setup.contract, trials.all.values()
    safe = max((speed(t) for t in known if good(setup, t)), default=0)
    short, n = short_of_room(setup, trials), setup.certify.samples
    left = [
        t
        for t in known
        if t.status is Status.OK
        and t.select is None
        and (
            (speed(t) > max(safe, 1.0) and (keeps_room(t, contract) or short))
            or (short and worth_judging(t, known, contract, n))
        )
    ]
    for trial in sorted(left, key=lambda t: (overrun(t, contract), -speed(t)))[:_LATE]:
        trials.judge(trial)
