"""Whether the outputs that a contract names are there; pure."""

from __future__ import annotations

from collections.abc import Iterable

from whet.core.contract import Contract
from whet.errors import ContractError, Issue

__all__ = ["check_outputs"]


def check_outputs(contract: Contract, outputs: Iterable[str]) -> None:
    """See that a contract names outputs that the network gives.

    Args:
        contract: what the user asks.
        outputs: names of the original's outputs, in its order.

    Raises:
        ContractError: an output is named that isn't there, or the judged one is to be ignored.
    """
    names = list(outputs)
    judged = contract.output if contract.output is not None else names[0]
    known = ", ".join(f"'{name}'" for name in names)
    asked = [("output", judged), *(("ignore_outputs", name) for name in contract.ignore_outputs)]
    issues = [
        Issue(where, f"there is no output '{name}'.", f"Name one of {known}.")
        for where, name in asked
        if name not in names
    ]
    if judged in contract.ignore_outputs:
        remedy = "Name another one to judge, or don't ignore this one."
        issues.append(Issue("ignore_outputs", f"'{judged}' is the output that is judged.", remedy))
    if issues:
        raise ContractError(tuple(issues))
