"""Why a candidate wasn't chosen, in one sentence; pure.

A difference in speed is stated as one only where the intervals of the two
speed-ups lie apart (on a restless machine by the margin that noise doesn't
make). Both stand in the sentence, so that a reader sees how sure it is.
"""

from __future__ import annotations

from whet.core.contract import Contract
from whet.core.evidence import Percentile, Quality, Ratio, Status, Trial, Verdict
from whet.core.units import drop_words
from whet.search.decisions.decide import NOISE, clauses, clearly_faster, keeps, slower_at
from whet.search.decisions.endings import reason_of
from whet.search.decisions.figures import answers_right, damage, speed
from whet.search.decisions.judged import check_words, quality_words
from whet.search.words.outputs import closest_check

__all__ = ["why_lost"]


def why_lost(trial: Trial, chosen: Trial, contract: Contract, baseline: Trial) -> str:
    """One sentence that says why ``trial`` wasn't chosen; empty for the chosen one.

    Args:
        trial: with its speed-up against the baseline.
        chosen: the trial that was chosen.
        contract: what had to be kept.
        baseline: the best untouched trial.
    """
    if trial.status is not Status.OK:
        return f"{trial.status.value.capitalize()}: {reason_of(trial)}"
    if trial.id == chosen.id:
        return ""
    return (
        _breaks_or_unproven(trial, contract)
        or _slow_tail(trial, contract, baseline)
        or (_no_baseline(chosen, trial, contract) if trial.id == baseline.id else "")
        or _in_speed(trial, chosen, contract, baseline)
    )


def _breaks_or_unproven(trial: Trial, contract: Contract) -> str:
    rows = clauses(trial, contract)
    failed = [(name, words) for name, verdict, words in rows if verdict is Verdict.FAILED]
    own = " by itself, as an early stage of a cascade may" if trial.recipe.ends_early else ""
    open_ = ""
    if trial.certify is not None and trial.certify.verdict is Verdict.UNDECIDED:
        open_ = _unproven(next(text for name, _, text in rows if name == "quality"))
    if failed:
        name, words = failed[0]
        # The chosen one may break the same limit by more, and be taken since it is proven.
        alone = own if name == "quality" else ""
        return f"Breaks the {name} clause{alone}: {words}. {open_}".rstrip()
    q = trial.select
    # What the certify part proved goes before what a few select samples showed.
    if trial.certify is None and q is not None and q.verdict is Verdict.FAILED:
        return f"Loses too much quality{own}: {_loss(q)}."
    return open_


def _loss(q: Quality) -> str:
    plain = not any(c.verdict is Verdict.FAILED for c in q.outputs) and q.difference is None
    if plain:
        lost, allowed = drop_words(q.drop), drop_words(q.allowed)
        return f"{q.metric} drops by {lost} on {q.n} samples, allowed {allowed}"
    return quality_words(q)


def _slow_tail(trial: Trial, contract: Contract, baseline: Trial) -> str:
    if trial.speedup is not None and trial.speedup.high < 1:
        return ""  # slower by its median too, which is surer
    q = slower_at(contract.percentile, trial, baseline)
    own = trial.latency.at(q) if trial.latency is not None and q is not None else None
    its = baseline.latency.at(q) if baseline.latency is not None and q is not None else None
    if q is None or own is None or its is None:
        return ""
    asked = f"p{contract.percentile:g}"
    about = (
        "which the contract is about"
        if q == contract.percentile
        else f"the highest percentile up to {asked} that both had queries for"
    )
    return f"Slower than {baseline.name} at p{q:g}, {about}: {_point(own)} against {_point(its)}."


def _no_baseline(chosen: Trial, baseline: Trial, contract: Contract) -> str:
    """Why the best untouched was left: something is clearly faster, or keeps more."""
    if chosen.speedup is not None and clearly_faster(chosen):
        return (
            f"Slower than {chosen.name}, which runs {_ratio(chosen.speedup)} as fast"
            " and keeps the quality floor."
        )
    return _unproven_beside(baseline, chosen, contract)


