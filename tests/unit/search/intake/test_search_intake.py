"""The same words may name another network or other samples than last time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from whet.core.contract import Contract
from whet.core.scratch import scratch_folder
from whet.search.intake.content import export_digest
from whet.search.intake.given import Given
from whet.search.intake.take_in import Taken, take_in
from whet.search.ledger.workspace import arrivals
from whet.search.stop import Stop

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

SAMPLES = {"x": np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WHET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def taken(network: object, samples: object = None) -> Taken:
    given = Given(network, SAMPLES if samples is None else samples)  # type: ignore[arg-type]
    with take_in(given, Contract(), None, lambda _: None, Stop()) as found:
        return found


def answers(found: Taken) -> np.ndarray:
    """What the exported graph gives for the first rows."""
    import onnxruntime as ort

    session = ort.InferenceSession(found.exported.graph.path)
    name = session.get_inputs()[0].name
    return np.asarray(session.run(None, {name: SAMPLES["x"][:2]})[0])


def check_other(before: Taken, after: Taken) -> None:
    assert after.space.folder != before.space.folder
    assert after.space.ledger != before.space.ledger
    assert after.exported.graph.digest() != before.exported.graph.digest()


FACTORY = """
from pathlib import Path
import torch
{more}
def build():
    made = torch.nn.Linear(3, 2)
    made.load_state_dict(torch.load(Path(__file__).with_name("w.pth")))
    return {wrapped}
"""


def write_weights(file: Path, value: float) -> None:
    torch.save({"weight": torch.full((2, 3), value), "bias": torch.zeros(2)}, file)


def test_weights_that_a_factory_loads_by_itself(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "f.py").write_text(FACTORY.format(more="", wrapped="made"))
    write_weights(tmp_path / "w.pth", 1.0)
    first = taken(f"{tmp_path / 'f.py'}:build")
    written = first.exported.graph.file.stat().st_mtime_ns
    again = taken(f"{tmp_path / 'f.py'}:build")
    assert again.exported == first.exported
    assert again.space.folder == first.space.folder
    assert again.exported.graph.file.stat().st_mtime_ns == written
    write_weights(tmp_path / "w.pth", 2.0)
    other = taken(f"{tmp_path / 'f.py'}:build")
    check_other(first, other)
    assert np.allclose(answers(other), 2 * answers(first))
    write_weights(tmp_path / "w.pth", 1.0)
    assert taken(f"{tmp_path / 'f.py'}:build").space.folder == first.space.folder
    assert not list((cache / "arrivals").iterdir())


def test_a_module_that_the_factory_imports(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text(
        FACTORY.format(
            more="from layer_after import after", wrapped="torch.nn.Sequential(made, after())"
        )
    )
    write_weights(tmp_path / "w.pth", 1.0)
    (tmp_path / "layer_after.py").write_text("from torch.nn import ReLU as after\n")
    first = taken(f"{tmp_path / 'f.py'}:build")
    (tmp_path / "layer_after.py").write_text("from torch.nn import Tanh as after\n")
    check_other(first, taken(f"{tmp_path / 'f.py'}:build"))


def test_external_data_of_an_onnx_file(tmp_path: Path) -> None:
    def write(value: float) -> bytes:
        weight = onnx.numpy_helper.from_array(np.full((3, 2), value, np.float32), "w")
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
            "g",
            [onnx.helper.make_tensor_value_info("x", 1, ["batch", 3])],
            [onnx.helper.make_tensor_value_info("y", 1, ["batch", 2])],
            [weight],
        )
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
        model.ir_version = 8
        (tmp_path / "e.data").unlink(missing_ok=True)
        onnx.save(
            model,
            tmp_path / "e.onnx",
            save_as_external_data=True,
            location="e.data",
            size_threshold=0,
        )
        return (tmp_path / "e.onnx").read_bytes()

    before = write(1.0)
    first = taken(str(tmp_path / "e.onnx"))
    assert taken(str(tmp_path / "e.onnx")).exported == first.exported
    assert write(2.0) == before
    other = taken(str(tmp_path / "e.onnx"))
    check_other(first, other)
    assert np.allclose(answers(other), 2 * answers(first))


def test_an_attribute_and_a_new_forward_of_a_live_module() -> None:
    class Scaled(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.nn.Linear(3, 2)
            self.by = 1.0

        def forward(self, x: object) -> object:
            return self.inner(x) * self.by

    module = Scaled().eval()
    first = taken(module)
    assert taken(module).space.folder == first.space.folder
    module.by = 3.0
    scaled = taken(module)
    check_other(first, scaled)
    assert np.allclose(answers(scaled), 3 * answers(first), rtol=1e-4)
    Scaled.forward = lambda self, x: self.inner(x) - self.by  # type: ignore[method-assign]
    check_other(scaled, taken(module))


def test_samples_of_a_function_whose_data_was_replaced(tmp_path: Path) -> None:
    code, data = tmp_path / "fn.py", tmp_path / "fn.npz"
    code.write_text(
        f"import numpy as np\ndef samples():\n    return dict(np.load({str(data)!r}))\n"
    )
    module = torch.nn.Linear(3, 2).eval()
    np.savez(data, **SAMPLES)
    first = taken(module, f"{code}:samples")
    again = taken(module, f"{code}:samples")
    assert (again.samples, again.space.folder) == (first.samples, first.space.folder)
    np.savez(data, x=SAMPLES["x"] + 1)
    other = taken(module, f"{code}:samples")
    assert other.samples != first.samples
    assert other.space.folder != first.space.folder
    assert other.space.ledger == first.space.ledger  # of one graph; its keys tell samples apart


def test_an_export_is_known_by_all_that_it_says() -> None:
    import msgspec

    found = taken(torch.nn.Linear(3, 2).eval()).exported
    elsewhere = msgspec.structs.replace(found, task="classifier")
    assert export_digest(found) == export_digest(found) != export_digest(elsewhere)


def test_what_a_killed_search_left_is_swept(cache: Path) -> None:
    arrivals().mkdir(parents=True)
    with scratch_folder(arrivals()) as held:
        left = held.with_name("whet-scratch-left")
        left.mkdir()
        taken(torch.nn.Linear(3, 2).eval())
        assert held.is_dir()
        assert not left.exists()


def test_float_classes_are_classes_in_a_workspace_of_their_own(tmp_path: Path) -> None:
    network = torch.nn.Linear(3, 2)
    labels = np.arange(12) % 2

    def found(metric: str, kind: type) -> Taken:
        given = Given(network, {**SAMPLES, "labels": labels.astype(kind)})
        with take_in(given, Contract(metric=metric), None, lambda _: None, Stop()) as taken_in:
            return taken_in

    classes, scores = found("top1", float), found("closeness", float)
    assert classes.store.labels is not None
    assert classes.store.labels.dtype == np.int64
    assert scores.store.labels is not None
    assert scores.store.labels.dtype == np.float64
    assert classes.space.folder != scores.space.folder, "since their parts differ"
    assert classes.space.ledger == scores.space.ledger
    assert found("auto", float).space.folder == classes.space.folder
