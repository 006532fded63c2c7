"""Let NVIDIA's perf_analyzer judge `whet serve`, over REST and gRPC, on a bundle.

    python scripts/judges/perf_analyzer.py BUNDLE [--concurrency 1:4] [--seconds 5]

The real program lies inside the Linux wheels of `tritonclient` up to 2.57 and needs two libraries: the
wheel `nvidia-cuda-runtime-cu12` has one (no GPU is needed), Debian's package `libb64-0d` the other.
Both wheels are fetched by pip into a temporary folder. It exits with 0 where perf_analyzer does.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEELS = ("tritonclient==2.51.0", "nvidia-cuda-runtime-cu12")


def fetched(place: Path) -> tuple[Path, str]:
    """The program, and where it finds its libraries."""
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(place), *WHEELS],
        check=True,
    )
    for wheel in place.glob("*.whl"):
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(place / "all")
    (program,) = (place / "all").rglob("perf_analyzer")
    (library,) = (place / "all").rglob("libcudart.so.12")
    program.chmod(0o755)
    return program, str(library.parent)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("--concurrency", default="1:4", help="clients, from:to")
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement")
    args = parser.parse_args()
    server = subprocess.Popen(
        [sys.executable, "-m", "whet", "serve", f"model={args.bundle}", "--port", "0",
         "--grpc-port", "0"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        line = server.stdout.readline() if server.stdout is not None else ""
        places = [place.partition("://") for place in line.split(" ", 2)[2].strip().split(" and ")]
        where = {scheme: address for scheme, _, address in places}
        with tempfile.TemporaryDirectory() as folder:
            program, libraries = fetched(Path(folder))
            codes = [
                subprocess.run(
                    [str(program), "-m", "model", "-i", protocol, "-u", where[protocol],
                     "--concurrency-range", args.concurrency, "--percentile", "99",
                     "--measurement-interval", str(1000 * args.seconds),
                     "--stability-percentage", "60"],
                    env={**os.environ, "LD_LIBRARY_PATH": libraries},
                    check=False,
                ).returncode
                for protocol in ("http", "grpc")
            ]  # fmt: skip
    finally:
        server.terminate()
        server.wait(30)
    return int(any(codes))


if __name__ == "__main__":
    raise SystemExit(main())
