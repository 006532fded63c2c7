"""What a judgement of quality means for the search: within the floor or not, and in words; pure."""

from __future__ import annotations

from whet.core.evidence import OutputCheck, Quality, Trial, Verdict
from whet.core.units import drop_words

__all__ = [
    "check_words",
    "deciding",
    "is_stranger",
    "metric_holds",
    "quality_clause",
    "quality_words",
    "settled_by",
    "within",
]


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
    tells = bool(deciding(q)) or any(c.verdict is Verdict.FAILED for c in q.outputs)
    first = [c for c in ordered if tells and c.verdict is not Verdict.PASSED]
    rest = [c for c in ordered if c not in first]
    return "; ".join((*parts, *map(check_words, first), words, *map(check_words, rest)))


_RANK = {Verdict.FAILED: 0, Verdict.UNDECIDED: 1, Verdict.PASSED: 2}


def metric_holds(quality: Quality) -> bool:
    """Whether the metric by itself is proven, whatever becomes of the checks of outputs.

    A metric that isn't asks for samples even where its bound is low enough.
    """
    q = quality
    return not q.broken and q.bound <= q.allowed and q.needed is None


def deciding(quality: Quality) -> tuple[OutputCheck, ...]:
    """The checks that the verdict is owed to and not to the metric; none where it passed.

    A metric whose drop is allowed hasn't failed; where it isn't allowed, the metric is
    taken to have failed too.
    """
    q = quality
    if q.same or q.verdict is Verdict.PASSED or q.broken:
        return ()
    own = q.drop > q.allowed if q.verdict is Verdict.FAILED else not metric_holds(q)
    return () if own else tuple(c for c in q.outputs if c.verdict is q.verdict)


def settled_by(quality: Quality) -> int | None:
    """The samples that would probably prove the metric and all outputs; ``None`` if none can say."""
    if quality.verdict is not Verdict.UNDECIDED:
        return None
    asked = [c.needed for c in quality.outputs if c.verdict is Verdict.UNDECIDED]
    if not asked or not metric_holds(quality):
        asked.append(quality.needed)
    known = [n for n in asked if n]
    return max(known) if len(known) == len(asked) else None


def check_words(check: OutputCheck) -> str:
    """The verdict on an output with its figures, and the samples that would settle it."""
    c = check
    itself = " itself" if c.rule == "constant" else ""
    if c.broken:
        return f"output '{c.name}'{itself} isn't finite on {c.broken} rows where the original's is"
    share = c.rule == "equality"
    lost, most, allowed = map(_percent if share else drop_words, (c.loss, c.bound, c.allowed))
    figures = f"in {lost} of its values" if share else f"by {lost}"
    verb = "differs from" if share else "is away from"
    told = f"{verb} the original's {figures}, at most {most}; allowed {allowed}"
    start = f"output '{c.name}'{itself}"
    if c.verdict is Verdict.PASSED:
        return f"{start} {told}"
    ended = "fails" if c.verdict is Verdict.FAILED else "is not proven"
    more = f" (about {c.needed:,} samples would settle it)" if c.needed else ""
    return f"{start} {ended}: it {told}{more}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


def is_stranger(quality: Quality) -> bool:
    """Whether it is an untouched engine's that doesn't give the original's answers."""
    return quality.difference is not None and not quality.same


def _stranger(quality: Quality) -> str:
    return (
        "untouched, yet its answers differ from the original's by up to"
        f" {quality.difference:.2g} of the values around"
    )
