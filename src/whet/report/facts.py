"""What the page's parts ask of the evidence, looked up once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from whet.core.evidence import Evidence, Latency, Percentile, Quality, Status, Trial, Verdict
from whet.core.note import Note
from whet.core.points import shared_percentile, shown_point
from whet.measure.noise import TOO_NOISY
from whet.search.budget.spending import EXCEEDED
from whet.search.words.gaps import gaps
from whet.search.words.misses import nearer, noise_decides

__all__ = ["Facts", "judged_on"]

# Where notes stand that belong to the verdict: untrained values, a score that isn't above
# chance, certify samples that were asked before, a budget that wasn't kept.
_WARNINGS = frozenset({"weights", "chance", "certify samples", EXCEEDED})
_LABELLED = frozenset({"top1", "top5", "f1", "spearman", "mae"})


@dataclass(frozen=True)
class Facts:
    """Lookups over one record; nothing is computed that wasn't measured."""

    evidence: Evidence

    @cached_property
    def by_id(self) -> dict[str, Trial]:
        return {trial.id: trial for trial in self.evidence.trials}

    @property
    def chosen(self) -> Trial | None:
        return self.by_id.get(self.evidence.chosen)

    @property
    def baseline(self) -> Trial | None:
        return self.by_id.get(self.evidence.baseline)

    @property
    def metric(self) -> str:
        """The concrete metric: that of the judgements, else the contract's."""
        judged = (q.metric for t in self.evidence.trials if (q := self.quality(t)) is not None)
        return next(judged, self.evidence.contract.metric)

    @property
    def allowed(self) -> float | None:
        """The allowed drop in units of the metric; ``None`` before anything was judged."""
        judged = (q.allowed for t in self.evidence.trials if (q := self.quality(t)) is not None)
        drop = self.evidence.contract.max_drop
        return next(judged, drop.value if drop.kind == "absolute" else None)

    @cached_property
    def ordered(self) -> tuple[Trial, ...]:
        """Chosen first, then by latency, then those that didn't run."""
        return tuple(sorted(self.evidence.trials, key=self._order))

    @property
    def contenders(self) -> tuple[Trial, ...]:
        """Chosen, baseline, frontier and all that were certified or packed."""
        return tuple(t for t in self.ordered if self.is_contender(t))

    def is_contender(self, trial: Trial) -> bool:
        ends = {self.evidence.chosen, self.evidence.baseline}
        known = trial.frontier or trial.certify is not None or trial.variant is not None
        return trial.id in ends or (trial.status is Status.OK and known)

    def point(self, latency: Latency | None) -> Percentile | None:
        """The contract's percentile, else the highest that was measured."""
        if latency is None:
            return None
        return shown_point(latency.percentiles, self.evidence.contract.percentile)

    @cached_property
    def shared_q(self) -> float:
        """The percentile to compare all contenders by.

        Candidates that were timed only briefly have no high percentile.
        """
        ran = [t.latency for t in self.evidence.trials if t.status is Status.OK and t.latency]
        if self.evidence.eager is not None:
            ran.append(self.evidence.eager)
        return shared_percentile(
            (latency.percentiles for latency in ran), self.evidence.contract.percentile
        )

    def quality(self, trial: Trial) -> Quality | None:
        """The best judgement there is; none of an untouched engine that answers as the original.

        It was compared number by number and loses nothing; a bound would only say how few
        samples there were.
        """
        quality = trial.certify or trial.select
        return None if quality is not None and quality.same else quality

    def untouched(self, trial: Trial) -> bool:
        """The original in full precision, whose answers are the original's.

        One that was judged by the metric is none: its answers weren't.
        """
        plain = trial.id == self.evidence.baseline or trial.recipe.untouched
        return plain and self.quality(trial) is None

    @property
    def against_eager(self) -> float | None:
        """Eager's median over the chosen one's; the mean where a median is missing."""
        chosen = self.chosen
        if self.evidence.eager is None or chosen is None or chosen.latency is None:
            return None
        eager, mine = self.evidence.eager.at(50.0), chosen.latency.at(50.0)
        if eager is None or mine is None:
            over, under = self.evidence.eager.mean_ms, chosen.latency.mean_ms
        else:
            over, under = eager.value_ms, mine.value_ms
        return over / under if under > 0 and math.isfinite(over) else None

    @cached_property
    def gaps(self) -> tuple[Trial, ...]:
        """Untouched engines that failed for a reason that may pass: "best untouched" lacks them."""
        return gaps(self.evidence.trials)

    @property
    def original(self) -> Quality | None:
        """A judgement that tells the original's own score: the chosen one's, else any certified.

        Without labels the original is its own measure and has no score.
        """
        if not self.evidence.samples.labelled:
            return None
        ranked = sorted(
            (
                t
                for t in self.evidence.trials
                if (q := self.quality(t)) is not None and q.metric in _LABELLED
            ),
            key=lambda t: (t.certify is None, t.id != self.evidence.chosen),
        )
        return self.quality(ranked[0]) if ranked else None

    @property
    def warnings(self) -> tuple[Note, ...]:
        """Notes without which the verdict would say too much."""
        decides = {"race", *(t.name for t in (self.chosen, self.baseline) if t is not None)}
        return tuple(
            note
            for note in self.evidence.notes
            if note.where in _WARNINGS
            or (note.where in decides and note.reason.startswith(TOO_NOISY))
        )

    @property
    def nearest(self) -> bool:
        """Whether no certified candidate came nearer to the limits than the chosen one."""
        e = self.evidence
        return self.chosen is None or nearer(self.chosen, e.kept, e.contract, e.trials) is None

    @property
    def noise_decides(self) -> bool:
        """Whether the limit is missed by the tail alone, on a machine that was not quiet."""
        e = self.evidence
        return self.chosen is not None and noise_decides(self.chosen, e.contract, e.unrest)

    @property
    def same_as_baseline(self) -> bool:
        return self.evidence.chosen == self.evidence.baseline

    @property
    def kept(self) -> Verdict:
        return self.evidence.kept

    def _order(self, trial: Trial) -> tuple[int, float, str]:
        latency = trial.latency
        point = (latency.at(self.shared_q) if latency is not None else None) or self.point(latency)
        first = 0 if trial.id == self.evidence.chosen else 1
        ran = 0 if trial.status is Status.OK and point is not None else 2
        return (max(first, ran), point.value_ms if point is not None else math.inf, trial.name)


def judged_on(trial: Trial) -> str:
    """What its figures of quality are worth: which samples gave them, and whether they prove it."""
    if trial.certify is None:
        return "select only"
    return "certified" if trial.certify.verdict is Verdict.PASSED else "certify, not passed"
