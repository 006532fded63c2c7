"""Networks in: factories, weights, live modules, ONNX files, programs."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import save_file

from whet.core.artifact import Format
from whet.core.spec import TensorSpec
from whet.errors import NetworkError
from whet.optimize.export import export
from whet.optimize.graph.io import read_onnx
from whet.optimize.graph.runs import run_graph
from whet.optimize.intake import Kind, load_network
from whet.optimize.intake.factory import is_factory
from whet.optimize.intake.load import need_files
from whet.testing.small_graphs import make_graph, plain

NET = """
import torch
from helper import WIDTH

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, WIDTH, 3)
        self.bn = torch.nn.BatchNorm2d(WIDTH)
        self.head = torch.nn.Linear(WIDTH, 2)

    def forward(self, picture):
        return self.head(self.bn(self.conv(picture)).mean((2, 3)))

def build():
    return Net()

def fails():
    raise RuntimeError("no such size\\nmore")

def leaves():
    raise SystemExit(3)

def number():
    return 7

ready = Net()
"""


@pytest.fixture
def net(tmp_path: Path) -> Path:
    (tmp_path / "helper.py").write_text("WIDTH = 4\n")
    (tmp_path / "net.py").write_text(NET)
    return tmp_path / "net.py"


def state(net: Path) -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    network = load_network(f"{net}:build")
    assert network.module is not None
    return {name: torch.rand_like(t.float()) for name, t in network.module.state_dict().items()}


def test_a_factory_with_a_neighbour_is_run(net: Path) -> None:
    path = list(sys.path)
    network = load_network(f"{net}:build")
    assert (network.name, network.kind, network.parameters) == ("net", Kind.TORCH, ("picture",))
    assert network.module is not None
    assert not network.module.training
    assert sys.path == path


def test_a_network_that_the_file_made_already_is_taken(net: Path) -> None:
    network = load_network(f"{net}:ready")
    assert network.module is not None
    assert type(network.module).__name__ == "Net"
    assert not network.module.training


@pytest.mark.parametrize(
    "kind", ["safetensors", "npz", "pt", "pth", "bin", "ckpt", "pth.tar", "checkpoint", "parallel"]
)
def test_weights_of_every_kind_fill_the_network(net: Path, tmp_path: Path, kind: str) -> None:
    wanted = state(net)
    path = tmp_path / f"w.{'pt' if kind in {'checkpoint', 'parallel'} else kind}"
    if kind == "safetensors":
        save_file(wanted, path)
    elif kind == "npz":
        # Halves and without the counter, as published archives often are.
        kept = {k: v.numpy().astype(np.float16) for k, v in wanted.items() if "tracked" not in k}
        np.savez(path, **kept)
    elif kind == "checkpoint":
        torch.save({"epoch": 3, "state_dict": wanted}, path)
    elif kind == "parallel":
        torch.save({f"module.{k}": v for k, v in wanted.items()}, path)
    else:
        torch.save(wanted, path)
    module = load_network(f"{net}:build", weights=path).module
    assert module is not None
    got = module.state_dict()
    assert got["conv.weight"].dtype == torch.float32
    tolerance = 1e-3 if kind == "npz" else 0
    torch.testing.assert_close(
        got["head.bias"], wanted["head.bias"], rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{folder}/missing.py:build", "There is no file"),
        ("{folder}/net.py:nothing", "has no function 'nothing'"),
        ("{folder}/net.py:", "has no function ''"),
        ("{folder}/net.py:fails", "failed: RuntimeError: no such size\\."),
        ("{folder}/net.py:leaves", "failed: SystemExit: 3"),
        ("{folder}/net.py:number", "gave a int"),
        ("{folder}/net.py:torch", "is no function"),
        ("{folder}/net.py", "names no function"),
        ("{folder}/broken.py:build", "failed while it was loaded: SyntaxError"),
        ("{folder}/missing.onnx", "no file or directory"),
        ("{folder}/notes.txt", "no kind of network"),
        ("{folder}/weights.pt", "holds weights only"),
        ("{folder}/empty", "has no config.json"),
    ],
)
def test_wrong_sources_get_one_sentence(net: Path, source: str, message: str) -> None:
    folder = net.parent
    (folder / "broken.py").write_text("def build(:\n")
    (folder / "notes.txt").write_text("x")
    (folder / "weights.pt").write_bytes(b"x")
    (folder / "empty").mkdir()
    with pytest.raises(NetworkError, match=message) as caught:
        load_network(source.format(folder=folder))
    assert caught.value.remedy
    assert "\n" not in str(caught.value)


def test_weights_that_do_not_fit_are_named(net: Path, tmp_path: Path) -> None:
    wanted = state(net)
    wanted["extra.weight"] = wanted.pop("head.bias")
    save_file(wanted, tmp_path / "w.safetensors")
    with pytest.raises(
        NetworkError, match=r"1 missing \(head.bias\); 1 unexpected \(extra.weight\)"
    ):
        load_network(f"{net}:build", weights=tmp_path / "w.safetensors")


def test_weights_of_another_shape_are_named(net: Path, tmp_path: Path) -> None:
    wanted = {**state(net), "head.bias": torch.zeros(9)}
    save_file(wanted, tmp_path / "w.safetensors")
    with pytest.raises(
        NetworkError, match=r"'head.bias' .* shape \(9,\), the network wants \(2,\)"
    ):
        load_network(f"{net}:build", weights=tmp_path / "w.safetensors")


@pytest.mark.parametrize("suffix", ["safetensors", "npz", "pt"])
def test_damaged_weights_get_one_sentence(net: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"w.{suffix}"
    path.write_bytes(b"\x80\x02 not a file of weights at all")
    with pytest.raises(NetworkError) as caught:
        load_network(f"{net}:build", weights=path)
    assert path.name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"), [("gone.npz", "no weights file"), ("w.h5", "no kind of weights file")]
)
def test_unknown_weights_files(net: Path, tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "w.h5").write_bytes(b"")
    with pytest.raises(NetworkError, match=message):  # before anything is loaded
        need_files(f"{net}:build", tmp_path / name)
    with pytest.raises(NetworkError, match=message):
        load_network(f"{net}:build", weights=tmp_path / name)


def test_weights_belong_to_a_factory_only(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="holds its own weights"):
        load_network(plain(tmp_path).file, weights=tmp_path / "w.npz")
    with pytest.raises(NetworkError, match="holds its own weights"):
        load_network(torch.nn.Linear(1, 1), weights="w.npz")


def test_a_live_module_is_copied_where_it_must_change() -> None:
    live = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Dropout()).half().train()
    network = load_network(live)
    assert live.training
    assert live[0].weight.dtype == torch.float16
    assert network.module is not live
    assert network.module is not None
    assert not network.module.training
    assert next(network.module.parameters()).dtype == torch.float32
    assert "float32" in network.notes[0].reason
    ready = torch.nn.Linear(3, 2).eval()
    assert load_network(ready).module is ready


def test_a_broken_live_module_is_refused() -> None:
    live = torch.nn.Linear(3, 2).eval()
    with torch.no_grad():
        live.bias[0] = float("nan")
    with pytest.raises(NetworkError, match="'bias' holds NaN"):
        load_network(live)
    with pytest.raises(NetworkError, match="A list is no network"):
        load_network([live])  # type: ignore[arg-type]


def test_factories_are_told_from_files() -> None:
    assert is_factory("a/b.py:make")
    assert is_factory("C:\\nets\\b.py:make")
    assert not is_factory("b.py")
    assert not is_factory("model.onnx")


def test_an_onnx_file_is_described(tmp_path: Path) -> None:
    graph = plain(tmp_path)
    before = graph.digest()
    network = load_network(graph.file)
    assert network.kind is Kind.ONNX
    assert network.graph is not None
    assert network.graph.format is Format.ONNX
    assert network.inputs == (TensorSpec("input", "float32", ("batch", 3, 8, 8)),)
    assert graph.digest() == before


def test_an_onnx_file_with_data_beside_it(tmp_path: Path) -> None:
    model = make_graph(
        "g (float[n, 400] x) => (float[n, 400] y) { y = Add (x, w) }",
        {"w": np.ones(400, np.float32)},
    )
    onnx.save(model, str(tmp_path / "g.onnx"), save_as_external_data=True, location="g.bin")
    network = load_network(tmp_path / "g.onnx")
    assert network.graph is not None
    assert network.graph.sidecars == ("g.bin",)
    (tmp_path / "g.bin").unlink()
    with pytest.raises(NetworkError, match=r"data file 'g.bin' .* is missing"):
        load_network(tmp_path / "g.onnx")


@pytest.mark.parametrize("beside", [False, True])
def test_nodes_in_any_order_are_taken_and_sorted(tmp_path: Path, beside: bool) -> None:
    w = np.arange(400, dtype=np.float32)
    model = make_graph(
        "g (float[n, 400] x) => (float[n, 400] y) { a = Add (x, w)\n y = Relu (a) }", {"w": w}
    )
    model.graph.node.append(model.graph.node[0])
    del model.graph.node[0]
    extra = {"save_as_external_data": True, "location": "g.bin"} if beside else {}
    onnx.save(model, str(tmp_path / "g.onnx"), **extra)
    x = np.random.default_rng(0).standard_normal((2, 400)).astype(np.float32) * 300
    specs = (TensorSpec("x", "float32", ("batch", 400)),)
    graph = export(load_network(tmp_path / "g.onnx"), specs, {"x": x}, tmp_path / "out").graph
    assert [node.op_type for node in read_onnx(graph).graph.node] == ["Add", "Relu"]
    np.testing.assert_array_equal(run_graph(graph, {"x": x})["y"], np.maximum(x + w, 0))


def test_an_order_that_cannot_be_mended_is_refused(tmp_path: Path) -> None:
    model = make_graph("g (float[2] x) => (float[2] y) { a = Add (x, y)\n y = Relu (a) }", {})
    onnx.save(model, str(tmp_path / "g.onnx"))
    with pytest.raises(NetworkError, match="no valid ONNX model"):
        load_network(tmp_path / "g.onnx")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.99])
def test_a_truncated_onnx_file_is_refused(tmp_path: Path, share: float) -> None:
    file = plain(tmp_path).file
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    with pytest.raises(NetworkError) as caught:
        load_network(file)
    assert caught.value.remedy


def test_an_onnx_file_without_inputs_is_refused(tmp_path: Path) -> None:
    model = make_graph("g () => (float[1] y) { y = Neg (w) }", {"w": np.ones(1, np.float32)})
    onnx.save(model, str(tmp_path / "g.onnx"))
    with pytest.raises(NetworkError, match="has no inputs"):
        load_network(tmp_path / "g.onnx")


def test_a_program_by_position_and_by_name(tmp_path: Path) -> None:
    class Two(torch.nn.Module):
        def forward(self, a: torch.Tensor, *, b: torch.Tensor) -> torch.Tensor:
            return a @ b

    a, b = torch.rand(2, 3), torch.rand(3, 4)
    rows = torch.export.Dim("rows", min=1, max=99)
    program = torch.export.export(Two(), (a,), {"b": b}, dynamic_shapes={"a": {0: rows}, "b": None})
    torch.export.save(program, tmp_path / "two.pt2")
    network = load_network(tmp_path / "two.pt2")
    assert network.name == "two"
    assert network.inputs == (
        TensorSpec("a", "float32", ("batch", 3)),
        TensorSpec("b", "float32", (3, 4)),
    )
    assert network.module is not None
    torch.testing.assert_close(network.module(a[:1], b), a[:1] @ b)


def test_a_damaged_program_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"PK\x05\x06" + bytes(18), b"not a zip file"):
        (tmp_path / "p.pt2").write_bytes(content)
        with pytest.raises(NetworkError) as caught:
            load_network(tmp_path / "p.pt2")
        assert "\n" not in str(caught.value)


class Locked(torch.nn.Linear):
    """Holds what can't be copied."""

    def __init__(self) -> None:
        super().__init__(3, 2)
        self.lock = threading.Lock()


