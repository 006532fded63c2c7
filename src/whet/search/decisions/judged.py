"""What a judgement of quality means for the search: within the floor or not, and in words; pure."""

from __future__ import annotations

from whet.core.evidence import OutputCheck, Quality, Trial, Verdict
from whet.core.units import drop_words

__all__ = ["is_stranger", "quality_clause", "quality_words", "within"]


def within(quality: Quality) -> bool:
    """Whether what was seen (not its bound) is allowed, of the judged output and all others."""
    return quality.drop <= quality.allowed and all(
        c.loss <= c.allowed and not c.broken for c in quality.outputs
    )


def quality_clause(trial: Trial) -> tuple[str, Verdict, str]:
    """The quality clause: what the answers on the certify split say, of an untouched engine too."""
    if trial.certify is None:
        return "quality", Verdict.UNDECIDED, "not certified"
    return "quality", trial.certify.verdict, quality_words(trial.certify)


def quality_words(quality: Quality) -> str:
    """The figures of a judgement in words; what failed comes first."""
    q = quality
    if q.same:
        return f"its answers are the original's on all {q.n} samples, but for rounding"
    words = (
        f"{q.metric} drop {drop_words(q.drop)}, at most {drop_words(q.bound)}"
        f" with {q.confidence:.0%} confidence on {q.n} samples; allowed {drop_words(q.allowed)}"
    )
    if q.unseen is not None:
        words += f"; damage on fewer than {q.unseen:.2%} of the inputs may not show"
    parts = [_stranger(q)] if is_stranger(q) else []
    ordered = sorted(q.outputs, key=lambda c: _RANK[c.verdict])
    others = [_output_words(c) for c in ordered]
    if q.outputs and ordered[0].verdict is Verdict.FAILED:
        return "; ".join((*parts, *others, words))
    return "; ".join((*parts, words, *others))


_RANK = {Verdict.FAILED: 0, Verdict.UNDECIDED: 1, Verdict.PASSED: 2}


def _output_words(check: OutputCheck) -> str:
    if check.broken:
        return f"output '{check.name}' isn't finite on {check.broken} rows where the original's is"
    what = "differs from" if check.rule == "equality" else "is away from"
    return (
        f"output '{check.name}' {what} the original's by {drop_words(check.loss)},"
        f" at most {drop_words(check.bound)}; allowed {drop_words(check.allowed)}"
    )


def is_stranger(quality: Quality) -> bool:
    """Whether it is an untouched engine's that doesn't give the original's answers."""
    return quality.difference is not None and not quality.same


def _stranger(quality: Quality) -> str:
    return (
        "untouched, yet its answers differ from the original's by up to"
        f" {quality.difference:.2g} of the values around"
    )
