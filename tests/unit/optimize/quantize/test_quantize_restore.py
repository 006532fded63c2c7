from __future__ import annotations

import numpy as np
import pytest

from whet.core.passes import run
from whet.core.recipe import Step
from whet.errors import OptionError
from whet.optimize.build import build, pass_of
from whet.optimize.graph.convert import ConvertIr
from whet.optimize.graph.quantize.nncf import QuantizeNncf, QuantizeNncfIr
from whet.optimize.graph.quantize.plan import RestoreSearch
from whet.optimize.graph.quantize.restore import Restore, RestoreIr, opener
from whet.optimize.graph.quantize.sensitivity import group_damage
from whet.optimize.graph.quantize.space import ranked_by, restored


@pytest.mark.parametrize("ir", [False, True], ids=["onnx", "ir"])
def test_the_pass_leaves_the_worst_group_in_float_and_says_so(
    ir, outlier_digits, context, execute, tmp_path
) -> None:
    ctx, graph = context(repair=outlier_digits.repair), outlier_digits.graph
    plain, restore = (QuantizeNncfIr, RestoreIr) if ir else (QuantizeNncf, Restore)
    if ir:
        graph = run(ConvertIr(), graph, context(workdir=tmp_path / "ir")).model
    feed = {"image": outlier_digits.images}
    before = execute(run(plain(subset_size=64), graph, ctx).model, feed)
    result = run(restore(subset_size=64, max_groups=1), graph, ctx)
    after = execute(result.model, feed)
    want = execute(graph, feed)
    lost = outlier_digits.top1(want) - outlier_digits.top1(before)
    left = outlier_digits.top1(want) - outlier_digits.top1(after)
    assert lost > 0.1, "one scale for all channels breaks this network"
    assert left < 0.03
    restored = [note for note in result.notes if note.reason.startswith("Restored")]
    assert [note.where.removesuffix("/WithoutBiases") for note in restored] == ["conv2"]


def test_the_search_restores_quality_with_few_candidates(outlier_digits, context, execute) -> None:
    """Ask and tell over real graphs: quality is top-1 within two points."""
    ctx, graph = context(repair=outlier_digits.repair), outlier_digits.graph
    feed = {"image": outlier_digits.images}
    float_top1 = outlier_digits.top1(execute(graph, feed))
    found = group_damage(graph, QuantizeNncf(subset_size=64), ctx, opener("onnxruntime"), rows=64)
    search = RestoreSearch(found.groups, found.damage, {"conv2": 1.0, "conv1": 1.0})
    candidates = 0
    while (ignored := search.ask()) is not None:
        candidates += 1
        made = run(QuantizeNncf(subset_size=64, ignored=tuple(sorted(ignored))), graph, ctx).model
        drop = float_top1 - outlier_digits.top1(execute(made, feed))
        search.tell(quality_ok=drop <= 0.02, drop=drop)
    assert candidates <= 3
    assert search.best is not None
    assert search.best.groups == ("conv2",)


def test_nncf_ranks_the_layers_of_onnx_runtimes_own_quantiser(
    outlier_digits, context, execute
) -> None:
    """It rounds outputs too, so a layer before the worst one has to stay float as well."""
    ctx, graph = context(repair=outlier_digits.repair), outlier_digits.graph
    own = Step("quantize-ort", {"subset_size": 64})
    ranking = ranked_by(own)
    assert ranking is not None
    feed = {"image": outlier_digits.images}
    float_top1 = outlier_digits.top1(execute(graph, feed))
    plain = outlier_digits.top1(execute(build((own,), graph, ctx).model, feed))
    assert float_top1 - plain > 0.1
    found = group_damage(graph, pass_of(ranking), ctx, opener("onnxruntime"), rows=64)
    search = RestoreSearch(found.groups, found.damage, {})
    candidates = 0
    while (ignored := search.ask()) is not None:
        candidates += 1
        made = build(restored((own,), sorted(ignored)), graph, ctx).model
        drop = float_top1 - outlier_digits.top1(execute(made, feed))
        search.tell(quality_ok=drop <= 0.02, drop=drop)
    assert search.best is not None
    assert candidates <= 5
    assert len(search.best.groups) < len(found.groups)


@pytest.mark.parametrize(
    "options", [{"share": 2.0}, {"max_groups": 0}, {"rows": 0}, {"subset_size": 0}]
)
def test_refuses_options_out_of_range(options) -> None:
    with pytest.raises(OptionError):
        Restore(**options)


def test_opener_computes_in_float32(digits, execute) -> None:
    with opener("onnxruntime")(digits.graph) as session:
        got = session.run({"image": digits.images[:3]})["logits"]
    np.testing.assert_allclose(got, execute(digits.graph, {"image": digits.images[:3]}), rtol=1e-5)
