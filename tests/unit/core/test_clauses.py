"""A contract as it is written by hand in Python."""

from __future__ import annotations

import contextlib
import functools
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.core.clauses import read_contract
from whet.core.contract import Contract, Drop, DropKind
from whet.errors import ContractError


def read(**clauses: Any) -> Contract:
    contract, _ = read_contract(Contract(**clauses))
    return contract.checked()


@pytest.mark.parametrize(
    ("clauses", "want"),
    [
        ({"limit_ms": "5ms"}, Contract(limit_ms=5.0)),
        ({"limit_ms": 5}, Contract(limit_ms=5.0)),
        ({"limit_ms": np.float32(0.5)}, Contract(limit_ms=0.5)),
        ({"percentile": "p99"}, Contract(percentile=99.0)),
        ({"percentile": "p999"}, Contract(percentile=99.9)),
        ({"percentile": 50}, Contract(percentile=50.0)),
        ({"max_drop": 0.02}, Contract(max_drop=Drop(0.02))),
        ({"max_drop": "1%"}, Contract(max_drop=Drop(0.01, DropKind.RELATIVE))),
        ({"max_drop": Drop("1%")}, Contract(max_drop=Drop(0.01, DropKind.RELATIVE))),  # type: ignore[arg-type]
        ({"max_drop": Drop(0.01, "relative")}, Contract(max_drop=Drop(0.01, DropKind.RELATIVE))),  # type: ignore[arg-type]
        ({"batch": np.int64(8)}, Contract(batch=8)),
        ({"max_bytes": 25e6}, Contract(max_bytes=25_000_000)),
        ({"max_bytes": "25MB"}, Contract(max_bytes=25_000_000)),
        ({"ignore_outputs": "hidden"}, Contract(ignore_outputs=("hidden",))),
        ({"ignore_outputs": ["a", "b"]}, Contract(ignore_outputs=("a", "b"))),
    ],
)
def test_what_can_only_mean_one_thing_is_taken(clauses: dict[str, Any], want: Contract) -> None:
    for form in (Contract(**clauses), clauses):
        found = read_contract(form)[0].checked()
        assert found == want
        assert msgspec.json.decode(msgspec.json.encode(found), type=Contract) == want


def test_every_clause_of_the_wrong_kind_is_told_at_once_with_its_remedy() -> None:
    wrong = {
        "limit_ms": "fast",
        "percentile": "most",
        "batch": 1.5,
        "threads": True,
        "metric": 3,
        "max_drop": "little",
        "confidence": None,
        "max_bytes": [1],
        "output": 0,
        "ignore_outputs": 7,
        "concurrency": -1,
    }
    with pytest.raises(ContractError) as caught:
        read(**wrong)
    assert {issue.where for issue in caught.value.issues} == set(wrong)
    assert all(issue.remedy for issue in caught.value.issues)


def test_a_contract_that_was_never_read_is_refused_as_well() -> None:
    with pytest.raises(ContractError, match=r"whet\.Drop\(0\.01\)"):
        Contract(max_drop=0.01).checked()  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [0.01, "5ms", ["p99"], Drop(0.01)])
def test_what_is_no_contract_is_refused(given: object) -> None:
    with pytest.raises(ContractError, match="is no contract"):
        read_contract(given)


def test_a_clause_that_no_contract_has_is_named() -> None:
    with pytest.raises(ContractError, match=r"max_loss.*no such clause.*max_drop"):
        read_contract({"max_loss": 0.01})


def accuracy(outputs: object, labels: object, reference: object) -> float:
    return 1.0


def test_a_live_function_is_told_apart_by_its_name() -> None:
    contract, function = read_contract(Contract(metric=accuracy))  # type: ignore[arg-type]
    assert function is accuracy
    assert contract.metric == f"{__name__}:accuracy"
    partial = functools.partial(accuracy, reference=None)
    for other in (lambda *_: 0.0, partial):
        contract, function = read_contract({"metric": other})
        assert function is other
        assert contract.checked().metric.count(":") == 1


@given(
    st.dictionaries(
        st.sampled_from(Contract.__struct_fields__),
        st.none() | st.booleans() | st.floats() | st.text(max_size=4) | st.lists(st.integers()),
    )
)
def test_anything_is_either_read_or_refused(clauses: dict[str, Any]) -> None:
    with contextlib.suppress(ContractError):
        found = read_contract(clauses)[0].checked()
        assert msgspec.json.decode(msgspec.json.encode(found), type=Contract) == found
