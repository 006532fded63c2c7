"""Short names for candidates, unique within one search; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sized

from whet.core.recipe import Recipe, Step

__all__ = ["kind_of", "name_of"]

# What a pass before the one that names the kind adds to the name.
_BEFORE = {
    "round-weights": "rounded in advance",
    "restore-weights": "float layers unrounded",
    "store-int8": "float layers stored in int8",
    "tidy": "tidied",
    "fuse": "fused",
}
# Options that name parts of a network, by what their parts are called.
_PARTS = {
    "units": "narrower width",
    "channels": "slimmer width",
    "ranks": "low-rank layer",
    "layers": "separable layer",
    "blocks": "bridged block",
    "tokens": "merging block",
}
_SURGERY = {
    "resize": "smaller pictures",
    "slim": "slimmer",
    "narrow": "narrower",
    "factor": "low-rank",
    "separate": "separable",
    "drop": "fewer blocks",
    "merge-tokens": "fewer tokens",
}
_INSTEAD = "substitute"
_EXIT = "exit-after"
_AFTER_SURGERY = ("repair", "distill", "to-graph")
_INT8 = ("quantize-nncf-ir", "quantize-nncf", "quantize-ort", "restore", "restore-ir")


def kind_of(steps: tuple[Step, ...], precision: str) -> str:
    """``"fp32"``, ``"bf16"``, ``"int8"``, ``"int8 + bf16"``, ``"learnt int8"``, ``"int8 dynamic"``, ``"weights int8"`` ..."""
    names = [step.name for step in steps]
    surgery = [_SURGERY[name] for name in names if name in _SURGERY]
    # Never a mere "resnet": the reader has to see that it isn't the network that was given.
    surgery += [f"{_INSTEAD} {s.options['family']}" for s in steps if s.name == _INSTEAD]
    surgery += [f"exit after {s.options['block']}" for s in steps if s.name == _EXIT]
    if surgery:
        changing = {*_SURGERY, _INSTEAD, _EXIT, *_AFTER_SURGERY}
        rest = tuple(step for step in steps if step.name not in changing)
        *before, last = surgery
        done = f"{', '.join(before)} and {last}" if before else last
        taught = ", taught" if "distill" in names else ""
        return f"{done}{taught}, {kind_of(rest, precision)}"
    kind = ""
    if "learn-int8" in names:
        kind = "learnt int8"
    elif any(name in _INT8 for name in names):
        kind = "int8"
    elif "quantize-dynamic" in names:
        kind = "int8 dynamic"
    elif "store-int8" in names:
        kind = "rounded weights int8" if "round-weights" in names else "weights int8"
    elif any(name.startswith("quantize-weights") for name in names):
        options = next(s.options for s in steps if s.name.startswith("quantize-weights"))
        kind = f"weights int{options.get('bits', 8)}"
    elif "cast" in names:
        options = next(step.options for step in steps if step.name == "cast")
        kind = f"weights {options.get('weights', 'fp16')}"
    elif "fuse" in names:
        kind = "fused"
    if not kind:
        return precision
    return kind if precision == "fp32" else f"{kind} + {precision}"


def name_of(recipe: Recipe, taken: Mapping[str, Recipe], *, probe: bool = False) -> str:
    """A name such as ``"openvino int8"``; of a second one only what sets it apart is added.

    Args:
        recipe: the candidate.
        taken: names already given in this search, with their recipes.
        probe: whether it only asks what is reachable; it leaves the plain name to others.
    """
    base = f"{recipe.runtime} {kind_of(recipe.steps, recipe.settings.precision)}"
    if probe:
        base = f"{base} probe"
    if base not in taken:
        return base
    other = taken[base]
    apart = [*_settings_apart(recipe, other), *_options_apart(recipe, other)]
    name = f"{base} ({', '.join(apart)})"
    return name if apart and name not in taken else f"{base} #{recipe.digest()[:6]}"


def _settings_apart(recipe: Recipe, other: Recipe) -> list[str]:
    own, its = recipe.settings, other.settings
    words: list[str] = []
    for field in own.__struct_fields__:
        value = getattr(own, field)
        if value == getattr(its, field):
            continue
        if field == "threads":
            words.append(f"{value} thread{'s' if value != 1 else ''}")
        elif field == "fixed":
            words.append(", ".join(f"{k} {v}" for k, v in value.items()) or "any size")
        elif field == "round_up":
            words.append(", ".join(f"{k} in {v}s" for k, v in value.items()) or "not padded")
        elif isinstance(value, bool):
            words.append(_plain(field) if value else f"no {_plain(field)}")
        else:
            words.append(f"{_plain(field)} {value}")
    return words


def _options_apart(recipe: Recipe, other: Recipe) -> list[str]:
    own, its = _options(recipe), _options(other)
    passes = {step.name for step in other.steps}
    words = [
        _BEFORE[step.name]
        for step in recipe.steps
        if step.name in _BEFORE and step.name not in passes
    ]
    words += [_said(k, v) for k, v in own.items() if its.get(k) != v]
    return words + [f"default {_plain(k)}" for k in its if k not in own]


def _said(option: str, value: object) -> str:
    if option in _PARTS and isinstance(value, Sized):
        return f"{len(value)} {_PARTS[option]}{'s'[: len(value) != 1]}"
    return f"{_plain(option)} {_short(value)}"


def _options(recipe: Recipe) -> dict[str, object]:
    """Those that tell candidates apart; what a pass before adds to a name says all of it."""
    return {
        key: value
        for step in recipe.steps
        if step.name not in _BEFORE
        for key, value in step.options.items()
    }


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _short(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return f"{len(value)} layers" if len(value) > 1 else str(value[0] if value else "none")
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)