def _in_speed(trial: Trial, chosen: Trial, contract: Contract, baseline: Trial) -> str:
    if trial.speedup is None or chosen.speedup is None:
        return "Its speed was not compared with that of the chosen one."
    both = f"{_ratio(trial.speedup)} against {_ratio(chosen.speedup)}"
    if _apart(trial.speedup, chosen.speedup):
        return f"Slower than {chosen.name}: {both}."
    if answers_right(trial) or trial.certify is not None:
        return _unproven_beside(trial, chosen, contract) or _level(trial, chosen, baseline)
    if speed(trial) <= speed(chosen):
        return f"Can't be told apart from {chosen.name} in speed, and looks no faster: {both}."
    faster = "Faster" if _apart(chosen.speedup, trial.speedup) else "Perhaps faster"
    if trial.select is None:
        return f"{faster} ({both}), but its quality was not judged."
    seen, start = trial.select, f"{faster} ({both}), but its quality isn't safe enough to certify:"
    check = closest_check(seen)
    if check is not None and check.verdict is not Verdict.PASSED:
        return f"{start} {check_words(check)}, on the select split."
    return (
        f"{start} {seen.metric} drop {drop_words(seen.drop)} (at most {drop_words(seen.bound)})"
        f" on the select split, allowed {drop_words(seen.allowed)}."
    )


def _unproven_beside(trial: Trial, chosen: Trial, contract: Contract) -> str:
    """What of the contract isn't proven of ``trial`` although all of it is of ``chosen``."""
    if keeps(chosen, contract) is not Verdict.PASSED:
        return ""
    # Only the best untouched engine is certified; the others were compared when they were tried.
    open_ = [
        words
        for name, verdict, words in clauses(trial, contract)
        if verdict is not Verdict.PASSED and not (name == "quality" and answers_right(trial))
    ]
    return _unproven(open_[0]) if open_ else ""


def _unproven(words: str) -> str:
    """What isn't proven; an output that decides says so itself."""
    return f"Output{words[6:]}." if words.startswith("output ") else f"Not proven: {words}."


def _level(trial: Trial, chosen: Trial, baseline: Trial) -> str:
    """Two that may both be chosen and whose speeds can't be told apart."""
    if trial.speedup is None or chosen.speedup is None:
        return ""
    if chosen.id == baseline.id:
        return f"Not clearly faster than the untouched {chosen.name}: {_ratio(trial.speedup)}."
    both = f"{_ratio(trial.speedup)} against {_ratio(chosen.speedup)}"
    return f"Can't be told apart from {chosen.name} in speed ({both}), which {_why(chosen, trial)}."


def _why(chosen: Trial, trial: Trial) -> str:
    """What decided between two that are equally fast; see `whet.search.decisions.decide.choose`."""
    if speed(chosen) > speed(trial):
        return "looks faster"
    own, its = ((len(t.recipe.steps), len(t.recipe.settings.changed())) for t in (chosen, trial))
    if own < its:
        return "needs fewer passes and settings"
    return (
        "loses less quality" if damage(chosen) < damage(trial) else "comes first in a fixed order"
    )


def _apart(slow: Ratio, fast: Ratio) -> bool:
    """Whether the intervals lie apart, on a restless machine by a margin."""
    margin = NOISE if slow.noisy or fast.noisy else 1.0
    return fast.low > margin * slow.high


def _ratio(found: Ratio) -> str:
    if found.low == found.high:
        return f"{found.value:.2f}×"
    noisy = ", noisy" if found.noisy else ""
    return f"{found.value:.2f}× ({found.low:.2f} to {found.high:.2f}{noisy})"


def _point(found: Percentile) -> str:
    if found.low_ms is None or found.high_ms is None:
        return f"{found.value_ms:.3g} ms"
    return f"{found.value_ms:.3g} ms ({found.low_ms:.3g} to {found.high_ms:.3g})"
