from __future__ import annotations

import itertools
import resource
import subprocess
import sys
import tracemalloc

import msgspec
import numpy as np
import pytest

from whet.core.spec import TensorSpec
from whet.data.readers import open_samples
from whet.data.store import SampleStore, open_ref, write_store
from whet.errors import SamplesError, StorageError


@pytest.fixture
def store(tmp_path):
    x = np.arange(60, dtype=np.float32).reshape(20, 3)
    return write_store(
        open_samples({"x": x, "y": np.arange(20) % 4}), tmp_path / "s", limit=100, seed=0
    )


def sequences(count, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(1, 100, rng.integers(1, 9)) for _ in range(count)]


def test_rows_come_back_exactly(store):
    assert len(store) == store.samples == 20
    assert store.labels.tolist() == [i % 4 for i in range(20)]
    assert store.labels.dtype == np.int64
    got = list(store.batches(8))
    assert [b["x"].shape[0] for b in got] == [8, 8, 4]
    assert (np.concatenate([b["x"] for b in got]).reshape(-1) == np.arange(60)).all()
    assert [b["x"].shape[0] for b in store.batches(8, limit=10)] == [8, 2]
    assert store.rows(np.array([7, 2, 3, 7]))["x"][:, 0].tolist() == [21, 6, 9, 21]
    assert store.rows(np.array([], np.int64))["x"].shape == (0, 3)


def test_batches_belong_to_the_caller(store):
    first = next(store.batches(4))["x"]
    first[:] = -1
    assert next(store.batches(4))["x"][0, 1] == 1


def test_files_are_plain_npy(store):
    assert (np.load(store.path / "input-0.npy", mmap_mode="r")[5] == [15, 16, 17]).all()
    assert sorted(p.name for p in store.path.parent.iterdir()) == ["s"]


def test_sequences_are_padded_to_the_longest_of_the_batch(tmp_path):
    rows = sequences(50)
    store = write_store(
        open_samples([({"ids": r}, 1) for r in rows]), tmp_path / "s", limit=100, seed=0
    )
    assert str(store.inputs[0]) == "ids: int64[batch, length]"
    assert all(
        batch["ids"].shape == (1, r.size) for batch, r in zip(store.batches(1), rows, strict=True)
    )
    batch = store.rows(np.array([4, 9, 2]))["ids"]
    assert batch.shape == (3, max(rows[i].size for i in (4, 9, 2)))
    for line, i in zip(batch, (4, 9, 2), strict=True):
        assert line[: rows[i].size].tolist() == rows[i].tolist()
        assert not line[rows[i].size :].any()


def test_a_declared_symbol_may_stand_in_any_axis(tmp_path):
    expect = (TensorSpec("wave", "float32", ("batch", 2, "time")),)
    rows = [np.full((2, n), n, np.float32) for n in (3, 5, 4)]
    store = write_store(
        open_samples([({"wave": r}, 0) for r in rows], expect=expect),
        tmp_path / "s",
        limit=9,
        seed=0,
    )
    assert str(store.inputs[0]) == "wave: float32[batch, 2, time]"
    got = store.rows(np.array([2, 1]))["wave"]
    assert got.shape == (2, 2, 5)
    assert got[0].tolist() == [[4, 4, 4, 4, 0]] * 2


@pytest.mark.parametrize(
    ("shape", "spec"),
    [
        (lambda n: (2, n), "[batch, 2, length]"),
        (lambda n: (n, 2), "[batch, length, 2]"),
        (lambda n: (1, 6, n), "[batch, 1, 6, length]"),
        (lambda n: (2, n, 3, 5), "[batch, 2, length, 3, 5]"),
    ],
)
@pytest.mark.parametrize("lengths", [(7, 9, 5, 7), (7, 7, 7, 5)])
def test_the_axis_that_differs_is_learned_from_the_rows(tmp_path, shape, spec, lengths):
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=shape(n)).astype(np.float32) for n in lengths]
    store = write_store(open_samples([(row, 0) for row in rows]), tmp_path / "s", limit=9, seed=0)
    assert str(store.inputs[0]) == f"input: float32{spec}"
    for batch, row in zip(store.batches(1), rows, strict=True):
        assert (batch["input"] == row[None]).all()
    both = store.rows(np.array([0, 3]))["input"]
    assert both.shape == (2, *shape(7))
    assert np.isclose(both[1].sum(), rows[3].sum(), atol=1e-4)  # what is filled up is 0


