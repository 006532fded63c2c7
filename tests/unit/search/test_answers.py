"""Answers that are kept on disk, and a disk that doesn't take them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from whet.core.settings import Settings
from whet.data.readers import open_samples
from whet.data.store import SampleStore, write_store
from whet.errors import StorageError
from whet.measure.contender import Contender
from whet.search.answers import answers_of, kept_answers, seconds_of
from whet.testing.small_net import SmallNet


@pytest.fixture
def net() -> SmallNet:
    return SmallNet()


@pytest.fixture
def contender(net: SmallNet, tmp_path: Path) -> Contender:
    graph = net.onnx(tmp_path)
    return Contender("small", "onnxruntime", graph, graph.path, Settings(threads=1))


@pytest.fixture
def store(net: SmallNet, contender: Contender, tmp_path: Path) -> SampleStore:
    expect = contender.graph.signature.inputs
    reader = open_samples(net.inputs(4), expect=expect, label_key="")
    return write_store(reader, tmp_path / "store", limit=4, seed=0)


def ask(contender: Contender, store: SampleStore, place: Path) -> dict[str, np.ndarray]:
    return dict(answers_of(contender, store, place, cores=(0,), memory_bytes=None, limit_s=60.0))


def test_answers_are_kept_with_the_time_that_they_took(
    net: SmallNet, contender: Contender, store: SampleStore, tmp_path: Path
) -> None:
    place = tmp_path / "a" / "b"
    given = ask(contender, store, place)
    again = kept_answers(place)
    assert again is not None
    np.testing.assert_array_equal(again["scores"], given["scores"])
    np.testing.assert_allclose(given["scores"], net.answer(net.inputs(4))["scores"], rtol=1e-4)
    assert seconds_of(place) >= 0


def test_a_folder_that_can_not_be_made_is_said(
    contender: Contender, store: SampleStore, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="'small' can't be kept: Not a directory") as refused:
        ask(contender, store, tmp_path / "file" / "answers")
    assert str(tmp_path / "file") in refused.value.remedy


def test_a_place_that_can_not_be_taken_is_said(
    contender: Contender, store: SampleStore, tmp_path: Path
) -> None:
    (tmp_path / "answers").write_text("")
    with pytest.raises(StorageError, match="'small' can't be kept"):
        ask(contender, store, tmp_path / "answers")
