from __future__ import annotations

from pathlib import Path

import msgspec
from trial_factory import quality, trial

from whet.core.contract import Contract, Drop, DropKind
from whet.search.ledger.identity import SearchInputs
from whet.search.ledger.ledger import Ledger
from whet.search.ledger.proofs import Verdicts, earlier, noted, repeat_notes

OWN = SearchInputs("graph", "samples", "machine", Contract(metric="top1"), 0)
CERTIFIED = [trial("int8", 2.0, certify=quality(0.0))]


ONE = Verdicts((("int8",),))


def before(*others: SearchInputs, judged: Verdicts = ONE) -> int:
    return earlier([(other, judged) for other in others], OWN, ["int8"])


def with_drop(value: float, *, kind: DropKind = DropKind.ABSOLUTE) -> SearchInputs:
    contract = msgspec.structs.replace(OWN.contract, max_drop=Drop(value, kind))
    return msgspec.structs.replace(OWN, contract=contract)


def test_contracts_that_asked_the_same_samples_something_else_count_once_each() -> None:
    other_metric = msgspec.structs.replace(OWN, contract=Contract(metric="f1"))
    other_machine = msgspec.structs.replace(with_drop(0.02), machine="elsewhere")
    assert before(with_drop(0.02), other_machine, other_metric) == 2
    assert before(with_drop(0.01, kind=DropKind.RELATIVE)) == 1


def test_other_samples_another_seed_and_the_same_question_count_not() -> None:
    others = [
        msgspec.structs.replace(with_drop(0.02), samples="others"),
        msgspec.structs.replace(with_drop(0.02), seed=1),
        msgspec.structs.replace(OWN, contract=Contract(metric="top1", batch=8)),
        msgspec.structs.replace(OWN, contract=Contract(metric="top1", limit_ms=9.0)),
    ]
    assert before(*others) == 0


def test_other_candidates_under_the_same_contract_are_another_verdict() -> None:
    longer = msgspec.structs.replace(OWN, contract=Contract(metric="top1", limit_ms=9.0))
    assert before(longer, judged=Verdicts((("bf16",), ("bf16", "int8")))) == 2
    assert before(OWN, longer, judged=Verdicts((("bf16",), ("int8",)))) == 1


def test_the_words() -> None:
    assert repeat_notes(0) == ()
    (note,) = repeat_notes(2)
    assert note.where == "certify samples"
    assert "the third verdict on the same certify samples" in note.reason
    assert "--seed or new samples" in note.reason
    assert "10th verdict" in repeat_notes(9)[0].reason


def test_the_ledger_counts_what_was_certified(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    said = []
    for drop in (0.005, 0.01, 0.02):
        own = with_drop(drop)
        with Ledger.open(file, own) as book:
            said.append(noted(book, own, CERTIFIED))
    assert said[0] == ()
    assert "second" in said[1][0].reason
    assert "third" in said[2][0].reason
    with Ledger.open(file, with_drop(0.02)) as book:  # the same again is no further verdict
        assert noted(book, with_drop(0.02), CERTIFIED) == said[2]


def test_the_same_search_with_other_finalists_is_told(tmp_path: Path) -> None:
    """With a longer budget it may go on until something passes."""
    file = tmp_path / "ledger.sqlite"
    other = [trial("int8 restored", 1.8, certify=quality(0.0))]
    with Ledger.open(file, OWN) as book:
        assert noted(book, OWN, CERTIFIED) == ()
        assert noted(book, OWN, CERTIFIED) == ()
        assert "second" in noted(book, OWN, other)[0].reason
        assert "second" in noted(book, OWN, CERTIFIED)[0].reason
        assert "third" in noted(book, OWN, [*CERTIFIED, *other])[0].reason


def test_a_search_that_certified_nothing_neither_counts_nor_is_told(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    with Ledger.open(file, with_drop(0.005)) as book:
        assert noted(book, with_drop(0.005), [trial("int8", 2.0)]) == ()
    with Ledger.open(file, OWN) as book:
        assert noted(book, OWN, CERTIFIED) == ()
        assert noted(book, OWN, []) == ()


def test_another_graph_has_proofs_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    other = msgspec.structs.replace(with_drop(0.02), graph="retrained")
    with Ledger.open(file, other) as book:
        noted(book, other, CERTIFIED)
    with Ledger.open(file, OWN) as book:
        assert noted(book, OWN, CERTIFIED) == ()