def test_what_a_draw_left_out_makes_no_axis_dynamic(tmp_path):
    def signals():
        for i in range(12):
            yield np.full((2, 4 if i else 9), i, np.float32), 0

    kept = write_store(open_samples(signals), tmp_path / "s", limit=3, seed=0)
    assert str(kept.inputs[0]) == "input: float32[batch, 2, 4]"
    assert (kept.rows(np.arange(3))["input"].reshape(3, 8).std(axis=1) == 0).all()


def test_of_several_declared_symbols_one_may_differ(tmp_path):
    expect = (TensorSpec("x", "float32", ("batch", 3, "height", "width")),)

    def stored(name, *shapes):
        elements = [(np.ones(shape, np.float32), 0) for shape in shapes]
        reader = open_samples(elements, expect=expect)
        return str(write_store(reader, tmp_path / name, limit=9, seed=0).inputs[0])

    assert stored("a", (3, 8, 8), (3, 8, 8)) == "x: float32[batch, 3, 8, 8]"
    assert stored("b", (3, 8, 8), (3, 8, 6)) == "x: float32[batch, 3, 8, width]"
    with pytest.raises(SamplesError, match=r"shape \[3, 6, 6\] .* may differ in one axis"):
        stored("c", (3, 8, 8), (3, 6, 6))


def test_only_lengths_that_are_always_equal_share_a_symbol(tmp_path):
    def elements():
        for n in (3, 5, 4):
            yield {"a": np.ones((2, n)), "mask": np.ones(n), "b": np.ones((2, 9 - n))}, 0

    store = write_store(open_samples(elements), tmp_path / "s", limit=9, seed=0)
    assert [spec.shape[-1] for spec in store.inputs] == ["length", "length", "length_2"]


def test_equal_sequences_are_stacked(tmp_path):
    store = write_store(
        open_samples([(np.ones(7, np.float32), 0)] * 3), tmp_path / "s", limit=9, seed=0
    )
    assert str(store.inputs[0]) == "input: float32[batch, 7]"


def test_token_pads_come_from_the_transform(tmp_path, words):
    transform = msgspec.structs.replace(words, pad_id=1)
    store = write_store(
        open_samples([["a", "a b c"]], transform=transform), tmp_path / "s", limit=9, seed=0
    )
    batch = next(store.batches(2))
    encoded = transform.encoder().encode(["a", "a b c"])
    assert all((batch[name] == encoded[name]).all() for name in encoded)
    assert store.transform == transform


def test_pairs_have_two_rows_and_one_label(tmp_path, words):
    reader = open_samples([(("a", "b c"), 0.5), (("d", "e"), 1.5)], transform=words)
    store = write_store(reader, tmp_path / "s", limit=9, seed=0)
    assert (len(store), store.samples, store.rows_per_sample) == (4, 2, 2)
    assert store.labels.tolist() == [0.5, 1.5]
    view = store.subset(np.array([1]), tmp_path / "v.npy")
    assert (len(view), view.samples, view.labels.tolist()) == (2, 1, [1.5])
    assert view.rows(np.array([0, 1]))["input_ids"].tolist() == [[2, 7, 3], [2, 8, 3]]


def test_views_of_views_and_references(store, tmp_path):
    view = store.subset(np.array([9, 3, 4]), tmp_path / "v.npy")
    inner = view.subset(np.array([2, 0]), tmp_path / "w.npy")
    again = open_ref(msgspec.json.decode(msgspec.json.encode(inner.ref()), type=type(inner.ref())))
    assert again.samples == 2
    assert next(again.batches(9))["x"][:, 0].tolist() == [12, 27]
    assert again.labels.tolist() == [0, 1]
    assert open_ref(store.ref()).samples == 20
    with pytest.raises(SamplesError, match="outside 0-2"):
        view.subset(np.array([3]), tmp_path / "u.npy")
    with pytest.raises(SamplesError, match="outside 0-19"):
        store.rows(np.array([20]))


def test_groups_find_copies(tmp_path):
    x = np.array([[1], [2], [1], [3], [2], [1]], np.float32)
    groups = write_store(open_samples({"x": x}), tmp_path / "s", limit=9, seed=0).groups
    assert groups[0] == groups[2] == groups[5]
    assert groups[1] == groups[4]
    assert len(set(groups.tolist())) == 3


