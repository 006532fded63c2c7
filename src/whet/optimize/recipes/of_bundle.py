"""The recipe of a variant that a bundle holds."""

from __future__ import annotations

from whet.bundle.read import Bundle
from whet.errors import BundleError
from whet.optimize.recipes.written import WrittenRecipe

__all__ = ["recipe_of"]


def recipe_of(bundle: Bundle, variant: str | None = None) -> WrittenRecipe:
    """How a variant was made, with the seed and threads of the search that made it.

    Args:
        bundle: whose hashes were checked.
        variant: the default one if left out.

    Raises:
        OptionError: there is no such variant.
        BundleError: the record of the search isn't there, or was changed.
    """
    found, evidence = bundle.variant(variant), bundle.evidence()
    if evidence is None:
        raise BundleError(
            "The bundle holds no record of its search, so its seed isn't known.",
            "Bundles that 'whet optimize' writes hold it.",
        )
    return WrittenRecipe(
        steps=found.recipe.steps,
        seed=evidence.seed,
        threads=evidence.contract.threads,
        runtime=found.recipe.runtime,
        settings=found.recipe.settings,
        ignore_outputs=evidence.contract.ignore_outputs,
    )
