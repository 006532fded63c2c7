"""From a network and a store to the graph that a search starts from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from whet.core.spec import Arrays, TensorSpec
from whet.data.readers import open_samples
from whet.data.store import write_store
from whet.data.transform import ImageTransform
from whet.errors import ExportError, NetworkError, SamplesError
from whet.optimize.front import export_front
from whet.optimize.graph.runs import run_graph
from whet.optimize.intake import load_network
from whet.testing.small_graphs import plain

PICTURES = ImageTransform(size=(8, 8), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))


@dataclass(frozen=True)
class Rows:
    """A store in memory."""

    inputs: tuple[TensorSpec, ...]
    arrays: Arrays

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def rows(self, indices: NDArray[np.integer]) -> Arrays:
        return {name: array[indices] for name, array in self.arrays.items()}

    def batches(self, size: int, limit: int | None = None) -> Iterator[Arrays]:
        for start in range(0, min(len(self), limit or len(self)), size):
            yield self.rows(np.arange(start, min(start + size, len(self))))


@dataclass(frozen=True)
class Ragged:
    """Token rows of different lengths, padded where they come together."""

    inputs: tuple[TensorSpec, ...]
    lengths: dict[str, list[int]]

    def __len__(self) -> int:
        return len(next(iter(self.lengths.values())))

    def rows(self, indices: NDArray[np.integer]) -> Arrays:
        found: Arrays = {}
        for name, lengths in self.lengths.items():
            array = np.zeros((len(indices), max(lengths[i] for i in indices)), np.int64)
            for row, place in enumerate(indices):
                array[row, : lengths[place]] = 1 + (np.arange(lengths[place]) + place) % 9
            found[name] = array
        return found

    def batches(self, size: int, limit: int | None = None) -> Iterator[Arrays]:
        for start in range(0, min(len(self), limit or len(self)), size):
            yield self.rows(np.arange(start, min(start + size, len(self))))


class Towers(nn.Module):
    """Two texts, each pooled by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 6)

    def forward(self, src: torch.Tensor, tgt: torch.Tensor) -> torch.Tensor:
        return self.embedding(src).mean(1) * self.embedding(tgt).mean(1)


def test_two_lengths_that_differ_in_the_samples_are_two_symbols(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Towers().eval()
    specs = tuple(TensorSpec(name, "int64", ("batch", "length")) for name in ("src", "tgt"))
    store = Ragged(specs, {"src": [3, 5, 4, 9, 5, 5], "tgt": [2, 2, 7, 3, 4, 2]})
    front = export_front(load_network(module), store, None, tmp_path, seed=1)
    assert [str(spec) for spec in front.graph.signature.inputs] == [
        "src: int64[batch, sequence]",
        "tgt: int64[batch, sequence_2]",
    ]
    assert front.facts.sizes == {"batch": 1, "sequence": 5, "sequence_2": 2}
    for row in store.batches(1):
        with torch.inference_mode():
            want = module(*(torch.from_numpy(row[name]) for name in ("src", "tgt"))).numpy()
        np.testing.assert_allclose(run_graph(front.graph, row)["output"], want, atol=1e-5)


def test_lengths_that_agree_in_all_samples_are_one_symbol(tmp_path: Path) -> None:
    specs = tuple(TensorSpec(name, "int64", ("batch", "length")) for name in ("src", "tgt"))
    store = Ragged(specs, {"src": [3, 5, 4, 9], "tgt": [3, 5, 4, 9]})
    front = export_front(load_network(Towers().eval()), store, None, tmp_path, seed=1)
    assert {spec.shape for spec in front.graph.signature.inputs} == {("batch", "sequence")}


def pictures() -> Rows:
    raw = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    return Rows((PICTURES.raw_spec(),), {"input": raw})


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.conv(image).relu().mean((2, 3)))