def test_over_the_limit_a_seeded_draw_is_kept(tmp_path):
    def draw(name, seed):
        return write_store(
            open_samples({"x": np.arange(1000.0)[:, None]}), tmp_path / name, limit=100, seed=seed
        )

    a, b, c = (
        next(draw(name, seed).batches(200))["x"][:, 0]
        for name, seed in [("a", 1), ("b", 1), ("c", 2)]
    )
    assert a.size == 100
    assert (a == b).all()
    assert not (a == c).all()
    assert (np.diff(a) > 0).all()
    assert "Of 1,000 samples 100 were drawn" in SampleStore.open(tmp_path / "a").notes[-1].reason


@pytest.mark.parametrize("ragged", [False, True])
def test_unknown_length_goes_through_a_reservoir(tmp_path, ragged):
    def endless():
        for i in itertools.count():
            yield np.full(1 + (i % 5 if ragged else 0), i, np.int64), i % 3

    store = write_store(open_samples(endless), tmp_path / "s", limit=500, seed=3)
    kept = np.array([batch["input"][0, 0] for batch in store.batches(1)])
    assert store.samples == 500
    assert (np.diff(kept) > 0).all()
    assert (store.labels == kept % 3).all()
    if ragged:
        assert [b["input"].shape[1] for b in store.batches(1)] == [1 + v % 5 for v in kept]
    # A uniform draw from 0-1999 has mean 999.5 with standard error 22.4.
    assert abs(kept.mean() - 999.5) < 4 * 22.4
    assert "first 2,000 samples, where reading stopped," in store.notes[-1].reason
    assert (store.path / "input-0.npy").stat().st_size == 256 + 8 * sum(
        1 + (v % 5 if ragged else 0) for v in kept
    )


def test_a_short_generator_is_kept_whole(tmp_path):
    store = write_store(open_samples([(np.ones(2), 1)] * 7), tmp_path / "s", limit=7, seed=0)
    assert store.samples == 7
    assert all("drawn" not in note.reason for note in store.notes)


@pytest.mark.parametrize(
    ("elements", "sentence"),
    [
        ([(np.array([1.0, np.nan]), 0)], "sample 0 holds NaN in 'input'"),
        ([(np.ones(2), 0), (np.array([1.0, np.inf]), 0)], "sample 1 holds an infinite value"),
        ([(np.array([1e300]), 0)], "an infinite value"),  # beyond float32
        ([(np.ones(2), 0), (np.ones((2, 2)), 0)], r"sample 1 gives shape \[2, 2\]"),
        ([(np.ones((3, 4, 4)), 0), (np.ones((1, 4, 4)), 0)], r"sample 1 gives shape \[1, 4, 4\]"),
        ([(np.ones((3, 4)), 0), (np.ones((2, 5)), 0)], r"shape \[2, 5\].* may differ in one axis"),
        (
            [(np.ones((3, 4)), 0), (np.ones((3, 5)), 0), (np.ones((2, 4)), 0)],
            r"sample 2 gives shape \[2, 4\] .* before it \[3, 4\]. Samples may differ in one axis",
        ),
        ([(np.ones(2), 0), (np.ones(0), 0)], r"shape \[0\].* holds nothing"),
        ([(np.ones(2), 0), (np.ones(2), -1)], "label of sample 1 is -1"),
        (
            [(np.ones(2), 0), (np.ones(2), 0.5)],
            "label of sample 1 is 0.5, but those before it are class",
        ),
        ([(np.ones(2), 0.5), (np.ones(2), float("nan"))], "label of sample 1 is nan"),
        ([{"x": np.ones((1, 2)), "y": [1]}, {"x": np.ones((1, 2))}], "sample 1 has no label"),
        ([{"x": np.ones((1, 2))}, {"x": np.ones((1, 2)), "y": [1]}], "sample 1 has a label"),
    ],
)
def test_bad_samples_are_named_and_nothing_is_left(tmp_path, elements, sentence):
    with pytest.raises(SamplesError, match=sentence):
        write_store(open_samples(elements), tmp_path / "s", limit=10, seed=0)
    assert list(tmp_path.iterdir()) == []


def test_whole_numbers_among_scores_are_scores(tmp_path):
    store = write_store(
        open_samples([(np.ones(2), 0.5), (np.ones(2), 4)]), tmp_path / "s", limit=10, seed=0
    )
    assert store.labels.tolist() == [0.5, 4.0]


def test_labels_out_of_range(store):
    store.check_labels(4)
    with pytest.raises(
        SamplesError, match=r"5 of 20 labels .* largest is 3, the network has 3 classes \(0-2\)"
    ):
        store.check_labels(3)


