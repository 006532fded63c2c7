"""Sharpen an ONNX file with samples from an `.npz`, without labels, with size as a clause too.

Run: python examples/onnx_file.py [--quick] [--model FILE.onnx] [--out FOLDER]

Without `--model` a small keyword-spotter-like network is written first, so
that the example needs no file. Samples without labels are judged by how often
the variant's first choice differs from the original's.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx

import whet
from whet.core.contract import parse_bytes, parse_drop, parse_ms


def write_network(where: Path) -> None:
    """A depthwise-separable network over (batch, 1, 49, 10), as ONNX."""
    rng = np.random.default_rng(0)
    nodes, weights = [], []

    def add(
        op: str, x: str, y: str, shape: tuple[int, ...] | None = None, **attributes: object
    ) -> None:
        inputs = [x]
        if shape is not None:
            fan_in = int(np.prod(shape[1:]))
            value = (rng.standard_normal(shape) * (2 / fan_in) ** 0.5).astype(np.float32)
            weights.append(onnx.numpy_helper.from_array(value, f"{y}.weight"))
            inputs.append(f"{y}.weight")
        nodes.append(onnx.helper.make_node(op, inputs, [y], **attributes))

    add("Conv", "input", "c0", (64, 1, 10, 4), strides=[2, 2], pads=[4, 1, 5, 1])
    add("Relu", "c0", "x0")
    for i in range(4):
        add("Conv", f"x{i}", f"d{i}", (64, 1, 3, 3), group=64, pads=[1, 1, 1, 1])
        add("Relu", f"d{i}", f"r{i}")
        add("Conv", f"r{i}", f"p{i}", (64, 64, 1, 1))
        add("Relu", f"p{i}", f"x{i + 1}")
    add("GlobalAveragePool", "x4", "pooled")
    add("Flatten", "pooled", "flat")
    add("Gemm", "flat", "logits", (12, 64), transB=1)
    graph = onnx.helper.make_graph(
        nodes,
        "spotter",
        [onnx.helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, ["batch", 1, 49, 10])],
        [onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["batch", 12])],
        weights,
    )
    opset = onnx.helper.make_opsetid("", 20)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, where)


def main() -> int:
    parser = argparse.ArgumentParser(description="Sharpen an ONNX file.")
    parser.add_argument("--quick", action="store_true", help="a short search, for tests")
    parser.add_argument("--model", type=Path, help="an ONNX file that takes (batch, 1, 49, 10)")
    parser.add_argument("--out", type=Path, default=Path("spotter.whet"), help="the bundle")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as scratch:
        model = args.model or Path(scratch) / "spotter.onnx"
        if args.model is None:
            write_network(model)
        samples = Path(scratch) / "samples.npz"
        rng = np.random.default_rng(1)
        np.savez(samples, input=rng.standard_normal((1200, 1, 49, 10)).astype(np.float32))

        # --8<-- [start:optimise]
        contract = whet.Contract(
            limit_ms=parse_ms("3ms"),
            metric="agreement",  # no labels: how often the answer is still the same
            max_drop=parse_drop("5pt"),
            max_bytes=parse_bytes("1MB"),
        )
        outcome = whet.optimize(
            model, samples, contract, out=args.out, budget_s=60 if args.quick else 300
        )
        # --8<-- [end:optimise]

    # --8<-- [start:evidence]
    evidence = outcome.evidence
    print(evidence.kept, "-", evidence.sentence)
    for trial in evidence.trials:
        if trial.latency is not None:
            p50 = trial.latency.at(50.0)
            ms = f"{p50.value_ms:8.3f} ms" if p50 is not None else "        "
            print(ms, trial.name, "|", trial.lost or "chosen")
    # --8<-- [end:evidence]
    if outcome.bundle is not None:
        same_answers(args.out)
    # 2 says that no variant is proven to keep the contract; the nearest miss was saved.
    return 0 if outcome.exit_code in {0, 2} else outcome.exit_code


def same_answers(bundle: Path) -> None:
    """Open the bundle and show that it takes any batch size."""
    with whet.load(bundle) as model:
        for size in (1, 7):
            answers = model.run({"input": np.zeros((size, 1, 49, 10), np.float32)})
            print({name: array.shape for name, array in answers.items()})


if __name__ == "__main__":
    sys.exit(main())
