"""The peers' own default recipes, each built in a process of its own.

    python benchmarks/peers.py ort-static|nncf-openvino JOB.json

The job names the exported graph and the repair samples; the answer is the
artifact, written beside the job. What a user of the peer would write from its
documentation is written here: default arguments throughout.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from whet.core.artifact import Artifact, Format
from whet.core.spec import Arrays
from whet.data.store import StoreRef, open_ref

__all__ = ["PeerJob", "artifact_file"]

_CALIBRATION = 300


class PeerJob(msgspec.Struct, frozen=True):
    """What to quantise, with which samples, and where to put it."""

    graph: Artifact
    repair: StoreRef
    transformer: bool
    folder: str


def artifact_file(folder: Path, peer: str) -> Path:
    """Where the description of a peer's artifact is written."""
    return folder / f"{peer}.json"


def _rows(job: PeerJob) -> Iterator[Arrays]:
    return open_ref(job.repair).batches(1, _CALIBRATION)


def ort_static(job: PeerJob) -> Artifact:
    """ONNX Runtime's static quantiser with its defaults."""
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # no stubs
        def __init__(self) -> None:
            self.rows = _rows(job)

        def get_next(self) -> Arrays | None:
            return next(self.rows, None)

    target = Path(job.folder) / "ort_static.onnx"
    quantize_static(job.graph.path, str(target), Reader())
    return Artifact(str(target), Format.ONNX, job.graph.signature)


def nncf_openvino(job: PeerJob) -> Artifact:
    """NNCF's post-training quantisation of the OpenVINO model with its defaults."""
    import nncf
    import openvino

    model = openvino.Core().read_model(job.graph.path)
    kind = nncf.ModelType.TRANSFORMER if job.transformer else None
    quantised = nncf.quantize(model, nncf.Dataset(list(_rows(job))), model_type=kind)
    target = Path(job.folder) / "nncf_openvino.xml"
    openvino.save_model(quantised, str(target))
    return Artifact(str(target), Format.OPENVINO, job.graph.signature, ("nncf_openvino.bin",))


_PEERS = {"ort-static": ort_static, "nncf-openvino": nncf_openvino}


def main() -> None:
    peer, file = sys.argv[1], Path(sys.argv[2])
    job = msgspec.json.decode(file.read_bytes(), type=PeerJob)
    made = _PEERS[peer](job)
    artifact_file(Path(job.folder), peer).write_bytes(msgspec.json.encode(made))


if __name__ == "__main__":
    main()
