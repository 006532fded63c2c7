"""How often the same certify samples were asked before.

A certificate holds for samples that nothing was chosen by. Whoever repeats a
search with a looser floor or another metric until it passes chooses by them: the
confidence of each verdict stands, that of "one of them passed" doesn't. The ledger
knows the other searches of this network, so the outcome can say so. The decision is
pure; `noted` asks the ledger and writes this search's own mark.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from whet.core.evidence import Trial
from whet.core.note import Note
from whet.search.ledger.identity import SearchInputs
from whet.search.ledger.ledger import Ledger

__all__ = ["WHERE", "earlier", "noted", "repeat_notes"]

WHERE = "certify samples"
_MARK = "certified"
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")


class _Mark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """That a search took a verdict on its certify samples, and on how many candidates."""

    candidates: int


def earlier(others: Iterable[SearchInputs], own: SearchInputs) -> int:
    """Contracts that were judged on the certify samples of ``own`` before, each counted once.

    On another machine the engines differ and the samples are the same, so it counts too.
    """
    asked = {
        _asked(other) for other in others if (other.samples, other.seed) == (own.samples, own.seed)
    }
    return len(asked - {_asked(own)})


def repeat_notes(before: int) -> tuple[Note, ...]:
    """What the reader of a verdict should know of those before it."""
    if before <= 0:
        return ()
    number = before + 1
    ordinal = _ORDINALS[before] if before < len(_ORDINALS) else f"{number}th"
    reason = (
        f"This is the {ordinal} verdict on the same certify samples, each under another contract."
        " Give another --seed or new samples for an untouched proof."
    )
    return (Note(WHERE, reason),)


def noted(book: Ledger, own: SearchInputs, trials: Iterable[Trial]) -> tuple[Note, ...]:
    """Mark this search where it certified something, and tell of the others.

    Raises:
        LedgerError: it can't be read or written.
    """
    # That an untouched engine gives the original's answers is no verdict by chance.
    judged = [trial.certify for trial in trials if trial.certify is not None]
    candidates = sum(1 for quality in judged if not quality.same)
    if not candidates:
        return ()
    book.put(_MARK, _Mark(candidates))
    return repeat_notes(earlier(book.others_with(_MARK, own.graph), own))


def _asked(inputs: SearchInputs) -> tuple[object, ...]:
    """What of a contract the certify samples answer; the code of a user's metric is part of it."""
    contract, drop = inputs.contract, inputs.contract.max_drop
    outputs = contract.output, contract.ignore_outputs
    return contract.metric, inputs.metric, drop.kind, drop.value, contract.confidence, outputs
