"""The protocol's messages, made from its compiled description.

They live in a pool of their own: two descriptions of one package clash in the common one, and a client
of another project in the same process brings its own.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from whet._optional import require

__all__ = ["message"]

_COMPILED = "open_inference.binpb"


@cache
def message(name: str) -> Any:
    """The class of a message by its full name, such as ``"inference.ModelInferRequest"``.

    Raises:
        MissingExtraError: gRPC's packages aren't installed.
        KeyError: there is no such message.
    """
    factory = require("google.protobuf.message_factory", "speak gRPC")
    return factory.GetMessageClass(_pool().FindMessageTypeByName(name))


@cache
def _pool() -> Any:
    pool = require("google.protobuf.descriptor_pool", "speak gRPC").DescriptorPool()
    descriptions = require("google.protobuf.descriptor_pb2", "speak gRPC").FileDescriptorSet()
    descriptions.ParseFromString(resources.files(__package__).joinpath(_COMPILED).read_bytes())
    for file in descriptions.file:
        pool.Add(file)
    return pool
