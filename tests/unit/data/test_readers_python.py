from __future__ import annotations

import sys

import numpy as np
import pytest

from whet.core.spec import TensorSpec
from whet.data.readers import open_samples
from whet.errors import SamplesError

SOURCE = """
import numpy as np
from neighbour import WIDTH

def batches():
    for i in range(3):
        yield {"x": np.full((2, WIDTH), i, np.float32), "labels": np.array([i, i])}

def pairs():
    return [(np.full(4, i, np.float32), i) for i in range(3)]

def whole():
    return {"x": np.zeros((5, 2), np.float32)}

def breaks():
    yield np.zeros((1, 2), np.float32)
    raise RuntimeError("the disk was eaten")

def breaks_at_once():
    raise RuntimeError("no disk")

def number():
    return 3
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "neighbour.py").write_text("WIDTH = 4\n")
    (tmp_path / "mine.py").write_text(SOURCE)
    yield tmp_path / "mine.py"
    sys.modules.pop("neighbour", None)


def test_batches_become_samples_and_sys_path_is_left_alone(file):
    before = list(sys.path)
    reader = open_samples(f"{file}:batches")
    assert sys.path == before
    for _ in range(2):  # a function can be read again
        got = list(reader.read())
        assert [s.label for s in got] == [0, 0, 1, 1, 2, 2]
        assert [s.rows[0]["x"][0] for s in got] == [0, 0, 1, 1, 2, 2]
    assert reader.count is None
    assert str(reader.inputs[0]) == "x: float32[batch, 4]"


def test_samples_with_single_labels(file):
    got = list(open_samples(f"{file}:pairs").read())
    assert [s.label for s in got] == [0, 1, 2]
    assert got[2].rows[0]["input"].tolist() == [2, 2, 2, 2]


def test_a_function_may_return_whole_arrays(file):
    assert open_samples(f"{file}:whole").count == 5


def test_module_by_name(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    assert len(list(open_samples("mine:batches").read())) == 6


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("breaks", r"raised RuntimeError after 1 element.s.: the disk was eaten"),
        ("breaks_at_once", "raised RuntimeError: no disk"),
        ("number", "int, from which no samples"),
        ("nothing", "has no function 'nothing'"),
    ],
)
def test_functions_that_fail(file, name, sentence):
    with pytest.raises(SamplesError, match=sentence):
        list(open_samples(f"{file}:{name}").read())


def test_an_exit_is_an_error_that_names_the_function(tmp_path):
    """It would end the program, with a status of 0 where none is given."""
    file = tmp_path / "ends.py"
    file.write_text(
        "import sys, numpy as np\n"
        "def now(): sys.exit()\n"
        "def later():\n"
        "    yield np.zeros((1, 3), np.float32)\n"
        "    sys.exit(3)\n"
    )
    with pytest.raises(SamplesError, match=r"ends.py:now called sys.exit\(\)"):
        open_samples(f"{file}:now")
    with pytest.raises(SamplesError, match=r"later called sys.exit\(3\) after 1 element"):
        list(open_samples(f"{file}:later").read())
    (tmp_path / "script.py").write_text("raise SystemExit('only as a script')\n")
    with pytest.raises(SamplesError, match=r"script.py called sys.exit\('only as a script'\)"):
        open_samples(f"{tmp_path / 'script.py'}:f")


def test_imports_that_fail(tmp_path):
    (tmp_path / "bad.py").write_text("import not_there_at_all\n")
    with pytest.raises(SamplesError, match="raised ModuleNotFoundError"):
        open_samples(f"{tmp_path / 'bad.py'}:f")
    with pytest.raises(SamplesError, match="There is no file"):
        open_samples(f"{tmp_path / 'none.py'}:f")
    with pytest.raises(SamplesError, match="There is no module 'not_there_at_all'"):
        open_samples("not_there_at_all:f")


def test_what_is_a_batch():
    def rows(elements, **options):
        return [s.rows[0]["input"].shape for s in open_samples(elements, **options).read()]

    x = np.zeros((2, 3), np.float32)
    assert rows([x]) == [(3,), (3,)]  # unlabelled: a batch
    assert rows([(x, 1)]) == [(2, 3)]  # one label: a sample
    assert rows([[x, np.array([0, 1])]]) == [(3,), (3,)]  # as a data loader gives it
    expect = (TensorSpec("input", "float32", ("batch", 2, 3)),)
    assert rows([x], expect=expect) == [(2, 3)]  # the network decides
    assert rows([x[None]], expect=expect) == [(2, 3)]


def frames(*lengths, width=20):
    return [{"frames": np.full((n, width), n, np.float32)} for n in lengths]


@pytest.mark.parametrize(
    "lengths", [(30, 41, 25), (30, 12, 25), (30, 30, 30, 17, 30), (30, 41), (*[8] * 15, 9)]
)
def test_unlabelled_sequences_of_several_lengths_are_samples(lengths):
    reader = open_samples(iter(frames(*lengths)))
    got = list(reader.read())
    assert [s.rows[0]["frames"].shape for s in got] == [(n, 20) for n in lengths]
    assert [s.rows[0]["frames"][0, 0] for s in got] == list(lengths), "in their order, each once"
    (note,) = reader.notes
    assert f"of lengths {lengths[0]} and " in note.reason
    assert "one sample each" in note.reason


def test_signals_without_a_name_may_be_samples_too():
    got = list(open_samples([np.zeros(n, np.float32) for n in (5, 9, 4)]).read())
    assert [s.rows[0]["input"].shape for s in got] == [(5,), (9,), (4,)]


@pytest.mark.parametrize("lengths", [(4, 4, 3), (4, 2), (4,), (4, 4), (*[4] * 16, 5)])
def test_batches_of_one_size_and_a_last_smaller_one_stay_batches(lengths):
    reader = open_samples(frames(*lengths))
    got = list(reader.read())
    assert [s.rows[0]["frames"].shape for s in got] == [(20,)] * sum(lengths)
    assert reader.notes == ()


def test_arrays_that_differ_in_other_axes_stay_batches():
    elements = [np.zeros((2, 3), np.float32), np.zeros((4, 5), np.float32)]
    got = list(open_samples(elements).read())
    assert [s.rows[0]["input"].shape for s in got] == [(3,)] * 2 + [(5,)] * 4


def test_no_more_is_looked_at_than_tells():
    asked = []

    def make():
        for n in (8, 9, 7, 6):
            asked.append(n)
            yield np.zeros((n, 3), np.float32)

    open_samples(make())
    assert asked == [8, 9]
    asked.clear()
    # A label, or what the network takes, tells by itself.
    open_samples((x, 1) for x in make())
    assert asked == [8]
    asked.clear()
    open_samples(make(), expect=(TensorSpec("input", "float32", ("batch", "time", 3)),))
    assert asked == [8]


def test_the_rank_of_a_single_input_tells_whatever_the_array_is_called():
    expect = (TensorSpec("frames", "float32", ("batch", "time", 20)),)
    got = list(open_samples([{"x": np.zeros((7, 20), np.float32)}], expect=expect).read())
    assert [row.shape for s in got for row in s.rows[0].values()] == [(7, 20)]


def test_an_error_is_not_lost_by_looking_ahead():
    def make():
        yield np.zeros((4, 3), np.float32)
        yield np.zeros((4, 3), np.float32)
        raise RuntimeError("the disk was eaten")

    with pytest.raises(SamplesError, match=r"after 2 element.s.: the disk was eaten"):
        list(open_samples(make()).read())


def test_generators_are_read_once():
    reader = open_samples(iter([np.zeros((2, 3), np.float32)]))
    assert len(list(reader.read())) == 2
    with pytest.raises(SamplesError, match="only once"):
        list(reader.read())


def test_texts_and_pictures_from_python(words, small, picture):
    reader = open_samples([["a", "b c"], ["d"]], transform=words)
    assert [s.rows[0]["input_ids"].size for s in reader.read()] == [3, 4, 3]
    reader = open_samples([(("a", "b"), 1.5), (("c", "d"), 2.5)], transform=words)
    assert reader.rows_per_sample == 2
    assert [s.label for s in reader.read()] == [1.5, 2.5]
    reader = open_samples([(picture(), 3), (picture(50, 40), 4)], transform=small)
    assert [(s.label, s.rows[0]["input"].shape) for s in reader.read()] == [
        (3, (32, 32, 3)),
        (4, (32, 32, 3)),
    ]
    reader = open_samples(
        [np.zeros((2, 40, 40, 3), np.uint8), np.zeros((36, 36, 3), np.uint8)], transform=small
    )
    assert [s.rows[0]["input"].shape for s in reader.read()] == [(32, 32, 3)] * 3


def test_tensors_of_torch_without_importing_it_here():
    torch = pytest.importorskip("torch")
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.ones(5, 2), torch.arange(5)), batch_size=2
    )
    got = list(open_samples(loader).read())
    assert [s.label for s in got] == [0, 1, 2, 3, 4]
    assert got[4].rows[0]["input"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("elements", "sentence"),
    [
        ([], "yields nothing"),
        ([np.zeros((0, 3))], "first batch of .* is empty"),
        ([{"x": np.zeros((2, 3)), "m": np.zeros((3, 3))}], "differ in length"),
        ([(np.zeros((2, 3)), np.arange(3))], "2 samples but 3 labels"),
        ([np.zeros((1, 3), np.float32), np.zeros((1, 3), np.int64)], "'sample 1'.*dtype is int64"),
        ([{"x": np.zeros((1, 3))}, {"z": np.zeros((1, 3))}], r"has \['z'\]"),
        ([object()], "object"),
        ([5, 5], r"element 0 is no sample: it is 5, one number.* \(inputs, label\)"),
        ([{"x": np.zeros(3), "n": 5}], "element 0 is no sample: n is 5, one number"),
        ([[[1, 2], [3]]], "can't be read as arrays"),
    ],
)
def test_elements_that_cannot_be_read(elements, sentence):
    with pytest.raises(SamplesError, match=sentence):
        list(open_samples(elements).read())
