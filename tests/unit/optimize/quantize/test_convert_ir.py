from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from whet.core.artifact import Artifact, Format
from whet.core.passes import run
from whet.errors import NetworkError, PostconditionError, RequirementError
from whet.optimize.graph.convert import ConvertIr
from whet.optimize.graph.ir import check_ir, read_ir


def test_same_answers_same_signature(digits, digits_ir, execute) -> None:
    assert digits_ir.format is Format.OPENVINO
    assert digits_ir.signature == digits.graph.signature
    assert digits_ir.sidecars == ("model.bin",)
    want = execute(digits.graph, {"image": digits.images[:7]})
    np.testing.assert_allclose(execute(digits_ir, {"image": digits.images[:7]}), want, atol=1e-4)


def test_dynamic_axes_survive(digits_ir) -> None:
    model = read_ir(digits_ir)
    (port,) = model.inputs
    assert port.get_any_name() == "image"
    assert port.get_partial_shape()[0].is_dynamic


def test_fp16_halves_the_file_and_rounds_each_weight_once(digits, context, execute) -> None:
    wide = run(ConvertIr(), digits.graph, context()).model.files()[1].stat().st_size
    half = run(ConvertIr(compress_to_fp16=True), digits.graph, context()).model
    assert half.files()[1].stat().st_size < 0.6 * wide
    want = execute(digits.graph, {"image": digits.images})
    assert np.abs(execute(half, {"image": digits.images}) - want).max() < 0.02


def test_refuses_another_format(digits_ir, context) -> None:
    with pytest.raises(RequirementError, match="takes onnx"):
        run(ConvertIr(), digits_ir, context())


def test_refuses_an_operator_that_openvino_lacks(digits, context, tmp_path: Path) -> None:
    from whet.optimize.graph.io import read_onnx, write_onnx

    model = read_onnx(digits.graph)
    model.graph.node[1].op_type = "NoSuchThing"
    strange = write_onnx(model, tmp_path, "strange", digits.graph.signature)
    root = logging.getLogger()
    before = root.level, root.filters[:], root.handlers[:]
    with pytest.raises(RequirementError, match="NoSuchThing") as caught:
        run(ConvertIr(), strange, context())
    assert (root.level, root.filters, root.handlers) == before, "OpenVINO left its own behind"
    assert "onnxruntime" in caught.value.remedy
    assert "\n" not in str(caught.value)


def test_a_damaged_ir_is_refused(digits_ir, tmp_path: Path) -> None:
    xml, weights = digits_ir.files()
    (tmp_path / "model.xml").write_bytes(xml.read_bytes()[:200])
    (tmp_path / "model.bin").write_bytes(weights.read_bytes())
    broken = Artifact(
        str(tmp_path / "model.xml"), Format.OPENVINO, digits_ir.signature, ("model.bin",)
    )
    with pytest.raises(NetworkError, match="can't read"):
        read_ir(broken)


def test_a_lost_name_is_noticed(digits, digits_ir) -> None:
    import msgspec

    outputs = tuple(msgspec.structs.replace(s, name="other") for s in digits_ir.signature.outputs)
    signature = msgspec.structs.replace(digits_ir.signature, outputs=outputs)
    with pytest.raises(PostconditionError, match="lost the names other"):
        check_ir(msgspec.structs.replace(digits_ir, signature=signature), "convert-ir")
