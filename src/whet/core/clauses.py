"""A contract as it is written by hand in Python: a dict, text such as "5ms", a live function.

What can only mean one thing is taken as that, by the readings that the command line has; the rest
is left as it is for `Contract.checked`, which says what is wrong with it.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from whet.core.contract import Contract, Drop, DropKind, parse_bytes, parse_drop, parse_ms
from whet.errors import ContractError, Issue

__all__ = ["read_contract"]

Function = Callable[..., object]


def read_contract(given: object) -> tuple[Contract, Function | None]:
    """The contract with plain values, unchecked, and the metric if it is a live function.

    Args:
        given: a contract, its clauses by name, or ``None`` for one without limits.

    Raises:
        ContractError: it is something else, or has clauses that no contract has.
    """
    contract = _contract(given)
    metric: object = contract.metric
    function = metric if callable(metric) else None
    values: dict[str, Any] = {
        name: read(getattr(contract, name)) for name, read in _READERS.items()
    }
    if function is not None:
        values["metric"] = _name(function)
    return msgspec.structs.replace(contract, **values), function


def _contract(given: object) -> Contract:
    if given is None:
        return Contract()
    if isinstance(given, Contract):
        return given
    if not isinstance(given, Mapping):
        issue = Issue(
            "contract",
            f"{_shown(given)} is no contract.",
            'Give whet.Contract(limit_ms=5), or its clauses as a dict: {"limit_ms": 5}.',
        )
        raise ContractError((issue,))
    known = Contract.__struct_fields__
    issues = tuple(
        Issue(str(name), "there is no such clause.", f"Take one of {', '.join(known)}.")
        for name in given
        if name not in known
    )
    if issues:
        raise ContractError(issues)
    return Contract(**given)


def _shown(value: object) -> str:
    return f"{value!r:.60} ({type(value).__name__})"


def _name(function: Function) -> str:
    """``module:function``, to be read and not to be loaded."""
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    plain = re.sub(r"\W+", "_", name.rpartition(".")[2]).strip("_") or "function"
    module = getattr(function, "__module__", None) or "python"
    return f"{module}:{plain if not plain[0].isdigit() else f'_{plain}'}"


def _number(value: object) -> object:
    """A float, from any real number or from its text."""
    if isinstance(value, bool) or value is None:
        return value
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return value


def _whole(value: object) -> object:
    """An int, from any number that is whole or from its text."""
    if isinstance(value, bool):
        return value
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = _number(value)
        return int(number) if isinstance(number, float) and number.is_integer() else value


def _by(parse: Callable[[str], object], otherwise: Callable[[object], object]) -> Function:
    def read(value: object) -> object:
        if not isinstance(value, str):
            return otherwise(value)
        try:
            return parse(value)
        except ContractError:
            return value

    return read


def _percentile(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"p\d+(\.\d+)?", value):
        return 99.9 if value == "p999" else float(value[1:])
    return _number(value)


def _drop(value: object) -> object:
    """A bare number is absolute, as on the command line."""
    if isinstance(value, Drop):
        inner: object = value.value
        if isinstance(inner, str):
            return _DROP_TEXT(inner)
        kind = DropKind(value.kind) if value.kind in list(DropKind) else value.kind
        return msgspec.structs.replace(value, value=_number(inner), kind=kind)
    number = _number(value)
    return Drop(number) if isinstance(number, float) else value


def _names(value: object) -> object:
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list | set | frozenset) else value


_DROP_TEXT = _by(parse_drop, lambda value: value)
_READERS: dict[str, Function] = {
    "limit_ms": _by(parse_ms, _number),
    "percentile": _percentile,
    "batch": _whole,
    "concurrency": _whole,
    "threads": _whole,
    "max_drop": _by(parse_drop, _drop),
    "confidence": _number,
    "max_bytes": _by(parse_bytes, _whole),
    "max_memory_bytes": _by(parse_bytes, _whole),
    "ignore_outputs": _names,
}
