"""Networks that learn in 8 bits, with the original's answers and the runtimes as oracle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import numpy_helper
from surgery_nets import Bottlenecks, context, encoder_net, pictures, residual_net, texts
from surgery_nets import under_surgery as operated
from test_blocks import layered
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from whet.core.artifact import Artifact, Format
from whet.core.context import Context
from whet.core.passes import Pass, Pipeline, run
from whet.core.settings import Settings
from whet.core.spec import Signature, TensorSpec
from whet.errors import OptionError, RequirementError
from whet.optimize.graph.facts import facts
from whet.optimize.graph.io import read_onnx
from whet.optimize.graph.quantize.ort import QuantizeOrt
from whet.optimize.graph.runs import run_graph
from whet.optimize.network.distill import Distill
from whet.optimize.network.drop import DropBlocks
from whet.optimize.network.factor import Factor
from whet.optimize.network.learn_int8 import LearnInt8, step_s
from whet.optimize.network.learning import train as training
from whet.optimize.network.learning.views import Inputs, View
from whet.optimize.network.narrow import Narrow
from whet.optimize.network.resize import Resize
from whet.optimize.network.rounding.parts import Int8Layer, Int8Values
from whet.optimize.network.rounding.places import Places, places_in
from whet.optimize.network.rounding.put import put_in, settle, unrounded
from whet.optimize.network.separate import Separate
from whet.optimize.network.slim import Slim
from whet.optimize.network.sparsify import Sparsify
from whet.optimize.network.structure.modules import copied
from whet.optimize.network.structure.net import Batches, Net
from whet.optimize.network.substitute import Substitute
from whet.optimize.network.to_graph import ToGraph
from whet.runtimes.base import Runtime
from whet.runtimes.ort import OrtRuntime
from whet.runtimes.ov import OpenVinoRuntime

# Of 7 bits, weights overflow on no CPU, so that runtimes are compared and not CPUs.
SHORT = LearnInt8(12, 8, reduce_range=True)
PRODUCTS = {
    "QLinearConv",
    "MatMulIntegerToFloat",
    "Convolution",
    "GroupConvolution",
    "FullyConnected",
}


class Inverted(nn.Module):
    """An inverted residual: depthwise, and clamped at 6."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2)
        self.wide, self.n1 = nn.Conv2d(8, 24, 1, bias=False), nn.BatchNorm2d(24)
        self.deep, self.n2 = nn.Conv2d(24, 24, 3, 1, 1, groups=24), nn.BatchNorm2d(24)
        self.slim, self.n3 = nn.Conv2d(24, 8, 1, bias=False), nn.BatchNorm2d(8)
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.relu6(self.stem(x))
        y = nn.functional.relu6(self.n1(self.wide(x)))
        y = nn.functional.relu6(self.n2(self.deep(y)))
        return self.head(self.pool(x + self.n3(self.slim(y))).mean((2, 3)))


def _net(module: nn.Module, side: int = 17) -> Net:
    spec = TensorSpec("picture", "float32", ("batch", 3, side, side))
    given = TensorSpec("scores", "float32", ("batch", 4))
    return operated(layered(module, torch.randn(2, 3, side, side)), Signature((spec,), (given,)))


def inverted_net() -> Net:
    torch.manual_seed(0)
    module = Inverted()
    with torch.no_grad():
        module.stem.weight.mul_(8)  # so that some values are 6
        for norm in (module.n1, module.n2, module.n3):
            norm.weight.copy_(4 * torch.randn(norm.weight.shape))  # some below 0
            norm.bias.normal_()
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.2, 2)
    return _net(module)


def loud_net() -> Net:
    """One channel in 12 says what the others say forty times as loud, and is heard as softly."""
    torch.manual_seed(0)
    module = Bottlenecks()
    with torch.no_grad():
        for layer in (module.stem.weight, module.stem.bias):
            layer[0] *= 40
        for part in (module.one, module.two):
            part.a.weight[:, 0] /= 40
        module.head.weight[:, 0] /= 40
    return _net(module)


