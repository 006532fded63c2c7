"""The one registry: names that stand in files, and the classes they mean.

Recipes, bundles and the ledger name runtimes and passes; this dict of import
strings turns those names into classes, and nothing else does. It imports a
module only when its name is asked for, so that core reaches no runtime.
"""

from __future__ import annotations

from typing import Literal

from whet._optional import require
from whet.errors import OptionError

__all__ = ["REGISTRY", "Kind", "names", "resolve"]

Kind = Literal["runtime", "pass"]

REGISTRY: dict[Kind, dict[str, str]] = {
    "runtime": {
        "torch": "whet.runtimes.torch_eager:TorchRuntime",
        "inductor": "whet.runtimes.inductor:InductorRuntime",
        "onnxruntime": "whet.runtimes.ort:OrtRuntime",
        "openvino": "whet.runtimes.ov:OpenVinoRuntime",
    },
    "pass": {
        "resize": "whet.optimize.network.resize:Resize",
        "narrow": "whet.optimize.network.narrow:Narrow",
        "slim": "whet.optimize.network.slim:Slim",
        "factor": "whet.optimize.network.factor:Factor",
        "separate": "whet.optimize.network.separate:Separate",
        "sparsify": "whet.optimize.network.sparsify:Sparsify",
        "drop": "whet.optimize.network.drop:DropBlocks",
        "exit-after": "whet.optimize.network.exit_after:ExitAfter",
        "merge-tokens": "whet.optimize.network.merge_tokens:MergeTokens",
        "substitute": "whet.optimize.network.substitute:Substitute",
        "repair": "whet.optimize.network.repair:Repair",
        "distill": "whet.optimize.network.distill:Distill",
        "learn-int8": "whet.optimize.network.learn_int8:LearnInt8",
        "to-graph": "whet.optimize.network.to_graph:ToGraph",
        "tidy": "whet.optimize.graph.tidy:Tidy",
        "fold-transform": "whet.optimize.graph.fold:FoldTransform",
        "fuse": "whet.optimize.graph.fuse:Fuse",
        "cast": "whet.optimize.graph.cast:Cast",
        "convert-ir": "whet.optimize.graph.convert:ConvertIr",
        "quantize-nncf": "whet.optimize.graph.quantize.nncf:QuantizeNncf",
        "quantize-nncf-ir": "whet.optimize.graph.quantize.nncf:QuantizeNncfIr",
        "quantize-ort": "whet.optimize.graph.quantize.ort:QuantizeOrt",
        "quantize-dynamic": "whet.optimize.graph.quantize.dynamic:QuantizeDynamic",
        "quantize-weights": "whet.optimize.graph.quantize.weights:QuantizeWeights",
        "quantize-weights-ir": "whet.optimize.graph.quantize.weights:QuantizeWeightsIr",
        "round-weights": "whet.optimize.graph.quantize.rounding:RoundWeights",
        "restore-weights": "whet.optimize.graph.quantize.unrounded:RestoreWeights",
        "store-int8": "whet.optimize.graph.quantize.stored:StoreInt8",
        "restore": "whet.optimize.graph.quantize.restore:Restore",
        "restore-ir": "whet.optimize.graph.quantize.restore:RestoreIr",
    },
}


def names(kind: Kind) -> tuple[str, ...]:
    """The registered names of one kind, in the order of the registry."""
    return tuple(REGISTRY[kind])


def resolve(kind: Kind, name: str) -> type:
    """The class that a name stands for; its module is imported now.

    Raises:
        OptionError: no class of that kind is registered under the name.
        HostError: its module needs a package that is missing or broken.
    """
    known = REGISTRY[kind]
    if name not in known:
        raise OptionError(
            f"There is no {kind} called '{name}'.", f"The names are {', '.join(known)}."
        )
    module, _, cls = known[name].partition(":")
    found: type = getattr(require(module, f"use the {kind} '{name}'"), cls)
    return found
