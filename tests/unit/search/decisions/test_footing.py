from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import msgspec
import pytest
from trial_factory import latency, trial

from whet.core.artifact import Artifact, Format
from whet.core.contract import Contract
from whet.core.evidence import Ceilings, Footprint, Machine, Trial
from whet.core.recipe import Recipe, Step
from whet.core.settings import Precision, Settings
from whet.core.spec import Signature
from whet.errors import MeasurementError
from whet.optimize.graph.traffic import Traffic
from whet.search.decisions.footing import arithmetic_of, complete, moved_bytes
from whet.search.setup import Setup
from whet.search.workers.jobs import Made

CEILINGS = Ceilings(
    fp32_ops_per_s=1e11, bf16_ops_per_s=4e11, int8_ops_per_s=8e11, read_bytes_per_s=1e10
)
MACHINE = Machine("cpu", "x86_64", "Linux", 2, 1 << 30, (), CEILINGS, {})
FLOAT = Traffic(1000, 1000)


@dataclass
class Known:
    """What of a `Setup` a footprint needs."""

    macs: int = 10**8
    parameters: int = 150
    weight_bytes: int = 600
    traffic: Traffic = FLOAT
    contract: Contract = field(default_factory=Contract)
    machine: Machine = MACHINE
    uncounted: tuple[str, ...] = ()


def made(tmp_path: Path, traffic: Traffic | None = None) -> Made:
    file = tmp_path / "model.bin"
    file.write_bytes(b"x" * 160)
    graph = Artifact(str(file), Format.ONNX, Signature((), ()))
    return Made(graph, "engine", (), traffic=traffic)


def taken(found: Trial, files: Made, **known: object) -> Footprint:
    setup = cast("Setup", Known(**known))  # type: ignore[arg-type]
    return complete(setup, found, files, latency(5.0), Footprint(0))


def with_precision(found: Trial, precision: Precision) -> Trial:
    settings = Settings(precision=precision)
    return msgspec.structs.replace(
        found, recipe=msgspec.structs.replace(found.recipe, settings=settings)
    )


@pytest.mark.parametrize(
    ("steps", "precision", "expected"),
    [
        ((), Precision.FP32, "fp32"),
        ((), Precision.BF16, "bf16"),
        ((), Precision.FP16, "fp16"),
        (("quantize-nncf-ir",), Precision.FP32, "int8"),
        (("convert-ir", "quantize-nncf-ir", "restore-ir"), Precision.BF16, "int8"),
        (("quantize-ort",), Precision.FP32, "int8"),
        (("quantize-dynamic",), Precision.FP32, "int8"),
        (("quantize-weights-ir",), Precision.FP32, "int8"),
        (("quantize-weights",), Precision.FP32, "fp32"),
        (("fuse",), Precision.FP32, "fp32"),
        (("fuse",), Precision.BF16, "bf16"),
        (("cast",), Precision.FP32, "fp32"),
    ],
)
def test_the_ceiling_is_that_of_the_fastest_arithmetic_used(
    steps: tuple[str, ...], precision: Precision, expected: str
) -> None:
    recipe = Recipe(tuple(Step(name) for name in steps), "openvino", Settings(precision=precision))
    assert arithmetic_of(recipe) == expected


def test_a_graph_cast_to_compute_in_half_precision_has_that_ceiling() -> None:
    recipe = Recipe((Step("cast", {"compute": True}),), "onnxruntime", Settings())
    assert arithmetic_of(recipe) == "fp16"


def test_the_share_is_of_the_candidates_own_ceiling(tmp_path: Path) -> None:
    # 0.2 GOP in a median of 4.5 ms.
    rate = 2e8 / 4.5e-3
    base = trial("base", 1.0, untouched=True)
    cases = {"fp32": base, "bf16": with_precision(base, Precision.BF16), "int8": trial("q", 2.0)}
    peaks = {"fp32": 1e11, "bf16": 4e11, "int8": 8e11}
    for name, found in cases.items():
        result = taken(found, made(tmp_path, Traffic(1, 0)))
        assert result.ceiling == name
        assert result.ceiling_share == pytest.approx(rate / peaks[name])


def test_work_that_cant_be_counted_is_no_share_of_a_ceiling(tmp_path: Path) -> None:
    found = trial("base", 1.0, untouched=True)
    result = taken(found, made(tmp_path), macs=10, uncounted=("Loop_3", "Scan_1"))
    assert (result.macs, result.ceiling_share, result.ceiling) == (None, None, None)
    (note,) = result.notes
    assert note.where == "multiply-accumulates"
    assert "2 operators (Loop_3, Scan_1)" in note.reason
    assert taken(found, made(tmp_path), macs=10).macs == 10


def test_a_fast_int8_is_no_error_though_above_the_fp32_ceiling(tmp_path: Path) -> None:
    # 2 GOP in 4.5 ms is 444 GOP/s: over the fp32 and bf16 peaks, within int8's.
    assert taken(trial("q", 2.0), made(tmp_path), macs=10**9).ceiling_share == pytest.approx(
        0.5556, rel=1e-3
    )
    with pytest.raises(MeasurementError, match="fp32 peak"):
        taken(trial("base", 1.0, untouched=True), made(tmp_path), macs=10**9)


def test_no_ceiling_no_share(tmp_path: Path) -> None:
    blind = msgspec.structs.replace(MACHINE, ceilings=Ceilings())
    result = taken(trial("q", 2.0), made(tmp_path), machine=blind)
    assert (result.ceiling, result.ceiling_share) == (None, None)


def test_bytes_moved_are_the_candidates_own(tmp_path: Path) -> None:
    untouched = trial("base", 1.0, untouched=True)
    assert taken(untouched, made(tmp_path)).bytes_moved == 1000
    assert taken(with_precision(untouched, Precision.BF16), made(tmp_path)).bytes_moved == 500
    quantised = taken(trial("q", 2.0), made(tmp_path, Traffic(260, 40)))
    assert quantised.bytes_moved == 260
    assert quantised.notes == ()
    assert quantised.disk_bytes == 160
    mixed = with_precision(trial("q", 2.0), Precision.BF16)
    assert taken(mixed, made(tmp_path, Traffic(260, 40))).bytes_moved == 240


def test_what_could_not_be_counted_is_estimated_and_said_to_be(tmp_path: Path) -> None:
    result = taken(trial("q", 2.0), made(tmp_path))
    # 400 bytes of activations as in the untouched graph, and the 160 of the candidate's files.
    assert result.bytes_moved == 560
    (note,) = result.notes
    assert note.where == "bytes moved"
    assert "estimate" in note.reason


def test_sixteen_bits_halve_only_what_is_wide() -> None:
    traffic = Traffic(1000, 600)
    assert moved_bytes(traffic, Precision.FP32) == 1000
    assert moved_bytes(traffic, Precision.BF16) == 700
    assert moved_bytes(traffic, Precision.FP16) == 700
