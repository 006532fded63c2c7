from __future__ import annotations

import numpy as np
import pytest

from whet.core.passes import run
from whet.errors import OptionError, RequirementError
from whet.optimize.graph.quantize.weights import QuantizeWeights, QuantizeWeightsIr


@pytest.fixture(params=[QuantizeWeights, QuantizeWeightsIr], ids=["onnx", "ir"])
def both(request, digits, digits_ir):
    return request.param, digits.graph if request.param is QuantizeWeights else digits_ir


@pytest.mark.parametrize("symmetric", [True, False])
def test_eight_bits_are_a_quarter_of_the_size_and_hardly_move_the_answers(
    both, symmetric, digits, context, execute
) -> None:
    kind, graph = both
    made = run(kind(symmetric=symmetric), graph, context(repair=None)).model
    before, after = (g.files()[-1].stat().st_size for g in (graph, made))
    assert after < 0.45 * before
    want, got = (execute(g, {"image": digits.images}) for g in (graph, made))
    error = np.sum((got - want) ** 2) / np.sum((want - want.mean(axis=0)) ** 2)
    assert 0 < error < 1e-2


def test_ignored_layers_stay_float(both, context) -> None:
    kind, graph = both
    notes = run(kind(ignored=("conv3",)), graph, context()).notes
    assert [note.where.removesuffix("/WithoutBiases") for note in notes] == ["conv3"]


def test_four_bits_are_smaller_still(attention, context, execute, tmp_path) -> None:
    from whet.optimize.graph.convert import ConvertIr

    ir = run(ConvertIr(), attention, context(workdir=tmp_path / "ir")).model
    made = run(QuantizeWeightsIr(bits=4, group_size=16), ir, context(repair=None)).model
    rows = np.random.default_rng(0).normal(size=(2, 6, 16)).astype(np.float32)
    want, got = (execute(graph, {"x": rows}) for graph in (ir, made))
    assert 0.9 < np.corrcoef(want.ravel(), got.ravel())[0, 1] < 0.99999


def test_four_bits_need_a_new_opset(attention, context) -> None:
    with pytest.raises(RequirementError, match="need 21"):
        run(QuantizeWeights(bits=4), attention, context())


@pytest.mark.parametrize(
    "options", [{"bits": 3}, {"ratio": 0.0}, {"group_size": 64}, {"group_size": 0}]
)
def test_refuses_options_out_of_range(options) -> None:
    with pytest.raises(OptionError):
        QuantizeWeights(**options)
