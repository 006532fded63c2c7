"""Recurrent networks take sequences of any length; torch's own layers are the oracle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from whet.core.artifact import Artifact
from whet.core.settings import Settings
from whet.core.spec import TensorSpec
from whet.errors import EngineError
from whet.optimize.export import Exported, export
from whet.optimize.graph.io import read_onnx
from whet.optimize.intake import load_network
from whet.optimize.recurrent import any_length
from whet.runtimes.base import Runtime
from whet.runtimes.inductor import InductorRuntime
from whet.runtimes.ort import OrtRuntime
from whet.runtimes.ov import OpenVinoRuntime
from whet.runtimes.torch_eager import TorchRuntime

WIDTH, HIDDEN = 3, 5
VARIED = (TensorSpec("sequence", "float32", ("batch", "length", WIDTH)),)
EQUAL = (TensorSpec("sequence", "float32", ("batch", 6, WIDTH)),)
# Neither of them is a size that the tracer or the export's own check has seen.
SIZES = ((1, 1), (1, 9), (2, 6), (5, 17), (7, 2))


def numbers(rows: int, length: int) -> NDArray[np.float32]:
    return np.random.default_rng(rows * 100 + length).standard_normal(
        (rows, length, WIDTH), np.float32
    )


class Recurrent(nn.Module):
    """A layer of torch's, with answers at each step and its last state as outputs."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, sequence: torch.Tensor) -> dict[str, torch.Tensor]:
        given = sequence if self.layer.batch_first else sequence.transpose(0, 1)
        steps, state = self.layer(given)
        last = state[0] if isinstance(state, tuple) else state
        ordered = steps if self.layer.batch_first else steps.transpose(0, 1)
        return {"steps": torch.tanh(ordered), "last": last.transpose(0, 1)}


def exported(module: nn.Module, inputs: tuple[TensorSpec, ...], folder: Path) -> Exported:
    return export(load_network(module), inputs, {"sequence": numbers(4, 6)}, folder)


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "lstm": lambda: nn.LSTM(WIDTH, HIDDEN, batch_first=True),
    "lstm, both ways": lambda: nn.LSTM(WIDTH, HIDDEN, 2, batch_first=True, bidirectional=True),
    "lstm, steps first": lambda: nn.LSTM(WIDTH, HIDDEN, 2, bias=False, dropout=0.5),
    "gru": lambda: nn.GRU(WIDTH, HIDDEN, 2, batch_first=True, bias=False),
    "gru, both ways": lambda: nn.GRU(WIDTH, HIDDEN, batch_first=True, bidirectional=True),
}


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_any_batch_and_length_on_every_runtime(
    tmp_path: Path, layer: Callable[[], nn.Module]
) -> None:
    torch.manual_seed(0)
    module = Recurrent(layer()).eval()
    made = exported(module, VARIED, tmp_path)
    assert made.program is not None
    assert made.notes == ()
    assert made.graph.signature.inputs[0].shape == ("batch", "length", WIDTH)
    kinds = [node.op_type for node in read_onnx(made.graph).graph.node]
    assert kinds.count(type(module.layer).__name__) == module.layer.num_layers
    runtimes: tuple[tuple[Runtime, Artifact], ...] = (
        (OrtRuntime(), made.graph),
        (OpenVinoRuntime(), made.graph),
        (TorchRuntime(), made.program),
    )
    for runtime, artifact in runtimes:
        folder = tmp_path / runtime.name
        folder.mkdir()
        engine = runtime.compile(artifact, Settings(), folder)
        with runtime.open(engine, artifact, Settings()) as session:
            for rows, length in SIZES:
                given = numbers(rows, length)
                with torch.inference_mode():
                    want = module(torch.from_numpy(given))
                got = session.run({"sequence": given})
                for name, answer in want.items():
                    np.testing.assert_allclose(got[name], answer.numpy(), atol=1e-5)


def test_inductor_refuses_to_unroll_what_takes_any_length(tmp_path: Path) -> None:
    module = Recurrent(nn.GRU(WIDTH, HIDDEN, batch_first=True)).eval()
    program = exported(module, VARIED, tmp_path).program
    assert program is not None
    # torch 2.13 compiles it, to an engine that reads beyond shorter inputs.
    with pytest.raises(EngineError, match="unrolls the layer 'gru' to one length"):
        InductorRuntime().compile(program, Settings(), tmp_path)


def test_the_first_state_may_be_given(tmp_path: Path) -> None:
    class Told(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.GRU(WIDTH, HIDDEN, batch_first=True)
            self.begin = nn.Linear(WIDTH, HIDDEN)

        def forward(self, sequence: torch.Tensor) -> torch.Tensor:
            return self.layer(sequence, self.begin(sequence[:, 0])[None])[0][:, -1]

    torch.manual_seed(0)
    module = Told().eval()
    made = exported(module, VARIED, tmp_path)
    with OrtRuntime().open(made.graph.file, made.graph, Settings()) as session:
        given = numbers(3, 11)
        with torch.inference_mode():
            want = module(torch.from_numpy(given)).numpy()
        np.testing.assert_allclose(session.run({"sequence": given})["output"], want, atol=1e-5)


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU])
def test_samples_of_one_length_fix_it_and_that_is_said(
    tmp_path: Path, layer: type[nn.Module]
) -> None:
    module = Recurrent(layer(WIDTH, HIDDEN, batch_first=True)).eval()
    made = exported(module, EQUAL, tmp_path)
    assert made.graph.signature.inputs[0].shape == ("batch", 6, WIDTH)
    (note,) = made.notes
    assert "sequences of length 6" in note.reason
    assert "several lengths" in note.reason


def test_a_layer_that_has_to_be_unrolled_says_so(tmp_path: Path) -> None:
    module = Recurrent(nn.RNN(WIDTH, HIDDEN, batch_first=True)).eval()
    made = exported(module, VARIED, tmp_path)
    assert made.graph.signature.inputs[0].shape == ("batch", 6, WIDTH)
    assert made.graph.signature.outputs[0].shape == ("batch", 6, HIDDEN)
    assert [note.reason for note in made.notes] == [
        "The axis 'length' can't be dynamic in this network; its size is fixed."
    ]


def test_torch_is_as_before_afterwards() -> None:
    operators = (torch.ops.aten.lstm.input, torch.ops.aten.gru.input)
    tables = torch._decomp.global_decomposition_table["post_autograd"]
    before = [(dict(op.py_kernels), tables.get(op)) for op in operators]

    def interrupted() -> None:
        with any_length():
            assert [(dict(op.py_kernels), tables.get(op)) for op in operators] != before
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [(dict(op.py_kernels), tables.get(op)) for op in operators] == before
    assert not any(op._dispatch_cache for op in operators)