def weight_normed() -> torch.nn.Module:
    layer = torch.nn.utils.weight_norm(torch.nn.Linear(3, 2))
    layer(torch.zeros(1, 3)).sum().backward()
    return layer


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("make", [Locked, weight_normed])
def test_what_cannot_be_copied_is_taken_in_evaluation_mode(
    make: Callable[[], torch.nn.Module],
) -> None:
    module = make()
    with pytest.raises(NetworkError, match="in training mode and can't be copied") as caught:
        load_network(module)
    assert caught.value.remedy.startswith("Call .eval() on it first")
    assert module.training
    assert load_network(module.eval()).module is module


def test_what_cannot_be_copied_has_to_be_moved_by_its_owner() -> None:
    with pytest.raises(NetworkError, match="another place or dtype") as caught:
        load_network(Locked().double().eval())
    assert caught.value.remedy.startswith("Call .cpu().float().eval() on it first")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "compiled",
    [torch.jit.script, lambda module: torch.jit.trace(module, torch.zeros(1, 3))],
    ids=["script", "trace"],
)
def test_compiled_modules_are_refused(
    compiled: Callable[[torch.nn.Module], torch.nn.Module],
) -> None:
    with pytest.raises(NetworkError, match=r"compiled by torch\.jit") as caught:
        load_network(compiled(torch.nn.Linear(3, 2)))
    assert "before torch.jit.script" in caught.value.remedy


