"""The error of a search in which no untouched engine gave figures; pure."""

from __future__ import annotations

from collections.abc import Mapping

from whet.errors import MeasurementError, RuntimeUnavailableError, WhetError

__all__ = ["none_ran"]

_ELSE = "Try other --runtimes, or export the network differently."


def none_ran(reasons: Mapping[str, str], errors: Mapping[str, WhetError]) -> WhetError:
    """What to say, with the remedies of the errors that led here.

    Args:
        reasons: why each untouched engine gave no figures, by trial.
        errors: those that this run met, by trial; what the ledger remembers has none.
    """
    remedies = dict.fromkeys(e.remedy for e in errors.values() if e.remedy)
    all_doubted = all(isinstance(errors.get(trial), MeasurementError) for trial in reasons)
    why = dict.fromkeys(reasons.values())
    if reasons and all_doubted:
        # They ran; neither other runtimes nor another export would change the machine.
        start = "The untouched graph ran, but none of its figures can be believed."
        return MeasurementError(" ".join((start, *why)), " ".join(remedies))
    start = "No runtime could run the untouched graph."
    return RuntimeUnavailableError(" ".join((start, *why)), " ".join((*remedies, _ELSE)))
