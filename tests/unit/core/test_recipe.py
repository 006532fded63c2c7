from __future__ import annotations

import msgspec

from whet.core.recipe import Recipe, Step
from whet.core.settings import Precision, Settings


def test_equal_recipes_have_equal_digests_whatever_the_order_of_options() -> None:
    a = Recipe((Step("q", {"x": 1, "y": 2}),), "openvino", Settings(fixed={"b": 1, "s": 2}))
    b = Recipe((Step("q", {"y": 2, "x": 1}),), "openvino", Settings(fixed={"s": 2, "b": 1}))
    assert a.digest() == b.digest()


def test_anything_that_differs_shows_in_the_digest() -> None:
    base = Recipe((Step("q", {"x": 1}),), "openvino", Settings())
    others = [
        Recipe((Step("q", {"x": 2}),), "openvino", Settings()),
        Recipe((), "openvino", Settings()),
        Recipe((Step("q", {"x": 1}),), "onnxruntime", Settings()),
        Recipe((Step("q", {"x": 1}),), "openvino", Settings(threads=2)),
    ]
    assert len({r.digest() for r in [base, *others]}) == 5


def test_recipes_that_share_their_passes_share_the_build() -> None:
    a = Recipe((Step("q"),), "openvino", Settings(threads=1))
    b = Recipe((Step("q"),), "onnxruntime", Settings(threads=2))
    assert a.build_digest() == b.build_digest()


def test_a_recipe_survives_the_disk() -> None:
    recipe = Recipe(
        (Step("q", {"ignored": ["a"]}),), "openvino", Settings(precision=Precision.BF16)
    )
    assert msgspec.json.decode(msgspec.json.encode(recipe), type=Recipe) == recipe


def test_settings_name_what_was_changed_and_read_well() -> None:
    settings = Settings(threads=2, precision=Precision.BF16, fixed={"batch": 1}, spin=False)
    assert settings.changed() == {"threads", "precision", "fixed", "spin"}
    assert settings.brief() == "2 threads, bf16, batch=1, spin=False"
