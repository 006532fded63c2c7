"""Whether an exported OpenVINO engine is still the function that was compiled.

OpenVINO 2026.4's CPU plugin takes the transposes around a recurrent layer out and
loses on export that it did: what is read back from the blob then takes steps for
rows, and mixes the rows of a batch of two or more without a word. Some int8 graphs
with such layers can't be read back at all. So the blob of a graph with layers that run
step by step is imported once, and answers a few made-up requests beside the compiled
model it was exported from. Others are spared that: on a ResNet-50 the import takes an
eighth, and the requests as long, as its compilation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from whet.core.spec import Arrays, Signature
from whet.errors import InputError
from whet.runtimes.guard import numpy_dtype
from whet.runtimes.ov_session import Loaded
from whet.runtimes.ov_sizes import SizeCheck

if TYPE_CHECKING:
    import openvino

__all__ = ["same_function"]

# The plugin's own names of layers that hold steps, or graphs that may.
_STEPPING = frozenset({"RNNSeq", "RNNCell", "TensorIterator", "If"})
_ROWS = (1, 2)  # the rows of a batch of one can't mix
# For every other symbol: steps of a sequence, sides of small and of usual pictures.
_LENGTHS = (5, 32, 224)


def same_function(
    compiled: Loaded,
    load: Callable[[], Loaded],
    read: Callable[[], openvino.Model],
    signature: Signature,
) -> bool:
    """Whether a blob can stand in for the model that it was exported from.

    Both run the same kernels here, so answers are compared to the last bit. "No" also
    where nothing could be asked: a graph's own file is never wrong.

    Args:
        compiled: the model.
        load: imports its blob.
        read: reads the graph, which knows the sizes that it can take.
        signature: of the model, fixed sizes in place.
    """
    if not _has_steps(compiled.model):
        return True
    try:
        imported = load()
        return all(
            request is not None and _same_answers(compiled.model, imported.model, request)
            for request in _requests(signature, SizeCheck(read, signature))
        )
    except (RuntimeError, ValueError, InputError):
        return False


def _has_steps(compiled: openvino.CompiledModel) -> bool:
    layers = compiled.get_runtime_model().get_ops()
    return any(str(layer.get_rt_info()["layerType"].value) in _STEPPING for layer in layers)


def _requests(signature: Signature, check: SizeCheck) -> Iterator[Arrays | None]:
    """One for each number of rows, of the first length that the graph takes, if any."""
    symbols = {d for spec in signature.inputs for d in spec.shape if isinstance(d, str)}
    rows = {spec.shape[0] for spec in signature.inputs if spec.shape} & symbols
    for count in _ROWS if rows else _ROWS[:1]:
        made = (
            _made_up(signature, {s: count if s in rows else length for s in symbols})
            for length in _LENGTHS
        )
        yield next((request for request in made if _admitted(check, request)), None)


def _admitted(check: SizeCheck, request: Arrays) -> bool:
    try:
        check.admit(list(request.values()))
    except RuntimeError:
        return False
    return True


def _made_up(signature: Signature, sizes: Mapping[str, int]) -> Arrays:
    """Rows that differ. Whole numbers are 0 and 1: any table has entries of these."""
    generator = np.random.default_rng(0)
    request = {}
    for spec in signature.inputs:
        shape = tuple(sizes[d] if isinstance(d, str) else d for d in spec.shape)
        dtype = numpy_dtype(spec.dtype)
        drawn = (
            generator.standard_normal(shape)
            if dtype.kind == "f"
            else generator.integers(0, 2, shape)
        )
        request[spec.name] = drawn.astype(dtype)
    return request


def _same_answers(
    one: openvino.CompiledModel, other: openvino.CompiledModel, request: Arrays
) -> bool:
    return all(
        np.array_equal(have, want, equal_nan=have.dtype.kind == "f")
        for have, want in zip(one(request).values(), other(request).values(), strict=True)
    )
