"""What is refused before the network is exported, and before the original is asked."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

import numpy as np
import pytest

from whet.core.contract import Contract, Drop
from whet.core.spec import Signature, TensorSpec
from whet.data.readers import open_samples
from whet.data.store import SampleStore, write_store
from whet.errors import (
    ContractError,
    InputError,
    LedgerError,
    NetworkError,
    OptionError,
    SamplesError,
    StorageError,
)
from whet.search.intake.early import refuse_early
from whet.search.intake.given import Given
from whet.search.intake.outputs import check_shapes, in_classes, with_scores
from whet.search.ledger.ledger import Ledger

GIVEN = Given("net.py:build", "samples.npz", weights="net.npz")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHET_CACHE", str(tmp_path / "not" / "yet" / "made"))
    home = tmp_path / "home"
    home.mkdir()
    (home / "net.py").write_text("def build(): raise RuntimeError\n")
    np.savez(home / "net.npz", w=np.zeros(10, np.float32))
    monkeypatch.chdir(home)


def test_what_is_fine_leaves_nothing_behind(tmp_path: Path) -> None:
    refuse_early(GIVEN, Contract(), tmp_path / "new.sqlite", tmp_path / "out.whet")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_a_metric_without_its_function(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text("def score(outputs, labels, reference): return 1.0\n")
    refuse_early(GIVEN, Contract(metric=f"{tmp_path}/f.py:score"), None, None)
    with pytest.raises(OptionError, match="has no function 'nosuch'"):
        refuse_early(GIVEN, Contract(metric=f"{tmp_path}/f.py:nosuch"), None, None)


def test_a_ledger_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("these are my notes, and no database at all\n" * 50)
    with sqlite3.connect(tmp_path / "theirs.sqlite") as db:
        db.execute("CREATE TABLE mine (x)")
    for name, said in (("notes.txt", "not a ledger"), ("theirs.sqlite", "of another program")):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(LedgerError, match=said):
            refuse_early(GIVEN, Contract(), tmp_path / name, None)
        assert (tmp_path / name).read_bytes() == before
    assert {file.name for file in tmp_path.iterdir()} == {"home", "notes.txt", "theirs.sqlite"}


def test_a_ledger_of_ours_that_is_free_or_in_use(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    with Ledger.open(file, "k"), pytest.raises(LedgerError, match="in use"):
        refuse_early(GIVEN, Contract(), file, None)
    refuse_early(GIVEN, Contract(), file, None)


def test_a_ledger_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "l.sqlite", tmp_path / "file" / "deep" / "l.sqlite"):
        with pytest.raises(LedgerError, match="can't be written: Not a directory"):
            refuse_early(GIVEN, Contract(), place, None)
    # Root may write everywhere, so the system's answer is made here.
    tried: list[object] = []

    def refused(**where: object) -> None:
        tried.append(where["dir"])
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    with pytest.raises(LedgerError, match="can't be written: Permission denied") as caught:
        refuse_early(GIVEN, Contract(), tmp_path / "not" / "made" / "l.sqlite", None)
    assert "--ledger" in caught.value.remedy
    assert tried == [tmp_path]


def test_a_ledger_that_may_only_be_read(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    with Ledger.open(file, "k"):
        pass
    file.chmod(0o400)
    if os.access(file, os.W_OK):
        pytest.skip("this user may write everywhere")
    with pytest.raises(LedgerError, match=r"can't be (written|opened)"):
        refuse_early(GIVEN, Contract(), file, None)


def test_a_disk_without_room_for_the_network(tmp_path: Path) -> None:
    # A file full of holes, as large as a network that has no room.
    os.truncate("net.npz", shutil.disk_usage(tmp_path).free + 10**10)
    with pytest.raises(StorageError, match="MB are needed"):
        refuse_early(GIVEN, Contract(), None, tmp_path / "out.whet")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Given("gone.py:build", ""), "no file 'gone.py'"),
        (Given("net.py:build", "", weights="gone.npz"), "no weights file 'gone.npz'"),
        (Given("gone.onnx", ""), "no file or directory 'gone.onnx'"),
        (Given(5, ""), "int is no network"),  # type: ignore[arg-type]
        (Given("net.npz", ""), "holds weights only"),
    ],
)
def test_files_that_are_not_there(given: Given, said: str) -> None:
    with pytest.raises(NetworkError, match=said):
        refuse_early(given, Contract(), None, None)


def test_labels_that_are_not_there() -> None:
    for labels in ("gone.csv", Path("gone.csv")):
        given = Given("net.py:build", "", weights="net.npz", labels=labels)
        with pytest.raises(SamplesError, match=r"no file gone\.csv to take labels from"):
            refuse_early(given, Contract(), None, None)


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no database\n" * 100)
    contract = Contract(batch=0, metric="gone.py:score")
    with pytest.raises(InputError) as caught:
        refuse_early(GIVEN, contract, tmp_path / "notes.txt", tmp_path / "notes.txt")
    said = str(caught.value)
    assert caught.value.exit_code == 3
    for part in ("batch", "no file gone.py", "not a ledger", "is not a bundle"):
        assert part in said


@pytest.mark.parametrize("seed", [-1, 2**31])
def test_a_seed_that_no_generator_takes(seed: int) -> None:
    refuse_early(
        Given("net.py:build", "", weights="net.npz", seed=2**31 - 1), Contract(), None, None
    )
    with pytest.raises(OptionError, match=f"The seed {seed} can't be used"):
        refuse_early(
            Given("net.py:build", "", weights="net.npz", seed=seed), Contract(), None, None
        )


def stored(folder: Path, labels: list[float] | list[int]) -> SampleStore:
    arrays = {"x": np.zeros((len(labels), 3), np.float32), "labels": np.asarray(labels)}
    return write_store(open_samples(arrays), folder, limit=100, seed=0)


def gives(*shape: int | str) -> Signature:
    return Signature(
        (TensorSpec("x", "float32", ("batch", 3)),),
        (TensorSpec("scores", "float32", ("batch", *shape)),),
    )


@pytest.mark.parametrize("metric", ["auto", "top1", "top5", "f1"])
def test_labels_out_of_range_are_told_from_the_shape(tmp_path: Path, metric: str) -> None:
    store = stored(tmp_path / "s", [0, 1, 5])
    check_shapes(Contract(metric=metric), gives(6), store, None)
    with pytest.raises(SamplesError, match=r"1 of 3 labels .* network has 5 classes"):
        check_shapes(Contract(metric=metric), gives(5), store, None)
    # Another metric has no use for classes, and a size that isn't known tells nothing.
    check_shapes(Contract(metric="cosine"), gives(5), store, None)
    check_shapes(Contract(metric=metric), gives("n"), store, None)


@pytest.mark.parametrize("shape", [(6,), ("n",)])
@pytest.mark.parametrize("metric", ["auto", "top1", "top5", "f1"])
def test_classes_that_are_written_as_floats(
    tmp_path: Path, metric: str, shape: tuple[int | str, ...]
) -> None:
    store = stored(tmp_path / "s", [0.0, 1.0, 5.0] * 4)
    found = in_classes(Contract(metric=metric), gives(*shape), store, None)
    assert found.labels is not None
    assert found.labels.dtype == np.int64
    part = found.subset(np.array([2, 5]), tmp_path / "part.npy")
    assert part.labels is not None
    assert part.labels.dtype == np.int64, "so that guesses are told and shares are kept"
    assert part.labels.tolist() == [5, 5]
    with pytest.raises(SamplesError, match=r"4 of 12 labels .* network has 5 classes"):
        check_shapes(Contract(metric=metric), gives(5), found, None)


def test_negative_classes_that_are_written_as_floats(tmp_path: Path) -> None:
    store = stored(tmp_path / "s", [0.0, 1.0, -1.0])
    found = in_classes(Contract(metric="top1"), gives(6), store, None)
    with pytest.raises(SamplesError, match=r"Label -1 .* is negative"):
        check_shapes(Contract(metric="top1"), gives(6), found, None)


def test_scores_stay_floats(tmp_path: Path) -> None:
    whole = stored(tmp_path / "s", [0.0, 1.0, 5.0])
    for contract in (Contract(), Contract(metric="mae"), Contract(metric="score.py:own")):
        assert in_classes(contract, gives(1), whole, None) is whole
    broken = stored(tmp_path / "t", [0.0, 1.5, 5.0])
    assert in_classes(Contract(metric="top1"), gives(6), broken, None) is broken
    with pytest.raises(SamplesError, match="not all whole numbers"):
        check_shapes(Contract(metric="top1"), gives(6), broken, None)


def test_a_drop_that_allows_anything_is_told_once_the_metric_is_known(tmp_path: Path) -> None:
    slip = Contract(max_drop=Drop(1.0)).checked()
    with pytest.raises(ContractError, match="1 is 100 points, and 'top1'"):
        check_shapes(slip, gives(6), stored(tmp_path / "s", [0, 1, 5]), None)
    check_shapes(slip, gives(1), stored(tmp_path / "t", [0.5, 1.5, 5.0]), None)  # mae has no end


def test_a_tensor_that_no_bundle_holds(tmp_path: Path) -> None:
    signature = Signature(gives(6).inputs, (TensorSpec("scores", "bfloat16", ("batch", 6)),))
    with pytest.raises(NetworkError, match="'scores' is bfloat16, which a bundle can't hold"):
        check_shapes(Contract(), signature, stored(tmp_path / "s", [0, 1, 5]), None)


@pytest.mark.parametrize("shape", [(), (1,)])
def test_one_score_tells_two_classes_apart(tmp_path: Path, shape: tuple[int, ...]) -> None:
    check_shapes(Contract(metric="top1"), gives(*shape), stored(tmp_path / "s", [0, 1, 1]), None)
    with pytest.raises(SamplesError, match="network has 2 classes"):
        check_shapes(Contract(metric="top1"), gives(*shape), stored(tmp_path / "t", [2]), None)


def test_spearman_needs_one_number_a_sample(tmp_path: Path) -> None:
    store = stored(tmp_path / "s", [0.5, 1.5, 2.0])
    check_shapes(Contract(metric="spearman"), gives(1), store, None)
    with pytest.raises(SamplesError, match="no single number to correlate"):
        check_shapes(Contract(metric="spearman"), gives(10), store, None)


def test_outputs_that_are_not_there(tmp_path: Path) -> None:
    contract = Contract(output="foo", ignore_outputs=("bar",))
    with pytest.raises(ContractError) as caught:
        check_shapes(contract, gives(5), stored(tmp_path / "s", [1]), None)
    assert [issue.where for issue in caught.value.issues] == ["output", "ignore_outputs"]


LABEL = TensorSpec("label", "int64", ("batch",))
SCORES = TensorSpec("probabilities", "float32", ("batch", 10))


def test_scores_are_judged_where_a_decision_comes_first() -> None:
    """So do classifiers of scikit-learn and of boosted trees answer."""
    signature = Signature(gives(6).inputs, (LABEL, SCORES))
    contract, (note,) = with_scores(Contract(), signature)
    assert contract.output == "probabilities"
    assert "'probabilities' is judged" in note.reason


@pytest.mark.parametrize(
    ("contract", "outputs"),
    [
        (Contract(output="label"), (LABEL, SCORES)),
        (Contract(metric="own.py:score"), (LABEL, SCORES)),
        (Contract(ignore_outputs=("probabilities",)), (LABEL, SCORES)),
        (Contract(), (SCORES, LABEL)),
        (Contract(), (LABEL,)),
        (Contract(), (LABEL, TensorSpec("p", "float32", ("batch", 1)))),
    ],
)
def test_what_the_user_names_or_what_has_no_scores_stays(
    contract: Contract, outputs: tuple[TensorSpec, ...]
) -> None:
    assert with_scores(contract, Signature(gives(6).inputs, outputs)) == (contract, ())
