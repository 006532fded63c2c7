"""Every float pass over graphs, held to the contract of passes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from whet.core.spec import Arrays, Signature, TensorSpec
from whet.data.transform import ImageTransform
from whet.optimize.graph.cast import Cast
from whet.optimize.graph.fold import FoldTransform
from whet.optimize.graph.fuse import Fuse
from whet.optimize.graph.quantize.stored import StoreInt8
from whet.optimize.graph.tidy import Tidy
from whet.testing.pass_contract import PassCase, PassContract
from whet.testing.small_graphs import plain, unfused, untidy

PICTURES = ImageTransform(size=(8, 8), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def raw(signature: Signature) -> Signature:
    spec = TensorSpec("input", "uint8", ("batch", 8, 8, 3))
    return msgspec.structs.replace(signature, inputs=(spec,))


def normalised(arrays: Arrays) -> Arrays:
    return {"input": PICTURES.arithmetic(arrays["input"].astype(np.uint8))}


class TestTidy(PassContract):
    case = PassCase(Tidy(), model=untidy, idle=plain)


class TestFuse(PassContract):
    case = PassCase(Fuse(), model=unfused, idle=plain)


class TestFuseForOnnxRuntime(PassContract):
    case = PassCase(Fuse(target="onnxruntime"), model=unfused, idle=plain)


class TestFoldTransform(PassContract):
    case = PassCase(FoldTransform.of(PICTURES), model=plain, signature=raw, inputs=normalised)


class TestCastWeights(PassContract):
    case = PassCase(Cast(smallest=32), model=plain, tolerance=2e-3)


class TestCastToBfloat16(PassContract):
    case = PassCase(Cast(weights="bf16", smallest=32), model=plain, tolerance=2e-2)


class TestStoreInt8(PassContract):
    case = PassCase(StoreInt8(), model=plain, tolerance=2e-2)


class TestCastCompute(PassContract):
    case = PassCase(Cast(compute=True), model=plain, tolerance=5e-3)


def test_the_suite_catches_a_pass_that_lies(tmp_path: Path) -> None:
    """A pass that claims more closeness than it has must fail the suite."""

    class Liar(PassContract):
        case = PassCase(Cast(weights="bf16", smallest=32), model=plain, tolerance=1e-7)

    with pytest.raises(AssertionError):
        Liar().test_answers_as_closely_as_it_claims(tmp_path, batch=1)
