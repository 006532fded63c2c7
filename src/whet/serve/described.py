"""What the protocol tells of a server and its models, as JSON values; pure."""

from __future__ import annotations

from collections.abc import Sequence

from whet import __version__
from whet.core.spec import TensorSpec
from whet.serve.dataplane import wire_spec
from whet.serve.hosting.hosted import Hosted
from whet.serve.wire.regions import Region

__all__ = ["EXTENSIONS", "config_of", "model_metadata", "regions_of", "server_metadata"]

EXTENSIONS = (
    "binary_tensor_data",
    "model_configuration",
    "model_repository",
    "schedule_policy",
    "statistics",
)
_PLATFORM = "whet"


def server_metadata(name: str, *, shared_memory: bool = False) -> dict[str, object]:
    """Of the server; ``name`` is what clients look for."""
    extensions = [*EXTENSIONS, "system_shared_memory"] if shared_memory else list(EXTENSIONS)
    return {"name": name, "version": __version__, "extensions": extensions}


def regions_of(regions: Sequence[Region]) -> list[dict[str, object]]:
    """Of regions of shared memory."""
    return [
        {"name": r.name, "key": r.key, "offset": r.offset, "byte_size": r.byte_size}
        for r in regions
    ]


def model_metadata(hosted: Hosted, versions: tuple[str, ...]) -> dict[str, object]:
    """Of a model: what it takes and gives."""
    signature = hosted.manifest.signature
    found: dict[str, object] = {
        "name": hosted.name,
        "versions": list(versions),
        "platform": _PLATFORM,
        "inputs": [wire_spec(spec) for spec in signature.inputs],
        "outputs": [wire_spec(spec) for spec in signature.outputs],
    }
    if hosted.rawly is not None:
        found["properties"] = {"raw_input": hosted.rawly.name}
    return found


def config_of(hosted: Hosted) -> dict[str, object]:
    """The model's configuration, in the form that load generators read."""
    signature = hosted.manifest.signature
    batched = signature.batch_symbol is not None
    found: dict[str, object] = {
        "name": hosted.name,
        "platform": _PLATFORM,
        "backend": _PLATFORM,
        "version_policy": {"latest": {"num_versions": 1}},
        # Without a batch axis there is no batch; with one, a request may bring several rows even
        # where requests don't share batches.
        "max_batch_size": max(hosted.batches, 1) if batched else 0,
        "input": [_config_spec(spec, batched) for spec in signature.inputs],
        "output": [_config_spec(spec, batched) for spec in signature.outputs],
        "model_transaction_policy": {"decoupled": False},
    }
    if hosted.batches > 1:
        found["dynamic_batching"] = {}
    return found


def _config_spec(spec: TensorSpec, batched: bool) -> dict[str, object]:
    wire = wire_spec(spec)
    shape = wire["shape"]
    dims = shape[1:] if batched and isinstance(shape, list) else shape
    datatype = str(wire["datatype"])
    return {
        "name": spec.name,
        "data_type": "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}",
        "dims": dims,
        "optional": False,
        "is_shape_tensor": False,
    }
