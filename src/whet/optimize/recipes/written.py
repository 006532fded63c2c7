"""Recipes as files that people read, write and keep: YAML, versioned, closed.

kind: whet-recipe
version: 1
seed: 0                   # of all that is drawn, and of the split of the samples
threads: 2                # of the passes: sums depend on it in their last bits
steps:
- narrow:                 # a pass, and its options where they aren't the default
    share: 0.3
- repair
- to-graph
- quantize-nncf:
    subset_size: 128
runtime: openvino         # what to run the graph with, where that is known
settings:
  threads: 2
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from whet.bundle.disk import write_whole
from whet.core.arguments import instance_of
from whet.core.bounds import MOST_PARALLEL, MOST_SEED
from whet.core.reach import Kind, readable
from whet.core.recipe import Step
from whet.core.registry import names
from whet.core.settings import Settings
from whet.errors import OptionError
from whet.optimize.build import pass_of
from whet.optimize.recipes.pipeline import Pipeline
from whet.optimize.recipes.yaml_text import MOST_BYTES, Parsed, Place, parse, written

__all__ = ["KIND", "VERSION", "WrittenRecipe", "as_recipe", "decode", "read_recipe", "write_recipe"]

KIND = "whet-recipe"
VERSION = 1
_MOST_OUTPUTS = 1000
_MOST_SIZE = 1 << 31


class WrittenRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What makes a graph of a network and samples, and the same one each time.

    Attributes:
        steps: passes in order; none leaves the network as it is.
        seed: of all that is drawn, and of the split of the samples.
        threads: compute threads of the passes; ``None`` takes the cores that are allowed. Sums
            depend on it in their last bits.
        runtime: what the graph is meant for, where that is known.
        settings: of the runtime.
        ignore_outputs: outputs that nobody compares; such of them as have no row for each row of
            the inputs are left out of the graph.
    """

    steps: tuple[Step, ...]
    seed: int = 0
    threads: int | None = None
    runtime: str | None = None
    settings: Settings | None = None
    ignore_outputs: tuple[str, ...] = ()

    def replaced(
        self,
        *,
        seed: int | None = None,
        threads: int | None = None,
        ignore_outputs: tuple[str, ...] | None = None,
    ) -> WrittenRecipe:
        """The same with another seed, threads or outputs, where they are given.

        Raises:
            OptionError: one that can't be used.
        """
        given = {"seed": seed, "threads": threads, "ignore_outputs": ignore_outputs}
        made = msgspec.structs.replace(self, **{k: v for k, v in given.items() if v is not None})
        if not 0 <= made.seed <= MOST_SEED:
            raise OptionError(f"The seed {made.seed} can't be used.", f"Give 0-{MOST_SEED}.")
        if made.threads is not None and not 1 <= made.threads <= MOST_PARALLEL:
            raise OptionError(f"threads={made.threads} can't run.", f"Give 1-{MOST_PARALLEL}.")
        return made

    def pipeline(self) -> Pipeline:
        """The passes.

        Raises:
            OptionError: an option is wrong, or a pass stands in the wrong place.
        """
        return Pipeline(tuple(pass_of(step) for step in self.steps))

    def to_yaml(self) -> str:
        """The recipe as the text of a file.

        Raises:
            OptionError: it holds what no file of one can: control characters, infinity.
        """
        document: dict[str, object] = {"kind": KIND, "version": VERSION, "seed": self.seed}
        if self.threads is not None:
            document["threads"] = self.threads
        if self.ignore_outputs:
            document["ignore_outputs"] = list(self.ignore_outputs)
        document["steps"] = [
            {step.name: _plain(step.options)} if step.options else step.name for step in self.steps
        ]
        if self.runtime is not None:
            document["runtime"] = self.runtime
        if self.settings is not None:
            document["settings"] = _plain(self.settings)
        text = written(document)
        # Held to the rules of its reader, who knows no infinity either.
        read = decode(text.encode("utf-8", "surrogatepass"), "recipe")
        if _plain(read) != _plain(self):
            raise OptionError(
                "The recipe holds what no file of one can, such as a number that isn't finite.",
                "Correct its options.",
            )
        return text


def as_recipe(given: Pipeline | WrittenRecipe | str | Path) -> WrittenRecipe:
    """A recipe, whatever it was given as; a path is that of a file.

    Raises:
        OptionError: it is something else, or the file is no recipe.
    """
    if isinstance(given, str | Path):
        return read_recipe(Path(given))
    if isinstance(given, Pipeline):
        return WrittenRecipe(given.steps)
    remedy = "Give a whet.Pipeline, a recipe, or the path of one."
    return instance_of("recipe", given, (WrittenRecipe,), remedy)


def read_recipe(path: Path) -> WrittenRecipe:
    """Read a recipe, and check that its passes are there and take its options.

    Args:
        path: of the file.

    Raises:
        OptionError: no file, or no recipe; with the line where there is one.
    """
    if readable(path, OptionError) is not Kind.FILE:
        raise OptionError(f"'{path}' is no file.", "Give a recipe, a .yaml file.")
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    recipe, parsed = _decoded(data, path.name)
    for number, step in enumerate(recipe.steps):
        try:
            pass_of(step)
        except OptionError as error:
            raise parsed.refusal(
                _option_place(number, step, error), error.message, error.remedy
            ) from error
    try:
        recipe.pipeline()
    except OptionError as error:
        raise parsed.refusal(("steps",), error.message, error.remedy) from error
    return recipe


