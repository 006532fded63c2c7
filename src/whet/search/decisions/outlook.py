"""What the select part lets expect of certification; pure.

A proof asks for a bound below what is allowed, and bounds narrow with more samples. What
was *seen* of a drop on few samples is mostly luck, so where the drop is a balance of answers
lost and gained, it is shrunk towards nothing: answers that stand on the edge change, some
for the better and some for the worse, and the net loss is a part of those that change. So
the outlook rests on how many answers change, which few samples tell well, more than on
their balance, which they don't. Where many were asked, what was seen stands as it is.

Better than what was counted is what margins tell (`whet.measure.edge`), where there are any: of
two candidates that do equal harm the one that was lucky on the select part has no lead then.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from whet.core.evidence import OutputCheck, Quality

__all__ = ["LIKELY", "SURE", "Outlook", "outlook"]

LIKELY = 0.5  # chance of being certified from which on a candidate counts as promising
SURE = 0.7  # and from which on nothing safer is looked for

_NORMAL = NormalDist()
_BALANCES = frozenset({"top1", "top5"})  # metrics whose drop is such a balance
# Of the answers that usual compression changes, the net loss is within this share in two
# cases of three.
_NET = 0.3
# The error of shares told by margins, as a part of that of counts: with int8 ResNets on CIFAR-10
# and 220 samples 0.5-0.6, for the balance as for the sum.
_BY_MARGINS = 0.6


@dataclass(frozen=True)
class Outlook:
    """What certification would probably say.

    Attributes:
        bound: the upper bound of the drop to expect.
        chance: that it is below what is allowed (0-1), for the worst of all outputs.
    """

    bound: float
    chance: float


@dataclass(frozen=True)
class _Guess:
    """A drop as it is guessed: its mean and its error, and what certify samples will add.

    Attributes:
        width: of the bound on the certify part.
        scatter: standard deviation of the drop that the certify part will show.
    """

    mean: float
    error: float
    width: float
    scatter: float


def outlook(quality: Quality, certify_n: int) -> Outlook:
    """From the judgement on the select part to what the certify part would say.

    Args:
        quality: on the select part.
        certify_n: samples of the certify part.
    """
    if quality.broken:  # a number that isn't one fails wherever it comes
        return Outlook(math.inf, 0.0)
    n, z = max(1, certify_n), _NORMAL.inv_cdf(quality.confidence)
    counted = quality.metric in _BALANCES or quality.changes is not None
    balance = counted and math.isfinite(quality.bound)
    guess = _of_balance(quality, n, z) if balance else _of_mean(quality.drop, quality, n, z)
    judged = _expected(guess, quality.allowed)
    others = [
        0.0 if c.broken else _expected(_of_mean(c.loss, c, n, z), c.allowed).chance
        for c in quality.outputs
    ]
    return Outlook(judged.bound, min((judged.chance, *others)))


def _of_mean(seen: float, judged: Quality | OutputCheck, n: int, z: float) -> _Guess:
    """The width of a mean's bound shrinks with the root of the samples."""
    width = max(0.0, judged.bound - seen)
    shrunk = width * math.sqrt(judged.n / n)
    return _Guess(seen, width / z, shrunk, shrunk / z)


def _of_balance(quality: Quality, n: int, z: float) -> _Guess:
    """The share of answers that change, told by margins or read from the bound's width.

    By Tango's score, with as many lost as gained of n, a bound of width w has
    n w^2 = z^2 (share + w). A part of an answer more is reckoned with than was seen: few seen are
    often few by luck.
    """
    told = quality.changes
    if told is not None:
        share, net, part = told.lost + told.gained, told.lost - told.gained, _BY_MARGINS
    else:
        width = max(0.0, quality.bound - quality.drop)
        share = max(quality.n * (width / z) ** 2 - width, abs(quality.drop))
        net, part = quality.drop, 1.0
    share += part**2 / quality.n
    error = part * math.sqrt(share / quality.n)
    trust = 1.0
    if quality.metric in _BALANCES:  # else all that change are lost
        usual = _NET * share
        trust = usual**2 / (usual**2 + error**2)
    then = (z * z + math.sqrt(z**4 + 4 * n * z * z * share)) / (2 * n)
    return _Guess(trust * net, math.sqrt(trust) * error, then, math.sqrt(share / n))


def _expected(guess: _Guess, allowed: float) -> Outlook:
    # A lucky negative drop isn't carried over.
    bound = max(0.0, guess.mean) + guess.width
    if not math.isfinite(bound):
        return Outlook(math.inf, 0.0)
    spread = math.hypot(guess.error, guess.scatter)
    if spread == 0:
        return Outlook(bound, float(bound <= allowed))
    return Outlook(bound, _NORMAL.cdf((allowed - bound) / spread))
