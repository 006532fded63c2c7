from __future__ import annotations

import pytest

from whet.core.evidence import LayerTime
from whet.optimize.graph.quantize.groups import Group, Quantiser, group_ms, group_quantisers
from whet.optimize.graph.quantize.layers import Op


def test_operators_that_share_a_quantised_activation_are_one_group() -> None:
    quantisers = (
        Quantiser("q_x", ("query", "key", "value"), weight=False),
        Quantiser("w_query", ("query",), weight=True),
        Quantiser("w_value", ("value",), weight=True),
        Quantiser("q_m", ("out",), weight=False),
        Quantiser("q_dead", (), weight=False),
    )
    ops = (
        Op("key", "Add", ("x",), constant=False),
        Op("query", "MatMul", ("x", "w"), constant=True),
        Op("value", "MatMul", ("x", "w"), constant=True),
        Op("bias", "Add", ("value",), constant=True),
        Op("relu", "Relu", ("bias",), constant=False),
        Op("sum", "Add", ("relu", "query"), constant=False),
        Op("out", "MatMul", ("sum", "w"), constant=True),
    )
    assert group_quantisers(quantisers, ops) == (
        Group("query", ("key", "query", "value"), ("q_x", "w_query", "w_value"), ("bias", "relu")),
        Group("out", ("out",), ("q_m",)),
    )


def test_sharing_is_transitive() -> None:
    quantisers = (
        Quantiser("1", ("a", "b"), weight=False),
        Quantiser("2", ("b", "c"), weight=False),
    )
    (group,) = group_quantisers(quantisers, [Op(n, "Add", (), constant=False) for n in "abc"])
    assert group.members == ("a", "b", "c")


def layer(name: str, ms: float) -> LayerTime:
    return LayerTime(name, "Conv", "fp32", ms)


def test_group_ms_is_float_time_minus_int8_time() -> None:
    groups = (
        Group("conv/WithoutBiases", ("conv/WithoutBiases", "add"), ()),
        Group("product", ("product",), (), ("linear",)),
        Group("half", ("half",), ()),
        Group("unseen", ("unseen",), ()),
    )
    wide = [layer("conv", 3.0), layer("add", 0.5), layer("linear", 1.0), layer("half", 7.0)]
    narrow = [layer("conv", 1.0), layer("linear_quant", 1.5), layer("reorder", 9.0)]
    saved = group_ms(groups, wide, narrow)
    assert saved == pytest.approx({"conv/WithoutBiases": 2.5, "product": -0.5})
