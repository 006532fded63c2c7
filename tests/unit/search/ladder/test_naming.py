from __future__ import annotations

import msgspec
import pytest

from whet.core.recipe import Recipe, Step
from whet.core.settings import Precision, Settings
from whet.search.ladder.naming import kind_of, name_of

IR = Step("convert-ir")
BASE = Settings(threads=2, fixed={"batch": 1})


def with_settings(**changes: object) -> Recipe:
    return Recipe((), "openvino", msgspec.structs.replace(BASE, **changes))


@pytest.mark.parametrize(
    ("steps", "precision", "kind"),
    [
        ((), "fp32", "fp32"),
        ((), "bf16", "bf16"),
        ((IR, Step("quantize-nncf-ir")), "fp32", "int8"),
        ((IR, Step("quantize-nncf-ir")), "bf16", "int8 + bf16"),
        ((Step("quantize-dynamic"),), "fp32", "int8 dynamic"),
        ((IR, Step("quantize-weights-ir", {"bits": 4})), "fp32", "weights int4"),
        ((Step("round-weights"), Step("store-int8")), "fp32", "rounded weights int8"),
        ((Step("cast", {"weights": "fp16"}),), "fp32", "weights fp16"),
        ((Step("fuse"),), "fp32", "fused"),
    ],
)
def test_kinds(steps: tuple[Step, ...], precision: str, kind: str) -> None:
    assert kind_of(steps, precision) == kind


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"threads": 1}, "openvino fp32 (1 thread)"),
        ({"fixed": {}}, "openvino fp32 (any size)"),
        ({"pin": True}, "openvino fp32 (pin)"),
        ({"spin": False}, "openvino fp32 (no spin)"),
        ({"precision": Precision.BF16}, "openvino bf16"),
    ],
)
def test_only_what_sets_it_apart_is_added(changes: dict[str, object], name: str) -> None:
    first = with_settings()
    assert name_of(first, {}) == "openvino fp32"
    assert name_of(with_settings(**changes), {"openvino fp32": first}) == name


def test_options_set_apart_too() -> None:
    first = Recipe((IR, Step("quantize-nncf-ir", {"bias": "fast"})), "openvino", BASE)
    other = Recipe((IR, Step("quantize-nncf-ir", {"ignored": ["a", "b"]})), "openvino", BASE)
    taken = {"openvino int8": first}
    assert name_of(other, taken) == "openvino int8 (ignored 2 layers, default bias)"


def test_a_probe_leaves_the_plain_name_to_others() -> None:
    recipe = Recipe((IR, Step("quantize-nncf-ir")), "openvino", BASE)
    assert name_of(recipe, {}, probe=True) == "openvino int8 probe"


def test_names_never_repeat() -> None:
    taken: dict[str, Recipe] = {}
    for threads in range(1, 5):
        for pin in (True, False):
            recipe = with_settings(threads=threads, pin=pin)
            name = name_of(recipe, taken)
            assert name not in taken
            taken[name] = recipe


def test_a_pass_before_the_quantiser_is_named() -> None:
    plain = Recipe((Step("quantize-nncf"),), "onnxruntime", Settings())
    rounded = Recipe((Step("round-weights"), Step("quantize-nncf")), "onnxruntime", Settings())
    taken = {"onnxruntime int8": plain}
    assert name_of(rounded, taken) == "onnxruntime int8 (rounded in advance)"


def test_options_of_what_is_named_already_are_left_out() -> None:
    plain = Recipe((IR, Step("quantize-nncf-ir")), "openvino", BASE)
    stored = Recipe((Step("store-int8", {"recurrent": False}), *plain.steps), "openvino", BASE)
    found = name_of(stored, {"openvino int8": plain})
    assert found == "openvino int8 (float layers stored in int8)"


