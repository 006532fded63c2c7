"""Verbs on recipes: passes carried out by hand, read, written, and asked of a bundle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whet.api.telling import to_nobody
from whet.bundle.read import read_bundle
from whet.core.arguments import function_of, maybe, names_of, path_of, text_of, whole_of
from whet.data.text import Pairs
from whet.data.transform import Transform
from whet.optimize.recipes.of_bundle import recipe_of as _recipe_of
from whet.optimize.recipes.pipeline import Pipeline
from whet.optimize.recipes.written import WrittenRecipe, as_recipe
from whet.optimize.recipes.written import read_recipe as _read_recipe
from whet.optimize.recipes.written import write_recipe as _write_recipe
from whet.search.applied import Applied
from whet.search.by_hand import apply_recipe
from whet.search.intake.given import given_of

if TYPE_CHECKING:
    import torch

__all__ = ["apply", "read_recipe", "recipe_of", "write_recipe"]


def apply(
    recipe: Pipeline | WrittenRecipe | str | Path,
    network: str | Path | torch.nn.Module,
    samples: Any,
    *,
    out: str | Path,
    weights: str | Path | None = None,
    transform: Transform | None = None,
    labels: Any = None,
    train: Any = None,
    label_key: str | None = None,
    text_keys: Sequence[str] | None = None,
    pairs: Pairs | None = None,
    label_offset: int = 0,
    most: int = 20_000,
    seed: int | None = None,
    threads: int | None = None,
    ignore_outputs: Sequence[str] | None = None,
    on_phase: Callable[[str], None] | None = None,
) -> Applied:
    """Carry out passes by hand: the same recipe, network, samples and seed make the same graph.

    Nothing is searched or proven. Network and samples are read and split as `optimize` does it:
    passes see the repair part alone, and training samples where there are some.

    Args:
        recipe: a `whet.Pipeline`, what `read_recipe` or `recipe_of` gave, or the path of a file.
        network: as for `optimize`, and so are all arguments up to ``most``.
        samples: a path or arrays.
        out: folder for the graph and ``recipe.yaml``, which makes it again; one that an earlier
            call wrote is replaced.
        weights: for a factory.
        transform: how pictures or texts become inputs.
        labels: given apart from the samples, in their order; the split heeds them.
        train: more samples that networks may learn from; a recipe that was found with some needs
            the same.
        label_key: column or array that holds the labels.
        text_keys: columns that hold the text.
        pairs: how two texts of a sample become rows.
        label_offset: added to class indices.
        most: samples read at most.
        seed: of all that is drawn and of the split; by default the recipe's, 0 for a pipeline.
        threads: compute threads of the passes, on which the last bits of sums depend; by default
            the recipe's, else all cores that may be used.
        ignore_outputs: outputs that nobody compares; by default the recipe's. Such of them as have
            no row for each row of the inputs are left out.
        on_phase: told what is being done.

    Returns:
        The path of the graph, what was skipped and why, parameters, MACs and size before and
        after, and how far the answers are from the original's on samples that no pass saw.

    Raises:
        InputError: the recipe, network or samples can't be used, or an argument is of the wrong
            type.
        PassError: a pass refused the network or broke its promise.
        HostError: an extra is missing.
        StorageError: something can't be written, or something else stands at ``out``.
    """
    say = function_of("on_phase", on_phase) if on_phase is not None else to_nobody
    whole = as_recipe(recipe).replaced(
        seed=maybe(whole_of, "seed", seed),
        threads=maybe(whole_of, "threads", threads),
        ignore_outputs=maybe(names_of, "ignore_outputs", ignore_outputs),
    )
    given = given_of(
        network,
        samples,
        weights=weights,
        transform=transform,
        labels=labels,
        train=train,
        label_key=label_key,
        text_keys=text_keys,
        pairs=pairs,
        label_offset=label_offset,
        most=most,
        seed=whole.seed,
    )
    return apply_recipe(given, whole, path_of("out", out), say)


def read_recipe(path: str | Path) -> WrittenRecipe:
    """Read a recipe, and check that its passes take its options.

    Raises:
        OptionError: no file, or no recipe; with the line where there is one.
    """
    return _read_recipe(path_of("path", path))


def write_recipe(recipe: Pipeline | WrittenRecipe, path: str | Path) -> None:
    """Write a recipe as YAML; a file that is there is replaced.

    Raises:
        OptionError: it holds what no recipe may, such as control characters in a name.
        StorageError: it can't be written.
    """
    _write_recipe(as_recipe(recipe), path_of("path", path))


def recipe_of(bundle: str | Path, variant: str | None = None) -> WrittenRecipe:
    """How a variant of a bundle was made; ``.to_yaml()`` gives it as text.

    Args:
        bundle: its folder.
        variant: the default one if left out.

    Raises:
        BundleError: it is refused, or holds no record of its search.
        OptionError: an argument of the wrong type, or a variant that the bundle doesn't have.
    """
    place, name = path_of("bundle", bundle), maybe(text_of, "variant", variant)
    return _recipe_of(read_bundle(place), name)
