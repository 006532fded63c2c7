"""A network or a part of one as a graph by itself, at the sizes of one request, to be timed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import fx

from whet._optional import require
from whet.core.artifact import Artifact
from whet.core.spec import Arrays
from whet.optimize.graph.io import signature_of, write_onnx
from whet.optimize.network.menus.menu import REQUEST
from whet.optimize.quiet import quiet

__all__ = ["graph_alone"]

_OPSET = 20


def graph_alone(part: fx.GraphModule, asked: tuple[torch.Tensor, ...], folder: Path) -> Artifact:
    """The graph, with the request beside it.

    Args:
        part: takes its inputs in order.
        asked: the inputs of one request.
        folder: where both go.
    """
    torch_onnx = require("torch.onnx", "export a block")
    folder.mkdir(parents=True, exist_ok=True)
    with quiet(), torch.no_grad():
        model = torch_onnx.export(
            part, asked, dynamo=True, opset_version=_OPSET, external_data=False, verbose=False
        ).model_proto
    names = [node.name for node in part.graph.find_nodes(op="placeholder")]
    given = {n: np.asarray(value) for n, value in zip(names, asked, strict=True)}
    # What isn't among the graph's inputs was a number, and is written into it.
    asked_for: Arrays = {str(v.name): given[v.name] for v in model.graph.input}
    np.savez(folder / REQUEST, allow_pickle=False, **asked_for)
    return write_onnx(model, folder, "block", signature_of(model))
