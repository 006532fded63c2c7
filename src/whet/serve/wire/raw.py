"""A body that is nothing but the bytes of one row."""

from __future__ import annotations

import math

import numpy as np

from whet.core.spec import TensorSpec
from whet.errors import RequestError
from whet.serve.wire.datatypes import NUMPY, datatype_of
from whet.serve.wire.request import Given

__all__ = ["raw_row"]


def raw_row(body: bytes, spec: TensorSpec) -> Given:
    """The bytes of one row as a tensor of a model; one axis behind the first may be of any size.

    Raises:
        RequestError: the number of bytes doesn't fit.
    """
    datatype = datatype_of(spec.dtype)
    dtype = NUMPY[datatype]
    shape = [1 if k == 0 and isinstance(d, str) else d for k, d in enumerate(spec.shape)]
    free = [k for k, dim in enumerate(shape) if isinstance(dim, str)]
    known = math.prod(dim for dim in shape if isinstance(dim, int)) * dtype.itemsize
    if len(free) > 1 or not known or len(body) % known or (not free and len(body) != known):
        raise RequestError(
            f"A raw body of {len(body)} bytes doesn't fit the input.", "Send JSON in front."
        )
    sizes = tuple(len(body) // known if isinstance(dim, str) else dim for dim in shape)
    return Given(spec.name, sizes, datatype, np.frombuffer(body, dtype).reshape(sizes))
