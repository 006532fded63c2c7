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

__all__ = ["WHERE", "Verdicts", "earlier", "noted", "repeat_notes"]

WHERE = "certify samples"
_MARK = "verdicts"
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")


class Verdicts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The verdicts that one search took on its certify samples.

    Attributes:
        rounds: recipes that were judged together, each by its digest, sorted; each set once.
    """

    rounds: tuple[tuple[str, ...], ...] = ()

    def asked(self, recipes: Iterable[str]) -> Verdicts:
        """With one more set of recipes, unless it is among them."""
        return Verdicts(tuple(dict.fromkeys((*self.rounds, tuple(sorted(recipes))))))


def earlier(
    others: Iterable[tuple[SearchInputs, Verdicts]], own: SearchInputs, recipes: Iterable[str]
) -> int:
    """Other verdicts on the certify samples of ``own``, each counted once.

    A verdict is another one under another contract or on other recipes: whoever searches on
    until a finalist passes chooses by these samples too. On another machine the engines
    differ and the samples are the same, so it counts.

    Args:
        others: searches with their verdicts; ``own`` may be among them.
        own: the search that asks.
        recipes: digests of what it judged.
    """
    taken = {
        (_asked(inputs), recipes)
        for inputs, verdicts in others
        if (inputs.samples, inputs.seed) == (own.samples, own.seed)
        for recipes in verdicts.rounds
    }
    return len(taken - {(_asked(own), tuple(sorted(recipes)))})


def repeat_notes(before: int) -> tuple[Note, ...]:
    """What the reader of a verdict should know of those before it."""
    if before <= 0:
        return ()
    number = before + 1
    ordinal = _ORDINALS[before] if before < len(_ORDINALS) else f"{number}th"
    reason = (
        f"This is the {ordinal} verdict on the same certify samples, each under another"
        " contract or on other candidates."
        " Give another --seed or new samples for an untouched proof."
    )
    return (Note(WHERE, reason),)


def noted(book: Ledger, own: SearchInputs, trials: Iterable[Trial]) -> tuple[Note, ...]:
    """Mark this search where it certified something, and tell of the others.

    Raises:
        LedgerError: it can't be read or written.
    """
    # That an untouched engine gives the original's answers is no verdict by chance.
    recipes = [t.recipe.digest() for t in trials if t.certify is not None and not t.certify.same]
    if not recipes:
        return ()
    before = book.get_as(_MARK, Verdicts) or Verdicts()
    others = book.others_as(_MARK, own.graph, Verdicts)
    book.put(_MARK, before.asked(recipes))
    return repeat_notes(earlier(((own, before), *others), own, recipes))


def _asked(inputs: SearchInputs) -> tuple[object, ...]:
    """What of a contract the certify samples answer; the code of a user's metric is part of it."""
    contract, drop = inputs.contract, inputs.contract.max_drop
    outputs = contract.output, contract.ignore_outputs
    return contract.metric, inputs.metric, drop.kind, drop.value, contract.confidence, outputs
