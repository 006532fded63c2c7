"""What other searches' trials still say for this one; pure.

A search on the same graph and the same machine (its processor and the versions
of all runtimes are in the machine's digest) may have timed the very recipes
that this one is about to try. What still holds of such a trial:

* **its speed**, where the load is the same (batch, concurrency, threads,
  percentile) and the rows have the same shapes: the samples are the same, or
  the network leaves nothing but the batch free. Which values the rows hold
  doesn't decide how long an engine takes; how long they are does.
* **not its quality**: that belongs to its samples. Where those are the same
  and only the floor or the metric is another, the engine's answers lie in the
  workspace still (`whet.search.ladder.assay.judge_on`) and are judged anew.
* **not its failure**: that a candidate crashed or came too late may have had
  another cause that day, and must not cost this search its best runtime.
* **not the speed of an untouched engine that was too noisy to call**: "never
  slower" rests on which of them is the best, so it is timed again. A candidate's
  may stand, for it decides only whether the candidate is looked at.

A recipe that is calibrated makes another artefact of other samples, of the same
layers in the same precisions; so its speed holds too, as an estimate. All of
it only screens: the finalists are timed afresh, interleaved with the best
untouched engine, and certified on this search's own samples.

Speed-ups are ratios to the first engine of their search, so they hold only
where this search compares with the same engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from whet.core.evidence import Status, Trial
from whet.core.note import Note
from whet.core.spec import Signature
from whet.search.decisions.figures import is_untouched
from whet.search.ledger.identity import SearchInputs
from whet.search.ledger.ledger import Past

__all__ = ["REUSED", "Kept", "carried", "origin", "same_shapes", "still_holding"]

REUSED = "reused"
"""Where the note of a trial stands that says which search timed it."""


@dataclass(frozen=True)
class Kept:
    """A trial of another search whose speed holds, and the recipe that it was compared with."""

    trial: Trial
    anchor: str


def same_shapes(signature: Signature) -> bool:
    """Whether all rows of all samples have one shape, so that speed doesn't depend on them."""
    return all(isinstance(size, int) for spec in signature.inputs for size in spec.shape[1:])


def still_holding(
    pasts: Iterable[Past], inputs: SearchInputs, *, shapes: bool
) -> Mapping[str, Kept]:
    """The trials whose speed holds for a search with ``inputs``, by recipe digest.

    Args:
        pasts: trials of other searches, the newest search first; that one wins.
        inputs: of this search.
        shapes: from `same_shapes` of this search's graph.
    """
    relevant = [p for p in pasts if _same_load(p.inputs, inputs, shapes=shapes)]
    anchors = _anchors(relevant)
    found: dict[str, Kept] = {}
    for past in relevant:
        trial = past.trial
        if trial.status is not Status.OK or trial.latency is None or trial.speedup is None:
            continue
        anchor = anchors.get((past.inputs.key(), trial.speedup.against))
        if anchor is None or (trial.speedup.noisy and is_untouched(trial)):
            continue
        found.setdefault(trial.recipe.digest(), Kept(_stripped(past), anchor))
    return found


def carried(kept: Kept, name: str, rung: int, anchor: Trial | None) -> Trial | None:
    """The trial as one of this search, or ``None`` where it was compared with another engine.

    Args:
        kept: from `still_holding`.
        name: in this search.
        rung: at which this search tries it.
        anchor: what this search compares with; ``None`` for its first trial.
    """
    if kept.anchor != (kept.trial.id if anchor is None else anchor.id):
        return None
    speedup = kept.trial.speedup
    if speedup is not None:
        against = name if anchor is None else anchor.name
        speedup = msgspec.structs.replace(speedup, against=against)
    return msgspec.structs.replace(kept.trial, name=name, rung=rung, speedup=speedup)


def origin(trial: Trial) -> str:
    """Which search timed it, in words; empty for a trial that was timed by its own search."""
    return next((note.reason for note in trial.notes if note.where == REUSED), "")


def _same_load(past: SearchInputs, own: SearchInputs, *, shapes: bool) -> bool:
    then, now = past.contract, own.contract
    return (
        past.graph == own.graph
        and past.machine == own.machine
        and (then.batch, then.concurrency) == (now.batch, now.concurrency)
        and (then.threads, then.percentile) == (now.threads, now.percentile)
        and (shapes or past.samples == own.samples)
    )


def _anchors(pasts: list[Past]) -> dict[tuple[str, str], str]:
    """The recipe that a name in "speed-up against" stands for, by search and name.

    A search that was stopped and started again may have used a name twice; then
    nobody can say which one was meant, and it is left out.
    """
    found: dict[tuple[str, str], set[str]] = {}
    for past in pasts:
        trial = past.trial
        own = trial.speedup is not None and trial.speedup.against == trial.name
        if own and is_untouched(trial) and trial.status is Status.OK:
            found.setdefault((past.inputs.key(), trial.name), set()).add(trial.recipe.digest())
    return {where: next(iter(recipes)) for where, recipes in found.items() if len(recipes) == 1}


def _stripped(past: Past) -> Trial:
    """The trial with nothing but its speed, its footprint and what was said of its making."""
    trial = past.trial
    # A speed that was taken over already belongs to the search that measured it.
    note = Note(REUSED, f"Its speed was measured by the search that began {past.started} UTC.")
    notes = trial.notes if origin(trial) else (*trial.notes, note)
    return msgspec.structs.replace(
        trial, select=None, certify=None, frontier=False, lost="", variant=None, notes=notes
    )