LAZY = """
import torch

def build():
    return torch.nn.Sequential(torch.nn.LazyLinear(4))

def scripted():
    return torch.jit.script(torch.nn.Linear(3, 2))
"""


@pytest.mark.filterwarnings("ignore:Lazy modules", "ignore::DeprecationWarning")
def test_weights_that_were_never_made_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match=r"'0\.weight' has no values .* lazy layer"):
        load_network(torch.nn.Sequential(torch.nn.LazyLinear(4)))
    with pytest.raises(NetworkError, match=r"'running_mean' has no values"):
        load_network(torch.nn.LazyBatchNorm1d(affine=False))
    file = tmp_path / "lazy.py"
    file.write_text(LAZY)
    with pytest.raises(NetworkError, match="lazy layer"):
        load_network(f"{file}:build")
    with pytest.raises(NetworkError, match=r"compiled by torch\.jit"):
        load_network(f"{file}:scripted")


def test_a_forward_that_is_no_python_function_is_refused() -> None:
    module = torch.nn.Identity().eval()
    module.forward = dict  # type: ignore[assignment]
    with pytest.raises(NetworkError, match="says nothing about its arguments"):
        load_network(module)


@pytest.mark.parametrize("name", ["net.onnx", "net.py:build"])
def test_a_network_in_the_home_of_nobody_is_not_there(name: str) -> None:
    with pytest.raises(NetworkError, match="There is no file"):
        load_network(f"~nobody-of-this-name/{name}")
