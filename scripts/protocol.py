"""Compile the descriptions of gRPC's messages into the file that the server reads.

`python scripts/protocol.py [--check]`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

FOLDER = Path(__file__).resolve().parent.parent / "src" / "whet" / "serve" / "grpc"
COMPILED = FOLDER / "open_inference.binpb"
SOURCES = ("health.proto", "open_inference.proto")


def compiled() -> bytes:
    """The descriptions as protoc writes them."""
    known = resources.files("grpc_tools").joinpath("_proto")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "all.binpb"
        words = ["protoc", f"-I{FOLDER}", f"-I{known}", f"--descriptor_set_out={out}", *SOURCES]
        if protoc.main(words):
            raise SystemExit("protoc refused a description.")
        return out.read_bytes()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail if the file isn't up to date")
    args = parser.parse_args()
    found = compiled()
    if args.check:
        if COMPILED.read_bytes() != found:
            print(f"{COMPILED.name} is not up to date: run `make generate`.", file=sys.stderr)
            return 1
        return 0
    COMPILED.write_bytes(found)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