def _context(net: Net, folder: Path, batches: Batches | None = None) -> Context:
    ctx = context(net, batches or pictures(), folder)
    return replace(ctx, reference=Artifact(str(folder / "none.onnx"), Format.ONNX, net.signature))


def _request(net: Net, batch: tuple[torch.Tensor, ...]) -> Mapping[str, np.ndarray]:
    return {s.name: each.numpy() for s, each in zip(net.signature.inputs, batch, strict=True)}


def _answers(module: nn.Module, batch: tuple[torch.Tensor, ...]) -> np.ndarray:
    with torch.no_grad():
        found = module(*batch)
    return np.asarray(found if isinstance(found, torch.Tensor) else found[0])


def _off(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.square(found - wanted).sum() / np.square(wanted).sum())


def test_what_is_learnt_is_nearer_than_what_is_only_calibrated(tmp_path: Path) -> None:
    net = loud_net()
    ctx = _context(net, tmp_path, pictures(batches=16))
    learnt = run(LearnInt8(120, 16, rate=3e-3), net, ctx).model
    graph = run(ToGraph(), net, ctx).model
    calibrated = run(QuantizeOrt(), graph, replace(ctx, workdir=tmp_path / "ort")).model
    (unseen,) = pictures(batches=1, rows=64, seed=9)
    wanted = _answers(net.original, unseen)
    lost = _off(run_graph(calibrated, _request(net, unseen))["scores"], wanted)
    assert lost > 1e-4  # else there would be nothing to learn
    assert _off(_answers(learnt.module, unseen), wanted) < 0.5 * lost


@dataclass(frozen=True)
class Made:
    net: Net
    graph: Artifact
    request: Mapping[str, np.ndarray]
    wanted: np.ndarray
    noise: float  # what rounding values takes the answers away


@pytest.fixture(scope="module", params=[residual_net, inverted_net, encoder_net])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    net: Net = request.param()
    batches = texts() if request.param is encoder_net else pictures()
    ctx = _context(net, tmp_path_factory.mktemp("learnt"), batches)
    learnt = run(SHORT, net, ctx).model
    wanted = _answers(learnt.module, batches[0])
    noise = _off(_answers(unrounded(learnt.module), batches[0]), wanted)
    return Made(learnt, run(ToGraph(), learnt, ctx).model, _request(net, batches[0]), wanted, noise)


def test_the_graph_answers_as_the_network_does(made: Made) -> None:
    found = run_graph(made.graph, made.request)[made.net.signature.outputs[0].name]
    assert _off(found, made.wanted) < 0.5 * made.noise


@pytest.mark.parametrize("runtime", [OrtRuntime(), OpenVinoRuntime()], ids=["ort", "openvino"])
def test_runtimes_compute_it_in_int8_and_answer_as_it_does(
    made: Made, runtime: Runtime, tmp_path: Path
) -> None:
    engine = runtime.compile(made.graph, Settings(threads=1), tmp_path)
    with runtime.open(engine, made.graph, Settings(threads=1)) as session:
        found, layers = session.run(made.request), session.layers(made.request)
    assert _off(found[made.net.signature.outputs[0].name], made.wanted) < 4 * made.noise
    products = [layer for layer in layers if layer.kind in PRODUCTS]
    # ONNX Runtime computes what gives one row of answers in floats: nothing rounds those.
    rows = len(made.net.signature.outputs[0].shape) == 2
    assert len(products) == _products(made.net) - (runtime.name == "onnxruntime" and rows)
    assert {layer.precision for layer in products} <= {"int8", "uint8", "int8_t", "uint8_t"}
    assert not any(layer.kind in {"Conv", "Clip"} for layer in layers)


def _products(net: Net) -> int:
    return sum(isinstance(each, Int8Layer) for each in net.module.modules())


