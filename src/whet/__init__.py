"""whet sharpens a trained network to a latency contract, proves it and packs it.

Importing this package loads neither torch, onnx nor any runtime: the public
names are resolved on first use.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from whet.api.bundles import bench, inspect, load, verify
    from whet.api.by_hand import apply, read_recipe, recipe_of, write_recipe
    from whet.api.loading import bench_service
    from whet.api.searching import optimize
    from whet.api.serving import serve
    from whet.client.blocking import Client
    from whet.client.retries import Retries
    from whet.client.waiting import AsyncClient
    from whet.core.contract import Contract, Drop
    from whet.data.transform import ImageTransform, TextTransform
    from whet.errors import WhetError
    from whet.optimize.graph.cast import Cast
    from whet.optimize.graph.convert import ConvertIr
    from whet.optimize.graph.fold import FoldTransform
    from whet.optimize.graph.fuse import Fuse
    from whet.optimize.graph.quantize.dynamic import QuantizeDynamic
    from whet.optimize.graph.quantize.nncf import QuantizeNncf, QuantizeNncfIr
    from whet.optimize.graph.quantize.ort import QuantizeOrt
    from whet.optimize.graph.quantize.restore import Restore, RestoreIr
    from whet.optimize.graph.quantize.rounding import RoundWeights
    from whet.optimize.graph.quantize.stored import StoreInt8
    from whet.optimize.graph.quantize.unrounded import RestoreWeights
    from whet.optimize.graph.quantize.weights import QuantizeWeights, QuantizeWeightsIr
    from whet.optimize.graph.tidy import Tidy
    from whet.optimize.network.distill import Distill
    from whet.optimize.network.drop import DropBlocks
    from whet.optimize.network.exit_after import ExitAfter
    from whet.optimize.network.factor import Factor
    from whet.optimize.network.learn_int8 import LearnInt8
    from whet.optimize.network.merge_tokens import MergeTokens
    from whet.optimize.network.narrow import Narrow
    from whet.optimize.network.repair import Repair
    from whet.optimize.network.resize import Resize
    from whet.optimize.network.separate import Separate
    from whet.optimize.network.slim import Slim
    from whet.optimize.network.sparsify import Sparsify
    from whet.optimize.network.substitute import Substitute
    from whet.optimize.network.to_graph import ToGraph
    from whet.optimize.recipes.pipeline import Pipeline

__all__ = [
    "AsyncClient",
    "Cast",
    "Client",
    "Contract",
    "ConvertIr",
    "Distill",
    "Drop",
    "DropBlocks",
    "ExitAfter",
    "Factor",
    "FoldTransform",
    "Fuse",
    "ImageTransform",
    "LearnInt8",
    "MergeTokens",
    "Narrow",
    "Pipeline",
    "QuantizeDynamic",
    "QuantizeNncf",
    "QuantizeNncfIr",
    "QuantizeOrt",
    "QuantizeWeights",
    "QuantizeWeightsIr",
    "Repair",
    "Resize",
    "Restore",
    "RestoreIr",
    "RestoreWeights",
    "Retries",
    "RoundWeights",
    "Separate",
    "Slim",
    "Sparsify",
    "StoreInt8",
    "Substitute",
    "TextTransform",
    "Tidy",
    "ToGraph",
    "WhetError",
    "__version__",
    "apply",
    "bench",
    "bench_service",
    "inspect",
    "load",
    "optimize",
    "read_recipe",
    "recipe_of",
    "serve",
    "verify",
    "write_recipe",
]

__version__ = "0.1.0"

_WHERE = {
    "AsyncClient": "whet.client.waiting",
    "Cast": "whet.optimize.graph.cast",
    "Client": "whet.client.blocking",
    "Contract": "whet.core.contract",
    "ConvertIr": "whet.optimize.graph.convert",
    "Distill": "whet.optimize.network.distill",
    "Drop": "whet.core.contract",
    "DropBlocks": "whet.optimize.network.drop",
    "ExitAfter": "whet.optimize.network.exit_after",
    "Factor": "whet.optimize.network.factor",
    "FoldTransform": "whet.optimize.graph.fold",
    "Fuse": "whet.optimize.graph.fuse",
    "ImageTransform": "whet.data.transform",
    "LearnInt8": "whet.optimize.network.learn_int8",
    "MergeTokens": "whet.optimize.network.merge_tokens",
    "Narrow": "whet.optimize.network.narrow",
    "Pipeline": "whet.optimize.recipes.pipeline",
    "QuantizeDynamic": "whet.optimize.graph.quantize.dynamic",
    "QuantizeNncf": "whet.optimize.graph.quantize.nncf",
    "QuantizeNncfIr": "whet.optimize.graph.quantize.nncf",
    "QuantizeOrt": "whet.optimize.graph.quantize.ort",
    "QuantizeWeights": "whet.optimize.graph.quantize.weights",
    "QuantizeWeightsIr": "whet.optimize.graph.quantize.weights",
    "Repair": "whet.optimize.network.repair",
    "Resize": "whet.optimize.network.resize",
    "Restore": "whet.optimize.graph.quantize.restore",
    "RestoreIr": "whet.optimize.graph.quantize.restore",
    "RestoreWeights": "whet.optimize.graph.quantize.unrounded",
    "Retries": "whet.client.retries",
    "RoundWeights": "whet.optimize.graph.quantize.rounding",
    "Separate": "whet.optimize.network.separate",
    "Slim": "whet.optimize.network.slim",
    "Sparsify": "whet.optimize.network.sparsify",
    "StoreInt8": "whet.optimize.graph.quantize.stored",
    "Substitute": "whet.optimize.network.substitute",
    "TextTransform": "whet.data.transform",
    "Tidy": "whet.optimize.graph.tidy",
    "ToGraph": "whet.optimize.network.to_graph",
    "WhetError": "whet.errors",
    "apply": "whet.api.by_hand",
    "bench": "whet.api.bundles",
    "bench_service": "whet.api.loading",
    "inspect": "whet.api.bundles",
    "load": "whet.api.bundles",
    "optimize": "whet.api.searching",
    "read_recipe": "whet.api.by_hand",
    "recipe_of": "whet.api.by_hand",
    "serve": "whet.api.serving",
    "verify": "whet.api.bundles",
    "write_recipe": "whet.api.by_hand",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'whet' has no attribute '{name}'")
    from whet._optional import require

    return getattr(require(_WHERE[name], f"use whet.{name}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)


class _Root(ModuleType):
    """The package itself, on which the verbs stay what they are.

    The import system binds each subpackage to its parent: importing anything
    below ``whet.optimize`` would put the package where the verb stands.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if name in _WHERE and isinstance(value, ModuleType):
            return
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Root
