"""What a load test asks with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from whet.client.payloads import made_up, samples_in
from whet.errors import SamplesError

ARRAYS = {
    "inputs": [
        {"name": "x", "datatype": "FP32", "shape": [-1, 3, 4]},
        {"name": "ids", "datatype": "INT64", "shape": [-1, -1]},
        {"name": "raw", "datatype": "UINT8", "shape": [2, 2]},
    ]
}
TWO = {"inputs": [{"name": "x"}, {"name": "y"}]}
PICTURES = {"inputs": [], "properties": {"raw_input": "image"}}


def array(inputs: Any, name: str) -> np.ndarray[Any, Any]:
    found = inputs[name]
    assert isinstance(found, np.ndarray)
    return found


def test_random_numbers_have_the_models_shapes() -> None:
    asks = made_up(ARRAYS, 5, seed=0)
    assert len({array(ask, "x").tobytes() for ask in asks}) == len(asks) > 1
    for ask in asks:
        assert array(ask, "x").shape == (5, 3, 4)
        assert array(ask, "x").dtype == np.float32
        assert array(ask, "ids").shape == (5, 16)
        assert set(np.unique(array(ask, "ids"))) <= {0, 1}
        assert array(ask, "raw").shape == (2, 2)
    assert (array(made_up(ARRAYS, 5, seed=0)[0], "x") == array(asks[0], "x")).all()


def test_texts_cant_be_made_up() -> None:
    with pytest.raises(SamplesError, match="--inputs"):
        made_up({"inputs": [{"name": "t", "datatype": "BYTES", "shape": [-1]}]}, 1, seed=0)


def test_rows_of_a_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(10), y=np.arange(20).reshape(10, 2))
    asks = samples_in(tmp_path / "a.npz", TWO, 4)
    assert [array(ask, "x").tolist() for ask in asks] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert array(asks[1], "y").shape == (4, 2)
    (whole,) = samples_in(tmp_path / "a.npz", TWO, 15)
    assert array(whole, "x").shape == (15,), "few rows come again"


def test_pictures_and_texts(tmp_path: Path) -> None:
    (tmp_path / "p" / "cats").mkdir(parents=True)
    for name in ("a.jpg", "b.PNG", "notes.txt"):
        (tmp_path / "p" / "cats" / name).write_bytes(name.encode())
    assert samples_in(tmp_path / "p", PICTURES, 1) == [{"image": [b"a.jpg"]}, {"image": [b"b.PNG"]}]
    texts = tmp_path / "t.txt"
    texts.write_text("one\n\ntwo\nthree\n")
    assert samples_in(texts, PICTURES, 2) == [{"image": [b"one", b"two"]}]


@pytest.mark.parametrize("name", ["gone.npz", "gone.txt", "odd.npz", "bad.npz", "empty", "t.csv"])
def test_files_that_are_none(tmp_path: Path, name: str) -> None:
    np.savez(tmp_path / "odd.npz", x=np.arange(3), y=np.arange(4))
    (tmp_path / "bad.npz").write_bytes(b"no zip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SamplesError):
        samples_in(tmp_path / name, PICTURES if name != "odd.npz" else TWO, 1)


def test_arrays_that_the_model_doesnt_take_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(3), label=np.arange(3))
    with pytest.raises(SamplesError, match=r"holds label, x; the model takes x, y"):
        samples_in(tmp_path / "a.npz", TWO, 1)
    np.savez(tmp_path / "b.npz", x=np.arange(3), y=np.array(3))
    with pytest.raises(SamplesError, match="rows"):
        samples_in(tmp_path / "b.npz", TWO, 1)


def test_a_model_that_takes_arrays_only_gets_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(SamplesError, match="arrays only"):
        samples_in(tmp_path, ARRAYS, 1)