def test_the_graph_holds_integers_and_the_learned_steps(tmp_path: Path) -> None:
    net = inverted_net()
    ctx = _context(net, tmp_path)
    learnt = run(SHORT, net, ctx).model
    graph = read_onnx(run(ToGraph(), learnt, ctx).model).graph
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    values = [node for node in graph.node if node.op_type == "QuantizeLinear"]
    parts = [each for each in learnt.module.modules() if isinstance(each, Int8Values)]
    assert len(values) == len(parts) == 6  # the picture, three clamps, both that are added, a mean
    steps = sorted(float(held[node.input[1]]) for node in values)
    assert np.allclose(steps, sorted(part.step for part in parts), rtol=1e-6)
    assert {held[node.input[2]].dtype for node in values} == {np.dtype("uint8")}
    weights = [array for array in held.values() if array.dtype == np.int8 and array.ndim > 1]
    assert len(weights) == _products(learnt)
    assert max(int(np.abs(array).max()) for array in weights) <= 63
    assert not any(array.dtype == np.float32 and array.ndim > 1 for array in held.values())


def test_as_much_is_multiplied_as_before(tmp_path: Path) -> None:
    net = inverted_net()
    ctx = _context(net, tmp_path)
    learnt = run(SHORT, net, ctx).model
    graphs = [
        run(ToGraph(), each, replace(ctx, workdir=tmp_path / name)).model
        for name, each in (("floats", net), ("learnt", learnt))
    ]
    before, after = map(facts, graphs)
    assert after.macs == before.macs > 0
    assert after.weight_bytes < before.weight_bytes / 2
    assert not after.unknown


def test_no_level_lies_beyond_a_clamp(tmp_path: Path) -> None:
    net = inverted_net()
    found = run(SHORT, net, _context(net, tmp_path)).model.module
    clamped = found.graph.find_nodes(op="call_function", target=torch.ops.aten.relu6.default)
    steps = [found.get_submodule(next(iter(node.users)).target).step for node in clamped]
    assert len(steps) == 3
    assert max(steps) * 255 <= 6
    assert max(steps) * 255 > 5.9  # some values are 6


def test_norms_are_taken_into_the_layers_before_them(tmp_path: Path) -> None:
    """With signs, and all that a norm holds: the function stays, as far as floats tell."""
    net = inverted_net()
    module = copied(net.module)
    batches = pictures()
    layers = places_in(module, batches[0]).layers
    put_in(module, Places(layers, {}, ()), batches, most=127, seed=0)
    before = _answers(module, batches[0])
    settle(module, ())
    after = _answers(module, batches[0])
    assert not any(isinstance(each, _BatchNorm) for each in module.modules())
    assert np.abs(after - before).max() < 1e-5 * np.abs(before).max()


def test_a_value_that_blocks_hand_on_stays_what_it_is() -> None:
    net = inverted_net()
    module = copied(net.module)
    put_in(module, places_in(module, pictures()[0]), pictures(), most=127, seed=0)
    (node,) = [n for n in module.graph.nodes if n.target == "wide"]
    settle(module, {node.name})
    assert sum(isinstance(each, _BatchNorm) for each in module.modules()) == 1
    assert node.name in {n.name for n in module.graph.nodes}


