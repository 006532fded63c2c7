"""Typical mistakes at the command line: one clear sentence, a remedy, the documented exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from stripes import Job
from terminal import whet

from whet.search.ledger.ledger import Ledger

BAD_INPUT, HOST, STORAGE = 3, 4, 6

Change = Callable[[Path, Job], list[str]]


def optimise(job: Job, **changes: str) -> list[str]:
    given = {
        "network": job.network,
        "--weights": str(job.weights),
        "--samples": str(job.samples),
        "--budget": "60s",
        **changes,
    }
    network = given.pop("network")
    flags = [part for name, value in given.items() if value for part in (name, value)]
    return ["optimize", network, *flags]


def _saved(place: Path, name: str, **arrays: np.ndarray) -> str:
    np.savez(place / name, **arrays)  # type: ignore[arg-type]
    return str(place / name)


def _data(job: Job) -> tuple[np.ndarray, np.ndarray]:
    data = np.load(job.samples)
    return data["images"], data["labels"]


def _missing_network(place: Path, job: Job) -> list[str]:
    return optimise(job, network=str(place / "nothing.py") + ":build")


def _missing_samples(place: Path, job: Job) -> list[str]:
    return optimise(job, **{"--samples": str(place / "nothing.npz")})


def _wrong_shape(place: Path, job: Job) -> list[str]:
    rows = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    file = _saved(place, "flat.npz", images=rows)
    return optimise(job, **{"--samples": file, "--metric": "cosine"})


def _channels_last(place: Path, job: Job) -> list[str]:
    images, labels = _data(job)
    turned = images.transpose(0, 2, 3, 1)
    return optimise(job, **{"--samples": _saved(place, "last.npz", images=turned, labels=labels)})


def _bytes_for_floats(place: Path, job: Job) -> list[str]:
    images, labels = _data(job)
    file = _saved(place, "u8.npz", images=(images * 50).astype(np.uint8), labels=labels)
    return optimise(job, **{"--samples": file})


def _two_arrays_for_one_input(place: Path, job: Job) -> list[str]:
    images, labels = _data(job)
    file = _saved(place, "two.npz", images=images, more=images, labels=labels)
    return optimise(job, **{"--samples": file})


def _cut_samples(place: Path, job: Job) -> list[str]:
    (place / "cut.npz").write_bytes(job.samples.read_bytes()[:5000])
    return optimise(job, **{"--samples": str(place / "cut.npz")})


def _cut_network(place: Path, job: Job) -> list[str]:
    (place / "net.pt2").write_bytes(b"PK\3\4 and no more")
    return optimise(job, **{"network": str(place / "net.pt2"), "--weights": ""})


def _foreign_operator(place: Path, job: Job) -> list[str]:
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 1, 12, 12])
        for name in "xy"
    ]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Nothing", ["x"], ["y"], domain="acme")], "g", ends[:1], ends[1:]
    )
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("acme", 1)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9)
    onnx.save(model, str(place / "foreign.onnx"))
    return optimise(job, **{"network": str(place / "foreign.onnx"), "--weights": ""})


def _nan(place: Path, job: Job) -> list[str]:
    images, labels = _data(job)
    images[7] = np.nan
    return optimise(job, **{"--samples": _saved(place, "nan.npz", images=images, labels=labels)})


def _labels_out_of_range(place: Path, job: Job) -> list[str]:
    images, labels = _data(job)
    file = _saved(place, "labels.npz", images=images, labels=labels + 9)
    return optimise(job, **{"--samples": file, "--metric": "top1"})


def _no_labels(place: Path, job: Job) -> list[str]:
    images, _ = _data(job)
    file = _saved(place, "bare.npz", images=images)
    return optimise(job, **{"--samples": file, "--metric": "top1"})


def _bad_contract(place: Path, job: Job) -> list[str]:
    return optimise(job, **{"--p99": "soon", "--max-drop": "lots"})


def _below_zero(place: Path, job: Job) -> list[str]:
    return [*optimise(job), "--p99", "-3ms"]


def _no_value(place: Path, job: Job) -> list[str]:
    return [*optimise(job), "--p99", "--quiet"]


def _unexportable(place: Path, job: Job) -> list[str]:
    (place / "odd.py").write_text(
        "import torch\n"
        "class Odd(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        return x * 2 if float(x.sum()) > 0 else x.reshape(-1)\n"
        "def build():\n"
        "    return Odd()\n"
    )
    return optimise(job, **{"network": f"{place / 'odd.py'}:build", "--weights": ""})


def _unknown_output(place: Path, job: Job) -> list[str]:
    return [*optimise(job), "--ignore-output", "foo"]


def _unknown_runtime(place: Path, job: Job) -> list[str]:
    return optimise(job, **{"--runtimes": "warp"})


def _samples_exit(place: Path, job: Job) -> list[str]:
    (place / "ends.py").write_text("import sys\ndef batches(): sys.exit()\n")
    return optimise(job, **{"--samples": f"{place / 'ends.py'}:batches"})


def _metric_exits(place: Path, job: Job) -> list[str]:
    (place / "ends.py").write_text("import sys\ndef score(*given): sys.exit(0)\n")
    return optimise(job, **{"--metric": f"{place / 'ends.py'}:score"})


def _network_exits(place: Path, job: Job) -> list[str]:
    (place / "ends.py").write_text("import sys\ndef build(): sys.exit(0)\n")
    return optimise(job, network=f"{place / 'ends.py'}:build")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_missing_network, "nothing.py"),
        (_missing_samples, "nothing.npz"),
        (_wrong_shape, "'images' is float32[batch, 7], but the network takes float32[batch, 1,"),
        (_channels_last, "give images.transpose(0, 3, 1, 2)"),
        (_bytes_for_floats, "'images' is uint8[batch, 1, 12, 12], but the network takes float32"),
        (_two_arrays_for_one_input, "the samples hold images, more"),
        (_cut_samples, "cut.npz"),
        (_cut_network, "damaged or cut off"),
        (_foreign_operator, "acme:Nothing"),
        (_nan, "NaN"),
        (_labels_out_of_range, "out of range"),
        (_no_labels, "needs labels"),
        (_bad_contract, "soon"),
        (_below_zero, "'-3ms' can't be read. Write a duration"),
        (_no_value, "--p99 has no value."),
        (_unexportable, "export"),
        (_unknown_output, "--ignore-output: there is no output 'foo'"),
        (_unknown_runtime, "warp"),
        (_samples_exit, "ends.py:batches called sys.exit()"),
        (_metric_exits, "ends.py:score' called sys.exit(0)"),
        (_network_exits, "'build' in 'ends.py' failed: SystemExit"),
    ],
)
def test_one_clear_sentence_and_exit_3(
    make: Change, words: str, tmp_path: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHET_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    code, said = whet(*make(tmp_path, job))
    assert code == BAD_INPUT, said
    assert words in said
    assert "Traceback" not in said
    assert "RuntimeError" not in said
    assert not list(tmp_path.glob("*.whet"))


def test_all_clauses_come_at_once_with_what_only_the_machine_knows(
    tmp_path: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHET_CACHE", str(tmp_path / "cache"))
    flags = {"--threads": "4096", "--p99": "soon", "--batch": "many", "--max-drop": "lots"}
    code, said = whet(*optimise(job, **flags))
    assert code == BAD_INPUT, said
    assert said.count("\n  - ") == len(flags)
    assert all(f"  - {flag}: " in said for flag in flags)
    assert not (tmp_path / "cache").exists(), "nothing was begun"


@pytest.mark.parametrize("full", ["WHET_CACHE", "TMPDIR"])
def test_a_full_disk_is_one_sentence(full: str, tmp_path: Path, job: Job) -> None:
    """The largest file that may be written stands in for the room that is left."""
    limited = (
        "import resource, signal, sys; from whet.cli.main import main;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1];"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({60_000 if full == 'WHET_CACHE' else 100}, hard));"
        "sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited, *optimise(job), "--out", str(tmp_path / "out.whet")],
        env={**os.environ, "WHET_CACHE": str(tmp_path / "cache")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == STORAGE, done.stderr
    assert "Traceback" not in done.stderr
    assert "Free some space" in done.stderr
    assert not (tmp_path / "out.whet").exists()


@pytest.mark.slow
def test_an_operator_that_a_runtime_lacks_costs_that_runtime_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHET_CACHE", str(tmp_path / "cache"))
    nodes = [
        onnx.helper.make_node("Det", ["x"], ["d"]),
        onnx.helper.make_node("Unsqueeze", ["d", "axis"], ["d1"]),
        onnx.helper.make_node("Unsqueeze", ["d1", "axis"], ["d2"]),
        onnx.helper.make_node("Add", ["x", "d2"], ["y"]),
    ]
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 3, 3])
        for name in "xy"
    ]
    axis = onnx.numpy_helper.from_array(np.array([1]), "axis")
    graph = onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:], [axis])
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9
    )
    onnx.save(model, str(tmp_path / "det.onnx"))
    rows = np.random.default_rng(0).normal(size=(200, 3, 3)).astype(np.float32)
    given = [str(tmp_path / "det.onnx"), "--samples", _saved(tmp_path, "x.npz", x=rows)]
    common = ["optimize", *given, "--budget", "20s", "--max-drop", "0.5", "--metric", "cosine"]
    code, said = whet(*common, "--runtimes", "openvino", "--out", str(tmp_path / "a.whet"))
    assert code == HOST, said
    assert "No runtime could run the untouched graph." in said
    assert "Det" in said
    code, said = whet(*common, "--out", str(tmp_path / "b.whet"))
    assert code in {0, 2}, said
    assert "refused" in said
    assert (tmp_path / "b.whet" / "manifest.json").exists()


def test_two_searches_on_one_ledger(
    tmp_path: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHET_CACHE", str(tmp_path / "cache"))
    with Ledger.open(tmp_path / "ledger.sqlite", "somebody else"):
        code, said = whet(*optimise(job, **{"--ledger": str(tmp_path / "ledger.sqlite")}))
    assert code == STORAGE, said
    assert "ledger" in said
    assert "Traceback" not in said
