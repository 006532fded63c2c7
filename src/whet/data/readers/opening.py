"""Find the reader that fits what the user gave."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whet.core.foreign import ArrayLike, array_of
from whet.core.reach import Kind, found, is_folder, readable
from whet.core.spec import TensorSpec
from whet.data.readers.arrays import open_arrays, open_npy, open_npz
from whet.data.readers.classes import ClassNames
from whet.data.readers.images import open_images
from whet.data.readers.labels import Relabelled, load_labels
from whet.data.readers.python import open_iterable
from whet.data.readers.text import open_text
from whet.data.sample import Label, Reader
from whet.data.transform import Transform
from whet.data.userfile import USER_ERRORS, is_reference, load_function, raised
from whet.errors import SamplesError

__all__ = ["Source", "open_samples"]

Source = str | Path | Mapping[str, NDArray[np.generic]] | Iterable[object] | Callable[[], object]

_KINDS = "Known are .npz, .npy, .jsonl, .csv, a folder of pictures and module:function."


def open_samples(
    source: Source,
    *,
    labels: str | Path | Sequence[Label] | NDArray[np.generic] | None = None,
    transform: Transform | None = None,
    label_key: str | None = None,
    text_keys: tuple[str, ...] | None = None,
    expect: tuple[TensorSpec, ...] | None = None,
    label_offset: int = 0,
    class_names: Sequence[str] = (),
    untransformed: str = "",
) -> Reader:
    """Open samples of any kind; nothing but headers and the first sample is read yet.

    Args:
        source: the path of an `.npz` (``file.npz#prefix`` takes one of several
            sets), `.npy`, `.jsonl` or `.csv` file, a folder of pictures,
            ``module:function`` or ``file.py:function``; or arrays by name, one
            array, ``(inputs, labels)``, a function, an iterable of samples or batches.
        labels: given apart from the inputs, in the order of the samples.
        transform: how pictures are decoded or texts encoded.
        label_key: name of the array, column or key that holds the labels,
            where it isn't one of the usual names (``labels``, ``label``, ``y``,
            ``class_index``, ``score``); ``""`` says that there are none.
        text_keys: the one or two columns that hold text.
        expect: the network's inputs where they are known; arrays are then
            checked against them, and cast or renamed where that loses nothing.
            With a transform as well, arrays that are ready for the network are
            taken as they are.
        label_offset: added to class indices (1 where the network counts a
            background class first).
        class_names: the network's, by class index, where it says them; class folders
            and labels in text files may then be names.
        untransformed: why the network comes without a transform, where that is known; a
            sentence for whoever gives pictures or text all the same.

    Raises:
        SamplesError: missing, unreadable, of an unknown kind, or what the network can't take.
        MissingExtraError: Pillow or ``tokenizers`` isn't installed.
    """
    # Labels given apart take the place of the source's own, whatever those are called.
    named = bool(class_names) and labels is None
    reader = _open(
        source,
        transform=transform,
        label_key=label_key,
        text_keys=text_keys,
        expect=expect,
        classes=ClassNames.of(class_names, label_offset) if named else None,
        untransformed=untransformed,
        apart=labels is not None,
    )
    if labels is None and label_offset == 0:
        return reader
    return Relabelled(reader, None if labels is None else load_labels(labels), label_offset)


def _open(
    source: Source,
    *,
    transform: Transform | None,
    label_key: str | None,
    text_keys: tuple[str, ...] | None,
    expect: tuple[TensorSpec, ...] | None,
    classes: ClassNames | None,
    untransformed: str,
    apart: bool,
) -> Reader:
    if isinstance(source, str | Path):
        if not isinstance(source, Path) and _is_function(source):
            function, name = load_function(source), source
            return _from_python(
                function, name, transform=transform, label_key=label_key, expect=expect
            )
        path, prefix = _with_prefix(source)
        if prefix or path.suffix.lower() == ".npz":
            return open_npz(path, prefix, transform=transform, label_key=label_key, expect=expect)
        if is_folder(path):
            return open_images(
                path,
                transform=transform,
                label_key=label_key,
                classes=classes,
                untransformed=untransformed,
                apart=apart,
            )
        if path.suffix.lower() == ".npy":
            return open_npy(path, transform=transform, expect=expect)
        if path.suffix.lower() in (".jsonl", ".csv"):
            return open_text(
                path,
                transform=transform,
                label_key=label_key,
                text_keys=text_keys,
                classes=classes,
                untransformed=untransformed,
            )
        raise SamplesError(f"{path} is of no kind that can be read.", _KINDS)
    return _from_python(
        source,
        "the source of samples",
        transform=transform,
        label_key=label_key,
        expect=expect,
    )


def _is_function(source: str) -> bool:
    """Whether a text names a function, and nothing on disk."""
    return is_reference(source) and not found(Path(source), SamplesError).there


def _with_prefix(source: str | Path) -> tuple[Path, str]:
    """The file and, after ``#``, which set of it.

    Raises:
        SamplesError: there is no such file, or it may not be read.
    """
    path, prefix = Path(source), ""
    kind = readable(path, SamplesError)
    if not kind.there and "#" in str(source):
        head, _, prefix = str(source).rpartition("#")
        path = Path(head)
        kind = readable(path, SamplesError)
    if kind is Kind.OTHER:
        raise SamplesError(f"{path} is neither a file nor a folder.", _KINDS)
    if not kind.there:
        raise SamplesError(f"There is no file or folder {path}.", "Check the path.")
    if prefix and path.suffix.lower() != ".npz":
        raise SamplesError(
            f"'#{prefix}' after {path} has no meaning.", "It chooses a set of an .npz file."
        )
    return path, prefix


def _from_python(
    given: Source | Callable[[], object],
    source: str,
    *,
    transform: Transform | None,
    label_key: str | None,
    expect: tuple[TensorSpec, ...] | None,
) -> Reader:
    value, make = _called(given, source) if callable(given) else (given, None)
    arrays = _as_arrays(value)
    if arrays is not None:
        return open_arrays(
            arrays, source=source, transform=transform, label_key=label_key, expect=expect
        )
    if not isinstance(value, Iterable) or isinstance(value, str | bytes):
        raise SamplesError(
            f"{source} is a {type(value).__name__}, from which no samples can be read.",
            "Give a path, arrays, or what yields samples: a list, a function, a DataLoader around a"
            " dataset.",
        )
    iterable: Iterable[object] = value
    return open_iterable(
        make or (lambda: iterable),
        source=source,
        transform=transform,
        label_key=label_key,
        expect=expect,
    )


def _called(
    function: Callable[[], object], source: str
) -> tuple[object, Callable[[], Iterable[object]]]:
    """What a function returns, and how to start it anew (the first result is used first)."""
    held = [_call(function, source)]

    def make() -> Iterable[object]:
        result = held.pop() if held else _call(function, source)
        if not isinstance(result, Iterable):
            raise SamplesError(
                f"{source} returned a {type(result).__name__}.", "Return an iterable."
            )
        return result

    return held[0], make


def _call(function: Callable[[], object], source: str) -> object:
    try:
        return function()
    except USER_ERRORS as error:
        raise SamplesError(f"{source} {raised(error)}", "Repair it first.") from error


def _as_arrays(value: object) -> dict[str, NDArray[np.generic]] | None:
    """Whole arrays, if that is what was given: by name, one, or inputs and labels."""
    if isinstance(value, Mapping):
        return _by_name(value)
    if isinstance(value, ArrayLike):
        return {"input": _array(value, "input")}
    if isinstance(value, tuple) and len(value) == 2:
        inputs, given = value
        labels = _array(given, "labels") if isinstance(given, ArrayLike) else None
        if labels is None or not labels.ndim:
            return None
        if isinstance(inputs, Mapping):
            return {**_by_name(inputs), "labels": labels}
        if isinstance(inputs, ArrayLike):
            array = _array(inputs, "input")
            return {"input": array, "labels": labels} if _are_labels(labels, array) else None
    return None


def _by_name(arrays: Mapping[object, object]) -> dict[str, NDArray[np.generic]]:
    return {str(name): _array(array, str(name)) for name, array in arrays.items()}


def _array(value: object, name: str) -> NDArray[np.generic]:
    return array_of(value, f"The array '{name}' of the samples", SamplesError)


def _are_labels(array: NDArray[np.generic], inputs: NDArray[np.generic]) -> bool:
    """Whether two arrays are inputs and labels, and not two batches of inputs."""
    return array.ndim == 1 or (array.shape[1:] != inputs.shape[1:] and len(array) == len(inputs))
