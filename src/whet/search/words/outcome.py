"""The outcome in words: what was chosen, how far it is from the contract, what to try next; pure.

Where the machine was not quiet and noise is what keeps the answer back, that is said and a
quiet machine advised: a looser limit would only be fitted to the noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from whet.core.contract import Contract
from whet.core.evidence import Status, Trial, Verdict
from whet.measure.latency_clause import judging_point, kept_latency
from whet.measure.latency_words import queries_words
from whet.search.decisions.decide import NOISE, clauses, clearly_faster
from whet.search.decisions.feasibility import fitting_width
from whet.search.decisions.figures import is_untouched, query_ms, speed
from whet.search.decisions.judged import deciding, is_stranger, settled_by
from whet.search.decisions.limits import loosened
from whet.search.words.misses import nearer, noise_decides, proven
from whet.search.words.outputs import held_back
from whet.search.words.substitution import substitution
from whet.search.words.untried import Untried, Why

__all__ = ["next_step", "outcome_sentence"]

_AGAIN = "Give the same command again on a quiet machine."


def outcome_sentence(
    chosen: Trial,
    verdict: Verdict,
    contract: Contract,
    baseline: Trial,
    trials: Iterable[Trial] = (),
    *,
    untried: Untried | None = None,
) -> str:
    """The outcome in words: what was chosen, the proof or the gap, and what was not tried.

    Args:
        chosen: and whether it keeps the contract.
        verdict: of it.
        contract: what had to be kept.
        baseline: the best untouched trial.
        trials: all, to tell of one that came nearer and wasn't chosen.
        untried: that int8 was left out.
    """
    rows = clauses(chosen, contract)
    words = "; ".join(text for _, _, text in rows if text)
    if verdict is Verdict.PASSED:
        if chosen.id == baseline.id:
            but = f", but {untried.words}" if untried is not None else ""
            return (
                f"The untouched original ({chosen.name}) keeps the contract and nothing proven"
                f" is faster{but}: {words}."
            )
        instead = substitution(chosen.recipe)
        return f"{chosen.name} keeps the contract: {words}.{instead}"
    # Size and memory start with their own names.
    gap = "; ".join(w if w.startswith(n) else f"{n}: {w}" for n, w in _missed(chosen, contract))
    start = (
        "The contract is not kept" if verdict is Verdict.FAILED else "The contract is not proven"
    )
    other = nearer(chosen, verdict, contract, trials)
    if other is None:
        return f"{start}. Nearest is {chosen.name}; {gap}."
    its = "; ".join(words for _, words in _missed(other, contract))
    return (
        f"{start}. Of what is proven, {chosen.name} is chosen; {gap}. {other.name} came nearer"
        f" ({its}), but isn't clearly faster than {baseline.name}."
    )


def _missed(trial: Trial, contract: Contract) -> list[tuple[str, str]]:
    """The clauses that aren't kept, with their figures."""
    rows = clauses(trial, contract)
    return [(name, words) for name, verdict, words in rows if verdict is not Verdict.PASSED]


def next_step(
    chosen: Trial,
    verdict: Verdict,
    contract: Contract,
    trials: Iterable[Trial],
    *,
    unrest: str = "",
    untried: Untried | None = None,
    skipped: int = 0,
) -> str:
    """What the user should try next; empty when the contract is kept and nothing better is hidden.

    Where it is kept, that is what noise hid, and beside an untouched engine what an output held back.

    Args:
        chosen: and whether it keeps the contract.
        verdict: of it.
        contract: what had to be kept.
        trials: all.
        unrest: why the last race was not quiet; empty where it was.
        untried: that int8 was left out; then nothing needs to be given up yet.
        skipped: candidates for which there was no time.
    """
    known = list(trials)
    held = held_back(chosen, known, contract)
    if verdict is Verdict.PASSED:
        hidden = _hidden(chosen, known, unrest)
        return " ".join(filter(None, (hidden, held if is_untouched(chosen) else "")))
    faster = [t for t in known if t.status is Status.OK and speed(t) > speed(chosen)]
    advice = (
        _more_samples(faster, contract)
        or _other_runtimes(chosen)
        or _quiet(chosen, contract, unrest)
        or _untried(untried)
        # Limits that the nearest would keep: there it is chosen, as the only one that keeps them.
        or _loosen(nearer(chosen, verdict, contract, known) or chosen, faster, contract, skipped)
    )
    return " ".join(filter(None, (held, advice)))


