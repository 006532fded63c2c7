"""Layers left in float get the weights back that were rounded in advance."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import Digits
from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.recipe import Step
from whet.errors import RequirementError
from whet.optimize.build import build
from whet.optimize.graph.io import read_onnx
from whet.optimize.graph.ir import read_ir
from whet.optimize.graph.quantize.layers import describe_ir, describe_onnx, weighted
from whet.optimize.graph.quantize.onnxes import named
from whet.optimize.graph.quantize.space import ROUND, unrounded
from whet.optimize.graph.quantize.unrounded import RestoreWeights
from whet.testing.small_graphs import plain


def made(digits: Digits, folder: Path, *steps: Step) -> Artifact:
    folder.mkdir()
    return build(steps, digits.graph, Context(folder, digits.graph, digits.repair)).model


def given_back(*names: str) -> Step:
    return Step("restore-weights", {"ignored": list(names)})


def changed(digits: Digits, graph: Artifact) -> list[str]:
    """Weights that aren't the original's."""
    before = {tensor.name: tensor for tensor in read_onnx(digits.graph).graph.initializer}
    return [t.name for t in read_onnx(graph).graph.initializer if t != before[t.name]]


def layers_of(digits: Digits, folder: Path, runtime: str) -> tuple[str, ...]:
    """Names by which the quantiser of each runtime knows the layers with weights."""
    if runtime == "openvino":
        return weighted(describe_ir(read_ir(made(digits, folder, Step("convert-ir")))))
    return weighted(describe_onnx(named(read_onnx(digits.graph))))


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_layers_in_float_have_their_own_weights_again(
    digits: Digits, tmp_path: Path, runtime: str
) -> None:
    layers = layers_of(digits, tmp_path / "names", runtime)
    assert len(layers) == 4
    rounded = made(digits, tmp_path / "rounded", ROUND)
    assert len(changed(digits, rounded)) == 4
    for count in range(1, 5):
        back = made(digits, tmp_path / str(count), ROUND, given_back(*layers[:count]))
        assert len(changed(digits, back)) == 4 - count


def test_of_other_recipes_nothing_is_given_back() -> None:
    quantise = Step("quantize-nncf", {"ignored": ["conv1"]})
    assert unrounded((quantise,)) == (quantise,)
    assert unrounded((Step("tidy"), ROUND, quantise)) == (Step("tidy"), ROUND, quantise)
    assert unrounded((ROUND, Step("quantize-nncf"))) == (ROUND, Step("quantize-nncf"))
    once = unrounded((ROUND, quantise))
    assert once == (ROUND, given_back("conv1"), quantise)
    assert unrounded(once) == once


def test_layers_without_weights_change_nothing(digits: Digits, tmp_path: Path) -> None:
    result = RestoreWeights(("relu1",)).apply(digits.graph, Context(tmp_path, digits.graph))
    assert not result.changed


def test_weights_that_are_not_the_originals_are_refused(digits: Digits, tmp_path: Path) -> None:
    ctx = Context(tmp_path, plain(tmp_path))
    (first, *_) = weighted(describe_onnx(named(read_onnx(digits.graph))))
    with pytest.raises(RequirementError, match="untouched graph has no weight"):
        RestoreWeights((first,)).apply(digits.graph, ctx)
