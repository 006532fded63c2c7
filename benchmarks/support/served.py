"""Bundles that the serving benchmark asks, and the servers that serve them."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from whet.bundle.draft import BundleDraft, GoldenDraft, VariantDraft
from whet.bundle.manifest import Tolerance
from whet.bundle.write import write_bundle
from whet.core.artifact import Artifact, Format
from whet.core.evidence import Ceilings, Machine
from whet.core.recipe import Recipe
from whet.core.settings import Settings
from whet.core.spec import Arrays, Signature, TensorSpec

__all__ = ["Served", "echo_bundle", "layers_bundle", "served"]

_TYPES = {"float32": TensorProto.FLOAT, "uint8": TensorProto.UINT8}


# Nobody asks what these were made on.
_MACHINE = Machine("any", "any", "any", 1, 0, (), Ceilings(), {})


def echo_bundle(place: Path, shape: tuple[int, ...], dtype: str = "float32") -> Path:
    """A model that gives back what it gets: all that takes time is the way there and back."""
    dims: tuple[int | str, ...] = ("batch", *shape)
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "echo",
        [helper.make_tensor_value_info("x", _TYPES[dtype], dims)],
        [helper.make_tensor_value_info("y", _TYPES[dtype], dims)],
    )
    signature = Signature((TensorSpec("x", dtype, dims),), (TensorSpec("y", dtype, dims),))
    values = np.random.default_rng(0).integers(0, 256, (2, *shape)).astype(dtype)
    return _written(place, "echo", [("exact", graph)], signature, {"x": values})


def layers_bundle(place: Path, widths: dict[str, int]) -> Path:
    """Variants of a few dense layers, by the widths of what is between the first and the last.

    Their weights are read from memory for each batch, whatever its size, so they gain from batches.
    """
    rng = np.random.default_rng(0)
    graphs = [(name, _layers(rng, width)) for name, width in widths.items()]
    signature = Signature(
        (TensorSpec("x", "float32", ("batch", 512)),), (TensorSpec("y", "float32", ("batch", 10)),)
    )
    inputs: Arrays = {"x": rng.standard_normal((2, 512)).astype(np.float32)}
    return _written(place, "layers", graphs, signature, inputs)


def _layers(rng: np.random.Generator, width: int) -> Any:
    sizes = [512, width, width, width, 10]
    nodes, weights, value = [], [], "x"
    for k, (rows, columns) in enumerate(itertools.pairwise(sizes)):
        weight = (rng.standard_normal((rows, columns)) / np.sqrt(rows)).astype(np.float32)
        weights.append(numpy_helper.from_array(weight, f"w{k}"))
        out = "y" if k == len(sizes) - 2 else f"h{k}"
        nodes.append(helper.make_node("MatMul", [value, f"w{k}"], [out]))
        value = out
        if out != "y":
            nodes.append(helper.make_node("Relu", [value], [f"r{k}"]))
            value = f"r{k}"
    return helper.make_graph(
        nodes,
        "layers",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 512])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 10])],
        weights,
    )


def _written(
    place: Path, name: str, graphs: list[tuple[str, Any]], signature: Signature, inputs: Arrays
) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    variants = []
    for variant, graph in graphs:
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        file = place / f"{variant}.onnx"
        onnx.save(model, file)
        variants.append(
            VariantDraft(
                name=variant,
                runtime="onnxruntime",
                settings=Settings(),
                artifact=Artifact(str(file), Format.ONNX, signature),
                recipe=Recipe((), "onnxruntime", Settings()),
                trial=variant,
                goldens=_answer(file, inputs),
                tolerance=Tolerance(1e-3, 1e-3),
            )
        )
    draft = BundleDraft(
        variants=tuple(variants),
        name=name,
        created="2026-01-01T00:00:00Z",
        whet="0.1.0",
        machine=_MACHINE,
        signature=signature,
        default=variants[0].name,
        goldens=GoldenDraft(inputs, 1),
    )
    return write_bundle(place / f"{name}.whet", draft).folder


def _answer(file: Path, inputs: Arrays) -> dict[str, NDArray[np.generic]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


@dataclass(frozen=True)
class Served:
    """A server that runs.

    Attributes:
        process: of it.
        places: where it is asked.
        started_s: from its start until it was ready.
    """

    process: subprocess.Popen[str]
    places: tuple[str, ...]
    started_s: float

    @property
    def http(self) -> str:
        """Its URL."""
        return self.places[0]


@contextmanager
def served(*arguments: str) -> Iterator[Served]:
    """``whet serve`` as a process of its own, until it isn't needed any more."""
    began_s = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "whet", "serve", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        if process.stdout is None:
            raise RuntimeError("it has no output")
        line = process.stdout.readline()
        ready_s = time.perf_counter() - began_s
        if not line.startswith("Ready at "):
            raise RuntimeError(f"it isn't ready: {line}")
        yield Served(process, tuple(line.split(" ", 2)[2].strip().split(" and ")), ready_s)
    finally:
        process.terminate()
        process.wait(30)
