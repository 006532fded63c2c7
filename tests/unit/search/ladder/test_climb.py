from __future__ import annotations

import msgspec
import pytest
from trial_factory import trial

from whet.core.evidence import Trial
from whet.core.recipe import Recipe
from whet.core.settings import Settings
from whet.search.ladder.climb import _settings_by_runtime

FIXED, ANY = Settings(threads=2, fixed={"batch": 1}), Settings(threads=2)


def untouched(settings: Settings, speed: float, runtime: str = "openvino") -> Trial:
    recipe = Recipe((), runtime, settings)
    made = trial(f"{runtime} {settings.fixed}", speed, untouched=True)
    return msgspec.structs.replace(made, recipe=recipe, id=recipe.digest())


@pytest.mark.parametrize(("other", "taken"), [(0.96, FIXED), (1.04, FIXED), (1.2, ANY)])
def test_what_is_tried_first_stands_for_what_is_about_as_fast(
    other: float, taken: Settings
) -> None:
    """Plainer settings that cost nothing untouched may cost much once the arithmetic is cheap."""
    elsewhere = untouched(ANY, 3.0, runtime="onnxruntime")
    found = _settings_by_runtime([untouched(FIXED, 1.0), elsewhere, untouched(ANY, other)])
    assert found == {"openvino": taken, "onnxruntime": ANY}
