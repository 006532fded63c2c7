"""That nothing of the network that was given is left in what was chosen, in words; pure.

Light: the report's headline says it, and the command line imports that before it loads anything.
"""

from __future__ import annotations

from whet.core.recipe import Recipe

__all__ = ["SUBSTITUTION", "substitution"]

SUBSTITUTION = "It is another network, taught to answer as yours does."


def substitution(recipe: Recipe) -> str:
    """The sentence on a substitute, led by a space; empty where the network itself was changed."""
    return f" {SUBSTITUTION}" if recipe.substitutes else ""
