"""Samples as other libraries hold them, and pictures in any of Python's buffers."""

from __future__ import annotations

import numpy as np
import pytest

from whet.data.readers import open_samples
from whet.data.readers.labels import as_label, load_labels
from whet.errors import SamplesError

torch = pytest.importorskip("torch")

X, Y = torch.arange(12.0).reshape(4, 3), torch.arange(4)


@pytest.mark.parametrize("given", [(X, Y), {"input": X, "labels": Y}, (X.numpy(), Y), [(X, Y)]])
def test_tensors_are_taken_as_arrays(given):
    got = list(open_samples(given).read())
    assert [sample.label for sample in got] == [0, 1, 2, 3]
    assert (np.stack([sample.rows[0]["input"] for sample in got]) == X.numpy()).all()


def test_one_tensor_is_all_samples():
    reader = open_samples(X, labels=Y)
    assert reader.count == 4
    assert [sample.label for sample in reader.read()] == [0, 1, 2, 3]


@pytest.mark.parametrize("hidden", [X.bfloat16(), X.clone().requires_grad_(), X.to("meta")])
def test_tensors_that_numpy_cannot_see_are_refused_with_what_to_give(hidden):
    for given in (hidden, (hidden, Y), {"x": hidden}, [hidden], [(hidden, Y)], [{"x": hidden}]):
        with pytest.raises(SamplesError, match="can't be read as") as caught:
            list(open_samples(given).read())
        assert "tensor.detach().cpu().numpy()" in caught.value.remedy
    for read in (lambda: load_labels(hidden[:, 0]), lambda: as_label(hidden[0, 0], "a")):
        with pytest.raises(SamplesError, match="can't be read as an array") as caught:
            read()
        assert "tensor.detach().cpu().numpy()" in caught.value.remedy


def test_a_dataset_needs_a_loader():
    with pytest.raises(SamplesError, match="DataLoader around a dataset"):
        open_samples(torch.utils.data.TensorDataset(X, Y))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_pictures_in_any_buffer(small, picture, kind):
    blobs = [kind(picture()), kind(picture(50, 40))]
    wanted = [small.decode(bytes(blob)) for blob in blobs]
    for given, labels in (
        ([(blobs[0], 3), (blobs[1], 4)], [3, 4]),
        ([(blobs, np.array([3, 4]))], [3, 4]),
        ([blobs], [None, None]),
        (blobs, [None, None]),
    ):
        got = list(open_samples(given, transform=small).read())
        assert [sample.label for sample in got] == labels
        assert all((s.rows[0]["input"] == w).all() for s, w in zip(got, wanted, strict=True))


def test_a_view_of_an_array_is_an_array(small):
    pixels = np.full((32, 32, 3), 7, np.uint8)
    (got,) = open_samples([(memoryview(pixels), 1)], transform=small).read()
    assert (got.rows[0]["input"] == pixels).all()