def test_a_torch_network_takes_raw_pictures_everywhere(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Small().eval()
    store = pictures()
    front = export_front(load_network(module), store, PICTURES, tmp_path, seed=1)
    assert front.graph.signature.inputs == (PICTURES.raw_spec(),)
    with torch.inference_mode():
        want = module(torch.from_numpy(PICTURES.arithmetic(store.arrays["input"]))).numpy()
    np.testing.assert_allclose(run_graph(front.graph, store.arrays)["output"], want, atol=1e-5)
    assert front.program is not None
    assert front.program.signature == front.graph.signature
    program = torch.export.load(front.program.path).module(check_guards=False)
    with torch.inference_mode():
        got = program(torch.from_numpy(store.arrays["input"])).numpy()
    np.testing.assert_allclose(got, want, atol=1e-5)
    assert front.facts.macs == 64 * 4 * 27 + 4 * 2
    assert front.kind == "cnn"


def test_an_onnx_network_takes_raw_pictures_too(tmp_path: Path) -> None:
    graph = plain(tmp_path)
    store = pictures()
    front = export_front(load_network(graph.file), store, PICTURES, tmp_path / "out", seed=1)
    assert front.program is None
    assert front.graph.signature.inputs == (PICTURES.raw_spec(),)
    want = run_graph(graph, {"input": PICTURES.arithmetic(store.arrays["input"])})["logits"]
    np.testing.assert_allclose(run_graph(front.graph, store.arrays)["logits"], want, atol=1e-5)


def test_without_a_transform_the_store_is_what_the_network_takes(tmp_path: Path) -> None:
    graph = plain(tmp_path)
    spec = TensorSpec("input", "float32", ("batch", 3, 8, 8))
    store = Rows((spec,), {"input": np.random.default_rng(0).random((3, 3, 8, 8), np.float32)})
    front = export_front(load_network(graph.file), store, None, tmp_path / "out", seed=1)
    assert front.graph.signature.inputs == (spec,)


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (msgspec.structs.replace(PICTURES, size=(9, 8)), "The network takes input: float32"),
        (
            msgspec.structs.replace(PICTURES, channels="L", mean=(0.5,), std=(0.5,)),
            "the transform gives",
        ),
        (msgspec.structs.replace(PICTURES, layout="NHWC"), "Set size, layout and channels"),
    ],
)
def test_a_transform_that_does_not_fit_is_refused_first(
    tmp_path: Path, transform: ImageTransform, message: str
) -> None:
    network = load_network(plain(tmp_path).file)
    with pytest.raises(NetworkError, match=message):
        export_front(network, pictures(), transform, tmp_path / "out", seed=1)


def test_a_network_for_grey_pictures_says_how_to_give_them(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    with pytest.raises(SamplesError, match="grey pictures: give --channels L"):
        export_front(load_network(module), pictures(), PICTURES, tmp_path, seed=1)


def test_pictures_fill_only_one_input(tmp_path: Path) -> None:
    network = load_network(nn.Bilinear(3, 3, 2).eval())
    with pytest.raises(NetworkError, match="takes input1, input2; pictures fill only one"):
        export_front(network, pictures(), PICTURES, tmp_path, seed=1)


class Stepwise(nn.Module):
    """A loop in Python, which becomes as many operators as the example has steps."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(2, 3)

    def forward(self, sequence: torch.Tensor) -> torch.Tensor:
        state = sequence.new_zeros(sequence.shape[0], 3)
        for step in sequence.unbind(1):
            state = self.cell(step, state)
        return state


@dataclass(frozen=True)
class Lengths(Rows):
    """Each row is cut to a length of its own."""

    def batches(self, size: int, limit: int | None = None) -> Iterator[Arrays]:
        for number, batch in enumerate(Rows.batches(self, size, limit)):
            yield {name: array[:, : 3 + number % 3] for name, array in batch.items()}


def test_an_axis_that_can_only_be_fixed_is_refused_where_the_samples_vary(tmp_path: Path) -> None:
    spec = TensorSpec("sequence", "float32", ("batch", "length", 2))
    arrays = {"sequence": np.random.default_rng(0).random((6, 5, 2), np.float32)}
    network = load_network(Stepwise().eval())
    message = "Axis 1 of 'sequence' can't be dynamic .* sizes 3 to 5 in the samples"
    with pytest.raises(ExportError, match=message):
        export_front(network, Lengths((spec,), arrays), None, tmp_path, seed=1)
    front = export_front(network, Rows((spec,), arrays), None, tmp_path / "equal", seed=1)
    assert front.graph.signature.inputs[0].shape == ("batch", 5, 2)


class Signals(nn.Module):
    """Any length that its first kernel covers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(2, 4, 30, stride=4)
        self.head = nn.Linear(4, 3)

    def forward(self, wave: torch.Tensor) -> torch.Tensor:
        return self.head(self.first(wave).relu().mean(2))


def test_signals_with_channels_first_may_differ_in_length(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    waves = [generator.normal(size=(2, n)).astype(np.float32) for n in (40, 47, 33, 58, 40)]
    reader = open_samples([(wave, 0) for wave in waves])
    store = write_store(reader, tmp_path / "store", limit=9, seed=0)
    torch.manual_seed(0)
    module = Signals().eval()
    # Half of these lengths is less than the kernel: the export must not be tried there.
    front = export_front(load_network(module), store, None, tmp_path / "out", seed=1)
    assert front.graph.signature.inputs[0].shape == ("batch", 2, "length")
    for wave in waves:
        with torch.inference_mode():
            want = module(torch.from_numpy(wave[None])).numpy()
        got = run_graph(front.graph, {"input": wave[None]})["output"]
        np.testing.assert_allclose(got, want, atol=1e-5)