def test_a_changed_network_is_named_by_what_was_done_to_it() -> None:
    narrow = Step("narrow", {"units": {"a": 8, "b": 4}})
    drop = Step("drop", {"blocks": ["c"]})
    rest = (Step("repair"), Step("to-graph"))
    plain = Recipe((narrow, *rest), "openvino", Settings())
    assert name_of(plain, {}) == "openvino narrower, fp32"
    int8 = Recipe((narrow, drop, *rest, Step("quantize-nncf")), "openvino", Settings())
    assert name_of(int8, {}) == "openvino narrower and fewer blocks, int8"
    low = (narrow, Step("factor", {"ranks": {"d": 8}}), drop, *rest)
    three = Recipe(low, "openvino", Settings())
    assert name_of(three, {}) == "openvino narrower, low-rank and fewer blocks, fp32"
    whole = (Step("resize", {"size": 192}), Step("slim", {"channels": {"e": 8}}), narrow, *rest)
    found = name_of(Recipe(whole, "openvino", Settings()), {})
    assert found == "openvino smaller pictures, slimmer and narrower, fp32"
    fewer = (narrow, Step("repair"), Step("merge-tokens", {"share": 0.5}), Step("to-graph"))
    found = name_of(Recipe(fewer, "openvino", Settings()), {})
    assert found == "openvino narrower and fewer tokens, fp32"
    slim, slimmer = (Step("slim", {"channels": {"e": n, "f": 8}}) for n in (8, 4))
    one, another = (Recipe((step, *rest), "openvino", Settings()) for step in (slim, slimmer))
    found = name_of(another, {"openvino slimmer, fp32": one})
    assert found == "openvino slimmer, fp32 (2 slimmer widths)"
    other = Recipe((Step("narrow", {"units": {"a": 4}}), *rest), "openvino", Settings())
    taken = {"openvino narrower, fp32": plain}
    assert name_of(other, taken) == "openvino narrower, fp32 (1 narrower width)"
    learnt = (narrow, Step("repair"), Step("distill", {"steps": 96}), Step("to-graph"))
    taught = Recipe(learnt, "openvino", Settings())
    assert name_of(taught, taken) == "openvino narrower, taught, fp32"
    rounded = (*learnt[:-1], Step("learn-int8", {"steps": 96}), learnt[-1])
    found = name_of(Recipe(rounded, "openvino", Settings()), taken)
    assert found == "openvino narrower, taught, learnt int8"
    alone = Recipe(rounded[-2:], "onnxruntime", Settings())
    assert name_of(alone, {}) == "onnxruntime learnt int8"
    apart = Step("separate", {"layers": {"d": 2}})
    four = Recipe((low[0], apart, drop, *rest), "openvino", Settings())
    assert name_of(four, {}) == "openvino narrower, separable and fewer blocks, fp32"
    ranks = [Step("factor", {"ranks": dict.fromkeys(names, 8)}) for names in ("ab", "abc")]
    one, another = (Recipe((step, *rest), "openvino", Settings()) for step in ranks)
    taken = {"openvino low-rank, fp32": one}
    assert name_of(another, taken) == "openvino low-rank, fp32 (3 low-rank layers)"


def test_what_ends_early_says_where() -> None:
    exit_ = Step("exit-after", {"block": "layer2.1", "rows": 1024})
    one = Recipe((exit_, Step("to-graph"), Step("quantize-nncf")), "openvino", Settings())
    assert name_of(one, {}) == "openvino exit after layer2.1, int8"
    narrow = Recipe((Step("narrow"), Step("repair"), *one.steps), "openvino", Settings())
    assert name_of(narrow, {}) == "openvino narrower and exit after layer2.1, int8"
    assert one.ends_early
    assert not Recipe((), "openvino", Settings()).ends_early


def test_a_substitute_is_called_one() -> None:
    student = Step("substitute", {"family": "resnet", "width": 0.5})
    taught = (student, Step("distill", {"steps": 768}), Step("to-graph"))
    one = Recipe((*taught, Step("quantize-nncf")), "openvino", Settings())
    assert name_of(one, {}) == "openvino substitute resnet, taught, int8"
    assert one.substitutes
    wider = (Step("substitute", {"family": "resnet", "width": 0.75}), *one.steps[1:])
    name = name_of(
        Recipe(wider, "openvino", Settings()), {"openvino substitute resnet, taught, int8": one}
    )
    assert name == "openvino substitute resnet, taught, int8 (width 0.75)"