def test_existing_folders_are_not_overwritten(store, tmp_path):
    with pytest.raises(StorageError, match="exists already"):
        write_store(open_samples({"x": np.ones((2, 2))}), tmp_path / "s", limit=10, seed=0)
    assert SampleStore.open(store.path).samples == 20


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(StorageError, match=r"can't be written .* Free some space"):
            write_store(
                open_samples({"x": np.ones((3000, 1000), np.float32)}),
                tmp_path / "s",
                limit=3000,
                seed=0,
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_generator_far_larger_than_memory_allowed(tmp_path):
    def pictures():
        rng = np.random.default_rng(0)
        for i in range(600):
            yield rng.integers(0, 256, (224, 224, 3), dtype=np.uint8), i % 10

    tracemalloc.start()
    try:
        store = write_store(open_samples(pictures), tmp_path / "s", limit=1000, seed=0)
        for _ in store.batches(8):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert store.samples == 600  # 90 MB of pictures
    assert peak < 8 << 20


def test_a_compressed_npz_is_never_inflated_whole(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros((64, 1 << 18), np.float32), y=np.arange(64))
    tracemalloc.start()
    try:
        store = write_store(open_samples(tmp_path / "x.npz"), tmp_path / "s", limit=4, seed=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert store.samples == 4
    assert peak < 16 << 20  # of 64 MB


PROGRAM = """
import resource, sys
from pathlib import Path
from whet.data.readers import open_samples
from whet.data.store import write_store
from whet.data.transform import ImageTransform
t = ImageTransform(size=(224, 224), resize_short=256, mean=(0.5,) * 3, std=(0.5,) * 3, reducing_gap=0.0)
s = write_store(open_samples(Path(sys.argv[1]), transform=t), Path(sys.argv[2]), limit=10**6, seed=0)
for batch in s.batches(4): pass
print(s.samples, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_folder(tmp_path, picture):
    blob = picture(1000, 800)  # 2.4 MB decoded
    peaks = {}
    for count in (16, 160):
        folder = tmp_path / str(count)
        folder.mkdir()
        for i in range(count):
            (folder / f"{i:04}.jpg").write_bytes(blob)
        out = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(folder), str(tmp_path / f"s{count}")],
            check=True, capture_output=True, text=True,
        ).stdout.split()  # fmt: skip
        assert int(out[0]) == count
        peaks[count] = int(out[1]) / 1024
    assert peaks[160] - peaks[16] < 30  # MB; decoded the pictures are 350 MB more


def test_damage_is_noticed(store):
    for name, change in [
        ("input-0.npy", lambda b: b[:-4]),
        ("input-0.npy", lambda b: b"x" + b[1:]),
        ("labels.npy", lambda b: b[:-8]),
        ("store.json", lambda b: b[:-1]),
        ("store.json", lambda b: b.replace(b'"version":1', b'"version":2')),
        ("store.json", lambda b: b.replace(b"input-0.npy", b"../x/input.npy")),
        ("store.json", lambda b: b.replace(b'"samples":20', b'"samples":21')),
    ]:
        whole = (store.path / name).read_bytes()
        (store.path / name).write_bytes(change(whole))
        with pytest.raises(SamplesError, match="damaged"):
            SampleStore.open(store.path)
        (store.path / name).write_bytes(whole)
    (store.path / "input-0.npy").write_bytes(b"")
    with pytest.raises(SamplesError, match="ends early"):
        store.rows(np.array([3]))
    with pytest.raises(SamplesError, match="missing or damaged"):
        SampleStore.open(store.path / "none")


def test_reading_can_be_given_up_and_leaves_nothing(tmp_path):
    seen = []

    def stop() -> None:
        seen.append(1)
        if len(seen) == 3:
            raise EOFError

    with pytest.raises(EOFError):
        write_store(
            open_samples({"x": np.ones((9, 2), np.float32)}),
            tmp_path / "s",
            limit=9,
            seed=0,
            on_sample=stop,
        )
    assert len(seen) == 3
    assert list(tmp_path.iterdir()) == []


def test_samples_that_are_among_others_are_told_apart(tmp_path):
    here = write_store(
        open_samples({"x": np.arange(6.0)[:, None]}), tmp_path / "a", limit=9, seed=0
    )
    there = write_store(
        open_samples({"x": np.array([[9.0], [2.0], [7.0], [5.0]])}), tmp_path / "b", limit=9, seed=0
    )
    assert there.apart_from(here).tolist() == [0, 2]
    part = here.subset(np.array([0, 1, 5]), tmp_path / "part.npy")
    assert there.apart_from(part).tolist() == [0, 1, 2]
