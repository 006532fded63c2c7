from __future__ import annotations

import msgspec
import pytest

from whet.core.passes import Pipeline, Stage
from whet.core.recipe import Step
from whet.core.registry import resolve
from whet.optimize.graph.quantize.space import (
    covers,
    first_recipes,
    ranked_by,
    restored,
    suggest,
    weights_recipe,
)

KINDS = ("cnn", "transformer", "recurrent")
RUNTIMES = ("openvino", "onnxruntime")


def built(steps: tuple[Step, ...]) -> Pipeline:
    """As the builder of recipes does it: options checked against the fields of the pass."""
    return Pipeline(
        tuple(
            msgspec.convert(step.options, resolve("pass", step.name), strict=True) for step in steps
        )
    )


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("kind", KINDS)
def test_first_recipes_are_a_handful_of_valid_pipelines(kind: str, runtime: str) -> None:
    recipes = first_recipes(kind, runtime)
    assert 4 <= len(recipes) <= 8
    assert len({msgspec.json.encode(steps) for steps in recipes}) == len(recipes)
    for steps in recipes:
        pipeline = built(steps)
        assert pipeline.takes is Stage.GRAPH
        assert pipeline.gives is (Stage.IR if runtime == "openvino" else Stage.GRAPH)


def test_runtimes_without_int8_get_none() -> None:
    assert first_recipes("cnn", "torch") == ()


def test_the_default_recipe_of_nncf_is_always_among_them() -> None:
    """Whoever is never to be slower than the best peer must have tried what the peer does."""
    assert (Step("convert-ir"), Step("quantize-nncf-ir")) in first_recipes("cnn", "openvino")


def test_recurrent_networks_are_quantised_dynamically_first() -> None:
    wide = frozenset({"avx512_vnni"})
    first, *rest = first_recipes("recurrent", "onnxruntime", flags=wide)
    assert first == (Step("quantize-dynamic"),)
    assert "quantize-nncf" in {steps[0].name for steps in rest}
    assert covers("recurrent", "onnxruntime")
    assert not covers("recurrent", "openvino")
    assert covers("cnn", "openvino")


def test_cpus_that_sum_in_32_bits_use_all_8_bits_of_a_weight() -> None:
    for flags, expected in ((frozenset({"avx2"}), {None}), (frozenset({"amx_int8"}), {"none"})):
        recipes = first_recipes("cnn", "openvino", flags=flags)
        assert {steps[-1].options.get("half_range") for steps in recipes} == expected


@pytest.mark.parametrize("kind", KINDS)
def test_onnx_runtimes_own_quantisers_keep_to_7_bits_where_sums_overflow(kind: str) -> None:
    for flags, expected in ((frozenset({"avx2"}), True), (frozenset({"avx512_vnni"}), None)):
        own = [
            step
            for steps in first_recipes(kind, "onnxruntime", flags=flags)
            for step in steps
            if step.name in {"quantize-ort", "quantize-dynamic"}
        ]
        assert own
        assert {step.options.get("reduce_range") for step in own} == {expected}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_weights_alone_have_a_pipeline_on_every_runtime(runtime: str) -> None:
    for bits in (8, 4):
        assert built(weights_recipe(runtime, bits=bits)).takes is Stage.GRAPH


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("kind", KINDS)
def test_optuna_walks_the_space(kind: str, runtime: str) -> None:
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = set()
    for _ in range(60):
        trial = study.ask()
        steps = suggest(trial, kind, runtime)
        built(steps)
        seen.add(msgspec.json.encode(steps))
        study.tell(trial, 0.0)
    # What little there is to choose for a recurrent network is all asked for.
    dynamic = (kind, runtime) == ("recurrent", "onnxruntime")
    assert len(seen) == 4 if dynamic else len(seen) > 30


def test_restored_adds_names_to_the_quantiser_alone() -> None:
    steps = (Step("convert-ir"), Step("quantize-nncf-ir", {"ranges": "minmax", "ignored": ["b"]}))
    convert, quantise = restored(steps, frozenset({"c", "a"}))
    assert convert == steps[0]
    assert quantise.options == {"ranges": "minmax", "ignored": ["a", "b", "c"]}
    assert restored(steps, ["x"]) != steps


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_quantiser_that_is_tried_can_be_rescued(kind: str, runtime: str) -> None:
    for steps in first_recipes(kind, runtime):
        ranking = [r for step in steps if (r := ranked_by(step)) is not None]
        if steps[-1].name.startswith("quantize-weights"):
            assert ranking == []
        else:
            (quantiser,) = ranking
            assert quantiser.name.startswith("quantize-nncf")
            built((*steps[:-1], quantiser))
            assert restored(steps, ["a"])[-1].options["ignored"] == ["a"]


def test_nncf_ranks_for_itself_and_in_place_of_others_by_what_they_share() -> None:
    own = Step("quantize-nncf-ir", {"ranges": "minmax"})
    assert ranked_by(own) == own
    other = Step("quantize-ort", {"calibration": "entropy", "keep_last": True, "subset_size": 8})
    assert ranked_by(other) == Step("quantize-nncf", {"keep_last": True, "subset_size": 8})
    assert ranked_by(Step("convert-ir")) is None
