"""Open a bundle, ask what it is, check it here, run it. Needs neither torch nor onnx.

Run: python examples/load_and_run.py BUNDLE [--quick]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

import whet
from whet.core.spec import Arrays, Signature
from whet.errors import BundleError


def zeros(signature: Signature) -> Arrays:
    """One row of zeros for each input; symbols (batch, sequence) are 1."""
    batch: Arrays = {}
    for spec in signature.inputs:
        print("takes", spec)
        batch[spec.name] = np.zeros(
            spec.concrete({dim: 1 for dim in spec.shape if isinstance(dim, str)}), spec.dtype
        )
    return batch


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a bundle.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--quick", action="store_true", help="one request only, for tests")
    args = parser.parse_args()

    # --8<-- [start:run]
    try:
        with whet.load(args.bundle) as model:  # checks every hash first
            batch = zeros(model.variant.signature)
            for _ in range(1 if args.quick else 100):
                answers = model.run(batch)
    except BundleError as error:
        print(error.message, error.remedy, file=sys.stderr)
        return error.exit_code
    # --8<-- [end:run]
    print({name: array.shape for name, array in answers.items()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