def test_zeros_stay_zeros(tmp_path: Path) -> None:
    net = residual_net()
    ctx = _context(net, tmp_path)
    sparse = run(Sparsify(0.5), net, ctx).model
    found = run(SHORT, sparse, ctx).model
    assert found.sparse == sparse.sparse
    for name in sparse.sparse:
        zeros = sparse.module.get_submodule(name).weight == 0
        whole = found.module.get_submodule(name).weight
        whole = whole if whole.dim() > 2 else whole.t()
        assert bool(zeros.any())
        assert not bool(whole[zeros].any())


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.same, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.back = nn.ConvTranspose2d(3, 3, 2)
        self.head = nn.Linear(3, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.same(torch.relu(self.norm(self.same(x))))
        return self.head(torch.relu(self.back(y)).mean((2, 3)))


CHANGED = (DropBlocks(("one",)), Separate(1), Factor(ranks={"head": 1}))


@pytest.mark.parametrize(
    "steps",
    [CHANGED, (Resize(13), Slim(0.25), Narrow(0.25)), (Substitute("resnet", 0.125, 0.25),)],
    ids=["layers", "whole", "substitute"],
)
def test_all_layers_of_a_changed_network_are_rounded(
    steps: tuple[Pass[Net, Net], ...], tmp_path: Path
) -> None:
    net = residual_net()
    ctx = _context(net, tmp_path)
    changed = run(Pipeline(steps), net, ctx).model
    found = run(LearnInt8(2, 8), changed, ctx).model
    products = [m for m in changed.module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert _products(found) == len(products)
    assert not any(isinstance(each, nn.Linear) for each in found.module.modules())


def test_a_layer_that_is_called_twice_keeps_the_norm_behind_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = _net(Twice())
    result = run(SHORT, net, _context(net, tmp_path))
    assert sum(isinstance(each, _BatchNorm) for each in result.model.module.modules()) == 1
    assert _products(result.model) == 2
    assert [note.where for note in result.notes] == ["back"]
    (unseen,) = pictures(batches=1, seed=9)
    assert _off(_answers(result.model.module, unseen), _answers(net.original, unseen)) < 1e-2


def test_a_run_that_was_cut_off_ends_where_it_would_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = residual_net()
    ctx = _context(net, tmp_path)
    whole = run(LearnInt8(20, 8), net, replace(ctx, workdir=tmp_path / "whole"))
    seen: list[int] = []
    look = training.seen_anew

    def fails_at_twelve(batch: Inputs, random: torch.Generator) -> View:
        seen.append(1)
        if len(seen) == 12:
            raise KeyboardInterrupt
        return look(batch, random)

    cut = replace(ctx, workdir=tmp_path / "cut")
    monkeypatch.setattr(training, "seen_anew", fails_at_twelve)
    with pytest.raises(KeyboardInterrupt):
        run(LearnInt8(20, 8), net, cut)
    rest = run(LearnInt8(20, 8), net, cut)
    assert len(seen) == 12 + 20 - 10  # a checkpoint is kept every second step
    state = rest.model.module.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in whole.model.module.state_dict().items())
    steps = [
        [part.step for part in each.model.module.modules() if isinstance(part, Int8Values)]
        for each in (whole, rest)
    ]
    assert steps[0] == steps[1]


def test_labels_are_learnt_too(tmp_path: Path) -> None:
    net, batches = residual_net(), pictures(batches=16)
    with torch.no_grad():  # as far apart as trained scores are
        for weight in net.original.head.parameters():
            weight.mul_(10)
    wrong = [(_answers(net.original, each).argmax(1) + 1) % 4 for each in batches]
    ctx = replace(_context(net, tmp_path, batches), labels=np.concatenate(wrong))

    def loss(labels: str) -> float:
        there = replace(ctx, workdir=tmp_path / f"learns{labels}")
        module = run(LearnInt8(40, 16, 1e-2, labels), net, there).model.module
        scores = torch.from_numpy(_answers(module, batches[0]))
        return float(nn.functional.cross_entropy(scores, torch.from_numpy(wrong[0])))

    assert loss("scores") < 0.8 * loss("")


def test_nothing_that_changes_weights_comes_after(tmp_path: Path) -> None:
    net = residual_net()
    ctx = _context(net, tmp_path)
    for later in (Narrow(0.5), Distill(4, 8), SHORT):
        with pytest.raises(RequirementError, match="8 bits"):
            run(Pipeline((LearnInt8(1, 4), later)), net, ctx)


def test_what_has_no_layers_is_refused(tmp_path: Path) -> None:
    class Plain(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean((2, 3)) @ torch.ones(3, 4)

    net = _net(Plain())
    with pytest.raises(RequirementError, match="no convolution"):
        run(SHORT, net, _context(net, tmp_path))


@pytest.mark.parametrize("options", [{"steps": 0}, {"batch": 0}, {"rate": 0.0}, {"rate": 1.0}])
def test_options_that_teach_nothing_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(OptionError, match="Nothing is learnt"):
        LearnInt8(**options)  # type: ignore[arg-type]


def test_a_step_takes_time_and_leaves_the_network(tmp_path: Path) -> None:
    net = residual_net()
    kept = {k: v.clone() for k, v in net.module.state_dict().items()}
    assert 0 < step_s(net, _context(net, tmp_path), 8) < 60
    assert all(torch.equal(v, kept[k]) for k, v in net.module.state_dict().items())