def _hidden(chosen: Trial, trials: list[Trial], unrest: str) -> str:
    """What looks faster than the chosen one and is certified, but was timed too unevenly."""
    looks = [
        t
        for t in proven(trials)
        if t.speedup is not None
        and t.speedup.noisy
        and not clearly_faster(t)
        and speed(t) > NOISE * max(1.0, speed(chosen))
    ]
    if not looks:
        return ""
    best = max(looks, key=speed)
    why = f" ({unrest})" if unrest else ""
    return f"{best.name} looks {speed(best):.2f}× as fast, too noisy to call{why}. {_AGAIN}"


def _more_samples(faster: list[Trial], contract: Contract) -> str:
    needed = [
        samples
        for t in faster
        if t.certify is not None
        and (samples := settled_by(t.certify))
        and not deciding(t.certify)  # told with its output
        and not loosened(t, contract)  # more samples don't make it smaller
    ]
    if not needed:
        return ""
    return (
        f"A faster variant would probably pass with {min(needed)} certify samples:"
        " give more samples."
    )


def _other_runtimes(chosen: Trial) -> str:
    if chosen.certify is None or not is_stranger(chosen.certify):
        return ""
    return "Let other runtimes compete with --runtimes: none that ran computes the original."


def _quiet(chosen: Trial, contract: Contract, unrest: str) -> str:
    median_ms = query_ms(chosen.latency)
    if median_ms is None or not noise_decides(chosen, contract, unrest):
        return ""
    return (
        f"The median, {median_ms:.3g} ms, is within the limit, and the machine was too noisy"
        f" to judge the tail: {unrest}. {_AGAIN}"
    )


def _untried(untried: Untried | None) -> str:
    if untried is None or untried.why is Why.ENOUGH:
        return ""
    again = "Give a longer --budget" if untried.why is Why.TIME else "Let the search go on"
    return f"{again}: {untried.words}."


def _loosen(chosen: Trial, faster: list[Trial], contract: Contract, skipped: int) -> str:
    """The limits that would have been kept, or what to change instead."""
    room = loosened(chosen, contract)
    late = kept_latency(chosen.latency, contract)
    point = judging_point(chosen.latency, contract)
    if late is not Verdict.PASSED and point is not None and point.q == contract.percentile:
        also = f"{room} and " if room else ""
        reach = point.high_ms if point.high_ms is not None else point.value_ms
        drop = _drop(faster, contract) or "more threads"
        allow = f"Allow {also}a limit of {reach:.3g} ms, {drop}, or a smaller network."
        return allow + _width(chosen, contract)
    if late is Verdict.FAILED:
        also = f"{room} and " if room else ""
        return f"Allow {also}a much higher limit, or a smaller network.{_width(chosen, contract)}"
    if room and skipped:
        candidates = f"{skipped} candidate{'s were' if skipped != 1 else ' was'}"
        return (
            f"Give a longer --budget ({candidates} not tried), allow {room}, or give"
            " a smaller network."
        )
    if room:
        return f"Allow {room}, or give a smaller network."
    if chosen.latency is not None and queries_words(contract, chosen.latency.queries):
        return "Give a longer --budget: its last race then answers enough queries."
    return "Loosen the clause that is named, or give a smaller network."


def _drop(faster: list[Trial], contract: Contract) -> str:
    """The drop that would let a candidate pass which quality alone keeps out; empty without one."""
    kept_out = [
        (quality.bound, t.name)
        for t in faster
        if (quality := t.certify or t.select) is not None
        and quality.verdict is not Verdict.PASSED
        and quality.allowed < quality.bound < math.inf
        and all(check.verdict is Verdict.PASSED for check in quality.outputs)
        and kept_latency(t.latency, contract) is not Verdict.FAILED
        and not loosened(t, contract)
    ]
    if not kept_out:
        return ""
    bound, name = min(kept_out)
    return f"a drop of {_up(bound):.3g} for {name}"


def _up(value: float) -> float:
    """Rounded up to two significant digits: a drop that suffices when it is given like that."""
    step: float = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(round(value / step, 6)) * step


def _width(chosen: Trial, contract: Contract) -> str:
    """How much narrower a network would fit, where even the median is above the limit."""
    median_ms = query_ms(chosen.latency)
    if median_ms is None or contract.limit_ms is None or median_ms <= contract.limit_ms:
        return ""
    return f" {fitting_width(contract.limit_ms, median_ms)}"
