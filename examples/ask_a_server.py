"""Ask a model that `whet serve` serves. Needs neither torch, onnx nor a runtime.

Run: whet serve digits=digits.whet, then python examples/ask_a_server.py http://127.0.0.1:8000
"""

from __future__ import annotations

import argparse

import numpy as np

import whet


def main() -> None:
    parser = argparse.ArgumentParser(description="Ask a served model.")
    parser.add_argument("url")
    parser.add_argument("--model", default="digits")
    parser.add_argument("--quick", action="store_true", help="as all examples; it is quick anyway")
    args = parser.parse_args()
    url, model = args.url, args.model

    # --8<-- [start:ask]
    with whet.Client(url) as client:
        takes = client.metadata(model)["inputs"][0]
        picture = np.zeros([1, *takes["shape"][1:]], np.float32)
        answer = client.infer(model, {takes["name"]: picture}, timeout_ms=1000)
    for name, values in answer.outputs.items():
        print(name, values.shape, "from", answer.variant)
    # --8<-- [end:ask]


if __name__ == "__main__":
    main()
