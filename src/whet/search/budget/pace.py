"""What a trial usually takes, from those before it; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from whet.core.evidence import Status, Trial
from whet.core.recipe import Recipe
from whet.search.budget.budget import START_S
from whet.search.decisions.figures import is_untouched, row_ms

__all__ = ["hurried", "quick_to_build", "start_s", "usual_s"]

# What a first trial is taken to need: Inductor compiles C++.
_GUESS_S = {"inductor": 60.0}
_ANY_GUESS_S = 10.0
# What a pass adds to compiling and timing: a process that loads its framework and rewrites a graph.
# Half of it goes with the time that processes take here.
_PASS_S = 5.0
# Processes that a trial starts at the least, one after another: one that compiles and two that are
# timed. Counting two keeps half as much again for a restless machine.
_STARTS = 2
# Of the time left after rung 0, what the waves before the first int8 candidate leave to it.
_LEFT_FOR_INT8 = 0.4

# Calibration rows of each quantiser, where a recipe doesn't say.
_CALIBRATION_ROWS: Mapping[str, int] = {
    "quantize-nncf": 300,
    "quantize-nncf-ir": 300,
    "quantize-ort": 128,
}
# A calibration row takes this many times what the untouched graph takes for one: its statistics
# are collected operator by operator, and biases are corrected on some rows once more.
_COLLECTING = 3.0
# Rounding weights in advance takes about as long as calibrating on this many rows.
_ROUNDING_ROWS = 400
_ROUNDS = "round-weights"

# Passes that take next to nothing, and options of quantisers that only name layers.
_QUICK = frozenset({"convert-ir", "store-int8", "restore-weights"})
_LAYERS = frozenset({"ignored", "keep_first", "keep_last"})


def usual_s(
    recipe: Recipe,
    trials: Iterable[Trial],
    *,
    repair_rows: int,
    built: Collection[str] = (),
) -> float:
    """Seconds that a trial of this kind took so far; a guess for the first on its runtime.

    The guess for a recipe with passes is what the untouched graph took on that runtime, and what
    passes add to it. They take about as long for one runtime as for another, so it is never
    below what they took elsewhere. What fewer calibration rows saved the others is added. Where the
    same work was done before, other layers left in float, only that counts.

    Args:
        recipe: to be tried.
        trials: all so far.
        repair_rows: that calibration can draw from.
        built: digests of the passes whose graphs are there already: such a graph is only compiled
            and timed, which takes what the untouched one takes.
    """
    known = list(trials)
    whole_s = _with_building_s(recipe, known, repair_rows)
    if recipe.build_digest() not in built:
        return whole_s
    return min(whole_s, _without_building_s(recipe.runtime, known, whole_s))


def _without_building_s(runtime: str, known: Iterable[Trial], otherwise_s: float) -> float:
    took = (
        t.seconds
        for t in known
        if is_untouched(t) and t.status is Status.OK and t.recipe.runtime == runtime
    )
    return max(took, default=otherwise_s)


def _with_building_s(recipe: Recipe, known: Sequence[Trial], repair_rows: int) -> float:
    row_s = _fastest_row_s(known)
    ran = [t for t in known if t.status is Status.OK]
    # Weights are rounded once; those who come later find them.
    rounded_first = next((t for t in ran if t.recipe.has(_ROUNDS)), None)
    rounding_s = _COLLECTING * row_s * _ROUNDING_ROWS if recipe.has(_ROUNDS) else 0.0
    ahead_s = rounding_s if rounded_first is None else 0.0

    def calibration_s(of: Recipe) -> float:
        return _COLLECTING * row_s * min(repair_rows, _calibration_rows(of))

    def like_s(t: Trial) -> float:
        """What one took, with the work of this recipe in place of its own."""
        more_s = max(0.0, calibration_s(recipe) - calibration_s(t.recipe))
        return t.seconds + more_s + ahead_s - (rounding_s if t is rounded_first else 0.0)

    same = [like_s(t) for t in ran if t.recipe.steps and _work(t.recipe) == _work(recipe)]
    if same:
        return max(same)
    took = [
        (t.recipe.runtime, like_s(t))
        for t in ran
        if bool(t.recipe.steps) == bool(recipe.steps)
        # What rounding took says nothing of candidates without it, and learning is given its time.
        and (not t.recipe.has(_ROUNDS) or recipe.has(_ROUNDS))
        and not (t.recipe.learns or t.recipe.ends_early)
    ]
    like = [s for runtime, s in took if runtime == recipe.runtime]
    if like:
        return max(like)
    elsewhere = [s for runtime, s in took if recipe.steps and runtime not in _GUESS_S]
    return max((_guess_s(recipe, known, calibration_s(recipe) + ahead_s), *elsewhere))


def _work(recipe: Recipe) -> tuple[object, ...]:
    """What building takes its time for: which layers are left in float hardly changes it."""
    return (
        recipe.runtime,
        *(
            (step.name, {k: v for k, v in step.options.items() if k not in _LAYERS})
            for step in recipe.steps
            if step.name not in _QUICK
        ),
    )


def start_s(trials: Iterable[Trial]) -> float:
    """Seconds that a process takes here which opens an engine, by the quickest untouched trial.

    Never more than is usual, nor is it told apart from the queries of a slow network: it is a
    bound from above. With no trial yet it is the usual.
    """
    took = (t.seconds for t in trials if is_untouched(t) and t.status is Status.OK)
    return min(START_S, min((s for s in took if s > 0), default=START_S * _STARTS) / _STARTS)


def quick_to_build(runtimes: Sequence[str]) -> tuple[str, ...]:
    """Those that compile in seconds; all of them where none does."""
    return tuple(name for name in runtimes if name not in _GUESS_S) or tuple(runtimes)


def hurried(left_s: float, *, probe_s: float, int8_s: float) -> bool:
    """Whether a probe and further settings of the untouched graph would leave int8 no time.

    Then the first int8 candidate comes before both.

    Args:
        left_s: for climbing, when the untouched graph ran once on each runtime.
        probe_s: that the int8 probe should take.
        int8_s: that a whole int8 candidate should take.
    """
    return _LEFT_FOR_INT8 * (left_s - probe_s) < int8_s


def _guess_s(recipe: Recipe, known: Sequence[Trial], calibration_s: float) -> float:
    plain = [
        t.seconds
        for t in known
        if is_untouched(t) and t.status is Status.OK and t.recipe.runtime == recipe.runtime
    ]
    if recipe.steps and plain and recipe.runtime not in _GUESS_S:
        pass_s = _PASS_S * (1 + start_s(known) / START_S) / 2
        return min(plain) + pass_s + calibration_s
    return _GUESS_S.get(recipe.runtime, _ANY_GUESS_S)


def _fastest_row_s(trials: Iterable[Trial]) -> float:
    times = (row_ms(t) for t in trials if is_untouched(t))
    return min((ms for ms in times if ms is not None), default=0.0) / 1e3


def _calibration_rows(recipe: Recipe) -> int:
    rows = [
        step.options.get("subset_size", _CALIBRATION_ROWS[step.name])
        for step in recipe.steps
        if step.name in _CALIBRATION_ROWS
    ]
    return max(rows, default=0)
