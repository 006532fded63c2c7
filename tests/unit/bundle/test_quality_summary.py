"""What a manifest says of the quality of each output."""

from __future__ import annotations

from pathlib import Path

import pytest
from bundle_factory import INPUTS, change, make_bundle, manifest_of, run_model, variant

from whet.bundle.draft import GoldenDraft
from whet.bundle.manifest import QualitySummary
from whet.bundle.read import Bundle, read_bundle
from whet.core.artifact import Artifact, Format
from whet.core.evidence import OutputCheck, Quality, Verdict
from whet.core.spec import Signature, TensorSpec
from whet.errors import BundleError

BOXES = OutputCheck("boxes", "distance", 500, 0.08, 0.09, 0.03, Verdict.FAILED, "mean of distances")
OWN = OutputCheck("y:0", "constant", 500, 0.01, 0.02, 0.05, Verdict.PASSED, "mean of distances")
QUALITY = Quality(
    *("top1", 500, 0.9, 0.89, 0.01, 0.02, 0.03, 0.95, Verdict.FAILED, "paired difference"),
    output="y:0",
    outputs=(OWN, BOXES),
    ignored=("mask",),
)
SIGNATURE = Signature(
    (TensorSpec("x", "float32", ("batch", 3)),),
    tuple(TensorSpec(name, "float32", ("batch", 2)) for name in ("y:0", "boxes", "mask")),
)


@pytest.fixture
def three_outputs(tmp_path: Path) -> Bundle:
    graph = tmp_path / "graph.onnx"
    graph.write_bytes(b"graph")
    answers = {spec.name: run_model(INPUTS)["y:0"] for spec in SIGNATURE.outputs}
    one = variant(
        tmp_path,
        "one",
        b"weights",
        artifact=Artifact(str(graph), Format.ONNX, SIGNATURE),
        quality=QualitySummary.of(QUALITY, certified=True),
        goldens=answers,
    )
    return make_bundle(
        tmp_path / "b",
        signature=SIGNATURE,
        variants=(one,),
        default="one",
        goldens=GoldenDraft(INPUTS),
    )


def test_every_output_stands_in_the_manifest(three_outputs: Bundle) -> None:
    kept = read_bundle(three_outputs.folder).variant().quality
    assert kept == QualitySummary.of(QUALITY, certified=True)
    assert kept is not None
    assert kept.bound < kept.allowed, "the judged output alone would have passed"
    assert (kept.output, kept.outputs, kept.ignored) == ("y:0", (OWN, BOXES), ("mask",))
    assert kept.verdict is Verdict.FAILED


@pytest.mark.parametrize("twice", ["y:0", "boxes"])
def test_an_output_is_not_both_checked_and_ignored(three_outputs: Bundle, twice: str) -> None:
    def ignore(manifest: dict[str, object]) -> None:
        manifest["variants"][0]["quality"]["ignored"].append(twice)

    change(three_outputs.folder, ignore)
    with pytest.raises(BundleError, match="twice"):
        read_bundle(three_outputs.folder)


def test_a_bundle_from_before_outputs_were_told_is_read_as_it_was(three_outputs: Bundle) -> None:
    def forget(manifest: dict[str, object]) -> None:
        for field in ("output", "outputs", "ignored"):
            del manifest["variants"][0]["quality"][field]

    change(three_outputs.folder, forget)
    kept = read_bundle(three_outputs.folder).variant().quality
    assert kept is not None
    assert (kept.output, kept.outputs, kept.ignored, kept.same) == ("", (), (), False)
    assert kept.verdict is Verdict.FAILED


def test_what_says_nothing_is_left_out_so_that_older_readers_take_it(bundle: Bundle) -> None:
    (quality, *_) = (v["quality"] for v in manifest_of(bundle.folder)["variants"])
    assert not {"output", "outputs", "ignored", "same"} & set(quality)
