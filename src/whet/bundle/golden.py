"""Golden inputs and outputs: what a variant answered when it was made.

A bundle records a few inputs, the untouched original's outputs, and each
variant's own outputs. Replaying them where the bundle is served shows that
engine, machine and settings still give the same answers. They don't measure
quality: that is the evidence's part.

Each tensor is one raw ``.npy`` file (version 1.0, C order, little endian).
Shape and dtype stand in the manifest too; the file must agree with it byte
for byte in size, so nothing is allocated on a file's word and nothing is ever
unpickled.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whet.bundle.check import DTYPES, MAX_TENSOR_BYTES
from whet.bundle.manifest import GoldenTensor, Tolerance
from whet.bundle.read import Bundle
from whet.core.recipe import Recipe
from whet.core.settings import Precision
from whet.core.spec import Arrays
from whet.errors import BundleCorruptError, BundleError, EngineError

__all__ = [
    "GoldenResult",
    "Goldens",
    "compare",
    "default_tolerance",
    "load_goldens",
    "npy_bytes",
    "parse_npy",
    "record",
    "replay",
]

# The header as numpy writes it. numpy's own reader evaluates it as a Python literal, which takes
# far more than it gives and fails in many ways; this takes what a bundle may hold and no more.
_HEADER = re.compile(
    rb"\{'descr': '(?P<descr>[<|][a-z]\d)', 'fortran_order': False,"
    rb" 'shape': \((?P<shape>[0-9, ]{0,400})\), \} *\n"
)
_REMEDY = "Get the bundle again from where it was made."
Run = Callable[[Arrays], Mapping[str, NDArray[np.generic]]]


@dataclass(frozen=True)
class Goldens:
    """What is replayed for one variant.

    Attributes:
        inputs: rows in the leading axis.
        expected: the variant's own recorded outputs.
        reference: the untouched original's outputs; may be empty.
        rows_per_run: rows given to the engine at once.
        tolerance: how far an output may be from ``expected``.
    """

    inputs: Arrays
    expected: Arrays
    reference: Arrays
    rows_per_run: int
    tolerance: Tolerance


@dataclass(frozen=True)
class GoldenResult:
    """One output compared.

    Attributes:
        tensor: name of the output.
        ok: within the tolerance.
        max_difference: largest absolute difference of finite elements.
        limit: what the tolerance allows.
        top1: share of rows whose largest element kept its place; ``None`` = not checked.
        sentence: the outcome in words.
    """

    tensor: str
    ok: bool
    max_difference: float
    limit: float
    top1: float | None
    sentence: str


def default_tolerance(recipe: Recipe, *, classifier: bool) -> Tolerance:
    """The tolerance for a variant made by ``recipe``.

    The same engine on another processor may sum in another order (float32),
    round elsewhere (bfloat16: 8 bits of mantissa) or saturate otherwise
    (int8 without VNNI), so the share of the range that may differ follows the
    coarsest arithmetic in the recipe.

    Args:
        recipe: passes and settings of the variant.
        classifier: whether the first output holds one score per class.
    """
    coarse = any(step.name.startswith("quantize") for step in recipe.steps)
    reduced = recipe.settings.precision is not Precision.FP32 or any(
        step.name == "cast" for step in recipe.steps
    )
    relative = 0.1 if coarse else 0.05 if reduced else 1e-3
    top1 = None if not classifier else 0.75 if coarse or reduced else 0.9
    return Tolerance(absolute=1e-5, relative=relative, top1=top1)


def load_goldens(bundle: Bundle, variant: str | None = None) -> Goldens | None:
    """Read and check the goldens of one variant; ``None`` if it has none.

    Raises:
        BundleError: no such variant.
        BundleCorruptError: a file differs from what the manifest says.
    """
    chosen = bundle.variant(variant)
    common = bundle.manifest.goldens
    if common is None or not chosen.goldens or chosen.tolerance is None:
        return None

    def load(tensors: tuple[GoldenTensor, ...]) -> Arrays:
        return {
            tensor.name: parse_npy(bundle.read(tensor.file, MAX_TENSOR_BYTES + 4096), tensor)
            for tensor in tensors
        }

    return Goldens(
        inputs=load(common.inputs),
        expected=load(chosen.goldens),
        reference=load(common.reference),
        rows_per_run=common.rows_per_run,
        tolerance=chosen.tolerance,
    )


def record(inputs: Arrays, rows_per_run: int, run: Run) -> Arrays:
    """Run the golden inputs as a replay will, and return the outputs joined by rows.

    Raises:
        BundleError: the rows can't be split into runs.
        EngineError: outputs of several runs can't be joined.
    """
    rows = {len(array) if array.ndim else 0 for array in inputs.values()}
    count = rows.pop() if len(rows) == 1 else 0
    if count < 1 or rows_per_run < 1 or count % rows_per_run:
        raise BundleError(
            f"The golden inputs can't be split into runs of {rows_per_run} rows.",
            "Give inputs of equal length, a multiple of the rows per run.",
        )
    parts = [
        run({name: array[start : start + rows_per_run] for name, array in inputs.items()})
        for start in range(0, count, rows_per_run)
    ]
    if len(parts) == 1:
        return {name: np.array(array) for name, array in parts[0].items()}
    try:
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    except (ValueError, KeyError) as error:
        raise EngineError(
            f"The golden outputs of several runs can't be joined: {error}.",
            "Record all rows in one run.",
        ) from error


def replay(goldens: Goldens, run: Run) -> list[GoldenResult]:
    """Run the golden inputs and compare with the recorded outputs.

    Args:
        goldens: from `load_goldens`.
        run: of an open session.

    Returns:
        One result per output; all must be ``ok``.
    """
    got = record(goldens.inputs, goldens.rows_per_run, run)
    return compare(goldens.expected, got, goldens.tolerance)


def compare(
    expected: Mapping[str, NDArray[np.generic]],
    got: Mapping[str, NDArray[np.generic]],
    tolerance: Tolerance,
) -> list[GoldenResult]:
    """Compare outputs by the tolerance; pure. Top-1 is checked on the first output."""
    results = []
    for number, (name, want) in enumerate(expected.items()):
        have = got.get(name)
        if have is None or have.shape != want.shape or have.dtype != want.dtype:
            found = "is missing" if have is None else f"is {have.dtype}{list(have.shape)}"
            sentence = f"'{name}' {found}; {want.dtype}{list(want.shape)} was recorded."
            results.append(GoldenResult(name, False, math.inf, 0.0, None, sentence))
            continue
        top1 = _top1(want, have) if number == 0 and tolerance.top1 is not None else None
        results.append(_compare_one(name, want, have, tolerance, top1))
    return results


def _compare_one(
    name: str,
    want: NDArray[np.generic],
    have: NDArray[np.generic],
    tolerance: Tolerance,
    top1: float | None,
) -> GoldenResult:
    a, b = want.astype(np.float64), have.astype(np.float64)
    # Infinities may be meant (masked scores); they must stand at the same places.
    odd = ~np.isfinite(a) | ~np.isfinite(b)
    same_odd = bool(np.array_equal(a[odd], b[odd], equal_nan=True))
    span = float(np.max(np.abs(np.where(np.isfinite(a), a, 0.0)), initial=0.0))
    gap = np.abs(np.where(odd, 0.0, a) - np.where(odd, 0.0, b))
    difference = float(np.max(gap, initial=0.0))
    limit = tolerance.absolute + tolerance.relative * span
    enough = top1 is None or tolerance.top1 is None or top1 >= tolerance.top1
    faults = []
    if not same_odd:
        faults.append("NaN or infinity where none was recorded")
    if difference > limit:
        faults.append(f"differs by up to {difference:.3g}, {limit:.3g} is allowed")
    if not enough:
        faults.append(f"top-1 stays in {top1:.0%} of the rows, {tolerance.top1:.0%} is asked")
    sentence = f"'{name}' {'; '.join(faults) or f'agrees within {difference:.3g}'}."
    return GoldenResult(name, not faults, difference, limit, top1, sentence)


def _top1(want: NDArray[np.generic], have: NDArray[np.generic]) -> float | None:
    if want.ndim != 2 or want.shape[1] < 2 or not len(want):
        return None
    return float(np.mean(want.argmax(axis=1) == have.argmax(axis=1)))


def npy_bytes(array: NDArray[np.generic], name: str) -> bytes:
    """The array as a ``.npy`` file.

    Raises:
        BundleError: of a dtype that a bundle doesn't hold, or too large.
    """
    if array.dtype.name not in DTYPES or array.nbytes > MAX_TENSOR_BYTES:
        raise BundleError(
            f"The golden '{name}' is {array.dtype}[{array.nbytes} bytes].",
            f"Record plain numbers of at most {MAX_TENSOR_BYTES} bytes; take fewer rows.",
        )
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    stream = io.BytesIO()
    np.lib.format.write_array(
        stream, little.reshape(array.shape), version=(1, 0), allow_pickle=False
    )
    return stream.getvalue()


def parse_npy(data: bytes, tensor: GoldenTensor) -> NDArray[np.generic]:
    """Decode a hostile ``.npy`` file; it must hold exactly what ``tensor`` says.

    Raises:
        BundleCorruptError: not such a file, or of another dtype, shape or size.
    """
    length = int.from_bytes(data[8:10], "little")
    header = _HEADER.fullmatch(data[10 : 10 + length])
    if data[:8] != b"\x93NUMPY\x01\x00" or header is None:
        raise BundleCorruptError(f"'{tensor.file}' is no .npy file of version 1.0.", _REMEDY)
    wanted = np.dtype(tensor.dtype).newbyteorder("<")
    offset = 10 + length
    shape = ", ".join(str(size) for size in tensor.shape) + ("," if len(tensor.shape) == 1 else "")
    if (
        header["descr"] != wanted.str.encode()
        or header["shape"] != shape.encode()
        or len(data) - offset != math.prod(tensor.shape) * wanted.itemsize
    ):
        raise BundleCorruptError(
            f"'{tensor.file}' holds another dtype, shape or size than the manifest says"
            f" ({tensor.dtype}{list(tensor.shape)}).",
            _REMEDY,
        )
    values = np.frombuffer(data, dtype=wanted, offset=offset).reshape(tensor.shape)
    return values.astype(np.dtype(tensor.dtype))  # own, writable, native order
