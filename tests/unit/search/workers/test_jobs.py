"""What a worker makes of a recipe: an engine, or a refusal where there is nothing to make."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from whet.core.artifact import Artifact
from whet.core.recipe import Step, digest_of
from whet.core.settings import Settings
from whet.data.readers import open_samples
from whet.data.store import write_store
from whet.errors import RequirementError
from whet.optimize.graph.io import write_onnx
from whet.optimize.graph.quantize.sensitivity import Sensitivity
from whet.search.workers.built import built_graph
from whet.search.workers.ground import Ground
from whet.search.workers.isolate import run_isolated
from whet.search.workers.jobs import MakeJob, SensitivityJob, make_engine
from whet.testing.small_graphs import make_graph, plain, untidy
from whet.testing.small_recurrent import RecurrentNet

TIDY = (Step("tidy"), Step("fuse"))


def job(graph: Artifact, folder: Path, *steps: Step, runtime: str = "onnxruntime") -> MakeJob:
    rows = np.random.default_rng(0).random((8, 3, 8, 8), dtype=np.float32)
    place = folder / "samples" / digest_of(steps)
    store = write_store(open_samples({"input": rows}), place, limit=8, seed=0)
    return MakeJob(
        steps=steps,
        ground=Ground(graph, None, store.ref(), threads=1, seed=0),
        runtime=runtime,
        settings=Settings(),
        cache=str(folder / "cache"),
        workdir=str(folder / "built" / digest_of(steps)),
        shelf=str(folder / "built"),
    )


def test_passes_that_change_nothing_are_refused_since_that_engine_is_the_untouched_one(
    tmp_path: Path,
) -> None:
    with pytest.raises(RequirementError, match="'tidy' and 'fuse' found nothing to change"):
        make_engine(job(plain(tmp_path), tmp_path, *TIDY))


def test_passes_that_change_something_make_an_engine(tmp_path: Path) -> None:
    graph = untidy(tmp_path)
    made = make_engine(job(graph, tmp_path, *TIDY))
    assert made.graph.size_bytes() < graph.size_bytes()
    assert Path(made.engine).exists()


def test_candidates_that_begin_with_a_slow_pass_share_its_graph(tmp_path: Path) -> None:
    graph, first = plain(tmp_path), Step("round-weights")
    cast, fp16 = Step("cast", {"smallest": 1}), Step("cast", {"compute": True})
    one = make_engine(job(graph, tmp_path, first, cast))
    shared = tmp_path / "built" / digest_of((first,)) / "built.json"
    written = shared.stat().st_mtime_ns
    other = make_engine(job(graph, tmp_path, first, fp16))
    assert shared.stat().st_mtime_ns == written
    assert one.graph.path != other.graph.path
    alone = make_engine(job(graph, tmp_path, first))
    assert Path(alone.graph.path).is_relative_to(shared.parent)


def test_a_slow_pass_alone_is_taken_from_the_shelf_too(tmp_path: Path) -> None:
    """The layers of a quantiser behind it are ranked on the graph that it made."""
    graph, first = plain(tmp_path), (Step("round-weights"),)
    made = job(graph, tmp_path, *first)
    make_engine(made)
    shared = tmp_path / "built" / digest_of(first) / "built.json"
    ctx = made.ground.context(tmp_path / "ranking")
    again = built_graph(first, graph, ctx, Path(made.shelf))
    assert Path(again.graph.path).is_relative_to(shared.parent)
    assert list(ctx.workdir.iterdir()) == []


def masked(folder: Path) -> Artifact:
    """A classifier whose last class is off, beside an output that is always 0."""
    body = """
    masked (float[batch, 3, 8, 8] input) => (float[batch, 5] logits, float[batch, 5] off) {
        c1 = Conv <pads = [1, 1, 1, 1]> (input, w1)
        r1 = Relu (c1)
        p = GlobalAveragePool (r1)
        f = Flatten (p)
        scores = Gemm (f, w2)
        logits = Where (allowed, scores, never)
        low = Gemm (f, w3)
        off = Relu (low)
    }"""
    rng = np.random.default_rng(0)
    weights = {
        "w1": rng.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "w2": rng.normal(size=(4, 5)).astype(np.float32),
        "w3": -np.ones((4, 5), np.float32),
        "allowed": np.arange(5) < 4,
        "never": np.array(-np.inf, np.float32),
    }
    return write_onnx(make_graph(body, weights), folder, "masked")


def test_layers_before_a_mask_are_ranked_in_figures_that_a_worker_can_tell(tmp_path: Path) -> None:
    graph = masked(tmp_path)
    given = job(graph, tmp_path)
    ranking = SensitivityJob(
        before=(),
        quantiser=Step("quantize-nncf", {"subset_size": 8}),
        ground=given.ground,
        runtime=given.runtime,
        workdir=str(tmp_path / "ranking"),
        shelf=given.shelf,
    )
    found = run_isolated(
        "whet.search.workers.jobs:sensitivity",
        ranking,
        Sensitivity,
        timeout_s=120.0,
        memory_bytes=4 << 30,
    ).value
    assert {"Conv_0", "Gemm_4"} <= found.damage.keys()
    assert all(0 < damage < 1 for damage in found.damage.values()), found.damage
    assert 0 < found.whole < 1


def test_a_graph_that_no_engine_can_stand_in_for_says_so(tmp_path: Path) -> None:
    graph = RecurrentNet().onnx(tmp_path)
    made = make_engine(job(graph, tmp_path, runtime="openvino"))
    assert made.engine == graph.path
    (note,) = made.notes
    assert note.where == "openvino"
    assert "compiled at each start" in note.reason
    other = tmp_path / "other"
    assert not make_engine(job(plain(other), other, runtime="openvino")).notes
