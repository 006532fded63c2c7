"""What a worker makes of a recipe: an engine, or a refusal where there is nothing to make."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.recipe import Step, digest_of
from whet.core.settings import Settings
from whet.data.readers import open_samples
from whet.data.store import open_ref, write_store
from whet.errors import RequirementError
from whet.search.workers.built import built_graph
from whet.search.workers.jobs import MakeJob, make_engine
from whet.testing.small_graphs import plain, untidy

TIDY = (Step("tidy"), Step("fuse"))


def job(graph: Artifact, folder: Path, *steps: Step) -> MakeJob:
    rows = np.random.default_rng(0).random((8, 3, 8, 8), dtype=np.float32)
    place = folder / "samples" / digest_of(steps)
    store = write_store(open_samples({"input": rows}), place, limit=8, seed=0)
    return MakeJob(
        steps=steps,
        graph=graph,
        program=None,
        repair=store.ref(),
        runtime="onnxruntime",
        settings=Settings(),
        cache=str(folder / "cache"),
        workdir=str(folder / "built" / digest_of(steps)),
        shelf=str(folder / "built"),
        threads=1,
        seed=0,
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
    ctx = Context(tmp_path / "ranking", graph, open_ref(made.repair), 1, 0)
    again = built_graph(first, graph, ctx, Path(made.shelf))
    assert Path(again.graph.path).is_relative_to(shared.parent)
    assert list(ctx.workdir.iterdir()) == []
