"""Short names for candidates, unique within one search; pure."""

from __future__ import annotations

from collections.abc import Collection

from whet.core.recipe import Recipe, Step

__all__ = ["kind_of", "name_of"]

_INT8 = ("quantize-nncf-ir", "quantize-nncf", "quantize-ort", "restore")


def kind_of(steps: tuple[Step, ...], precision: str) -> str:
    """``"fp32"``, ``"bf16"``, ``"int8"``, ``"int8 + bf16"``, ``"int8 dynamic"``, ``"weights int8"`` ..."""
    names = [step.name for step in steps]
    kind = ""
    if any(name in _INT8 for name in names):
        kind = "int8"
    elif "quantize-dynamic" in names:
        kind = "int8 dynamic"
    elif "quantize-weights" in names:
        options = next(step.options for step in steps if step.name == "quantize-weights")
        kind = f"weights int{options.get('bits', 8)}"
    elif "cast" in names:
        options = next(step.options for step in steps if step.name == "cast")
        kind = f"weights {options.get('to', 'fp16')}"
    elif "fuse" in names:
        kind = "fused"
    if not kind:
        return precision
    return kind if precision == "fp32" else f"{kind} + {precision}"


def name_of(recipe: Recipe, taken: Collection[str]) -> str:
    """A name such as ``"openvino int8"``; what sets it apart is added only when needed.

    Args:
        recipe: the candidate.
        taken: names already given in this search.
    """
    base = f"{recipe.runtime} {kind_of(recipe.steps, recipe.settings.precision)}"
    options = ", ".join(
        f"{key.replace('_', ' ')} {_short(value)}"
        for step in recipe.steps
        for key, value in step.options.items()
    )
    tries = [base, f"{base} ({recipe.settings.brief()})"]
    if options:
        tries += [f"{base} [{options}]", f"{base} [{options}] ({recipe.settings.brief()})"]
    for name in tries:
        if name not in taken:
            return name
    return f"{base} #{recipe.digest()[:6]}"


def _short(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return f"{len(value)} names" if len(value) > 1 else str(value[0] if value else "none")
    return str(value)