def write_recipe(recipe: WrittenRecipe, path: Path) -> None:
    """Write a recipe whole or not at all; a file that is there is replaced.

    Args:
        recipe: to write.
        path: of the file.

    Raises:
        OptionError: it holds what no recipe may.
        StorageError: it can't be written.
    """
    write_whole(recipe.to_yaml().encode(), path)


def decode(data: bytes, what: str) -> WrittenRecipe:
    """A recipe from hostile text; whether passes take their options is left to their making.

    Args:
        data: the text.
        what: the file's name for messages.

    Raises:
        OptionError: no recipe; with the line.
    """
    return _decoded(data, what)[0]


def _decoded(data: bytes, what: str) -> tuple[WrittenRecipe, Parsed]:
    parsed = parse(data, what)
    document = parsed.value
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise parsed.refusal(("kind",), "This is no recipe.", f"A recipe begins with kind: {KIND}.")
    version = document.get("version")
    if version != VERSION or isinstance(version, bool):
        raise parsed.refusal(
            ("version",),
            f"Version {version!r:.40} of recipes is not known.",
            f"This whet reads version {VERSION}; a newer one may read it.",
        )
    _need_known(parsed, (), document, {"kind", "version", *WrittenRecipe.__struct_fields__})
    if "steps" not in document:
        raise parsed.refusal((), "There are no steps.", "List the passes under steps; [] is none.")
    recipe = WrittenRecipe(
        steps=_steps(parsed, document["steps"]),
        seed=_whole(parsed, "seed", document.get("seed", 0), 0, MOST_SEED),
        threads=_maybe_whole(parsed, "threads", document.get("threads")),
        runtime=_runtime(parsed, document.get("runtime")),
        settings=_settings(parsed, document),
        ignore_outputs=_outputs(parsed, document.get("ignore_outputs", [])),
    )
    return recipe, parsed


def _need_known(parsed: Parsed, place: Place, have: Mapping[str, object], known: set[str]) -> None:
    for key in have:
        if key not in known:
            listed = ", ".join(sorted(known))
            raise parsed.refusal(
                (*place, key), f"'{key:.60}' is not known here.", f"Known are {listed}."
            )


def _steps(parsed: Parsed, value: object) -> tuple[Step, ...]:
    if not isinstance(value, list):
        raise parsed.refusal(("steps",), "The steps are no list.", "Begin each with a dash (-).")
    return tuple(_step(parsed, ("steps", number), each) for number, each in enumerate(value))


def _step(parsed: Parsed, place: Place, value: object) -> Step:
    if isinstance(value, dict) and len(value) == 1:
        name, options = next(iter(value.items()))
    else:
        name, options = value, None
    if not isinstance(name, str) or not isinstance(options, dict | None):
        raise parsed.refusal(
            place,
            "This is no step.",
            "Give the name of a pass, or 'name:' with its options indented below.",
        )
    if name not in names("pass"):
        raise parsed.refusal(
            place, f"There is no pass '{name:.60}'.", f"The passes are {', '.join(names('pass'))}."
        )
    return Step(name, options or {})


def _whole(parsed: Parsed, key: str, value: object, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise parsed.refusal(
            (key,), f"{value!r:.60} can't be used as {key}.", f"Give {least}-{most}."
        )
    return value


def _maybe_whole(parsed: Parsed, key: str, value: object) -> int | None:
    return None if value is None else _whole(parsed, key, value, 1, MOST_PARALLEL)


def _runtime(parsed: Parsed, value: object) -> str | None:
    if value is not None and (not isinstance(value, str) or value not in names("runtime")):
        raise parsed.refusal(
            ("runtime",),
            f"There is no runtime {value!r:.60}.",
            f"The runtimes are {', '.join(names('runtime'))}.",
        )
    return value


def _settings(parsed: Parsed, document: Mapping[str, object]) -> Settings | None:
    value = document.get("settings")
    if value is None:
        return None
    if document.get("runtime") is None:
        raise parsed.refusal(
            ("settings",), "Settings of no runtime.", "Name the runtime, or leave them out."
        )
    if not isinstance(value, dict):
        raise parsed.refusal(("settings",), "The settings are no mapping.", "Give name: value.")
    _need_known(parsed, ("settings",), value, set(Settings.__struct_fields__))
    for key, own in value.items():  # one by one, so that the line is known
        try:
            made = msgspec.convert({key: own}, Settings)
        except msgspec.ValidationError as error:
            raise parsed.refusal(
                ("settings", key), f"'{key}' can't be {own!r:.60}: {error}.", "Correct the value."
            ) from error
        sizes = (made.threads, made.streams, *made.fixed.values(), *made.round_up.values())
        if not all(0 < size <= _MOST_SIZE for size in sizes):
            raise parsed.refusal(
                ("settings", key), f"'{key}' can't be {own!r:.60}.", "Give 1 or more."
            )
        _whole(parsed, "settings", max(made.threads, made.streams), 1, MOST_PARALLEL)
    return msgspec.convert(value, Settings)


def _outputs(parsed: Parsed, value: object) -> tuple[str, ...]:
    if (
        not isinstance(value, list)
        or len(value) > _MOST_OUTPUTS
        or not all(isinstance(each, str) for each in value)
    ):
        raise parsed.refusal(
            ("ignore_outputs",), "The outputs to ignore are no list of names.", "Give [name, name]."
        )
    return tuple(value)


def _plain(value: object) -> object:
    """As a file has it: of enums their values, of tuples lists."""
    value = msgspec.to_builtins(value)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _option_place(number: int, step: Step, error: OptionError) -> Place:
    """Where an option stands that an error names, else the step."""
    named = next((key for key in step.options if key in error.message), None)
    place: Place = ("steps", number)
    return place if named is None else (*place, step.name, named)
