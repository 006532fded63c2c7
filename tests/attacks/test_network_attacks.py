"""Model files that try to run code, to read other files or to exhaust the machine: all must fail."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from whet.errors import NetworkError
from whet.optimize.intake import load_network
from whet.testing.small_graphs import make_graph


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, where: Path) -> None:
        self.where = where

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.where),)


@pytest.fixture
def crater(tmp_path: Path) -> Path:
    """What a bomb leaves behind."""
    return tmp_path / "crater"


@pytest.fixture
def factory(tmp_path: Path) -> str:
    (tmp_path / "net.py").write_text(
        "import torch\ndef build():\n    return torch.nn.Linear(2, 1)\n"
    )
    return f"{tmp_path / 'net.py'}:build"


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("legacy", [False, True])
def test_pickled_code_in_weights(
    factory: str, tmp_path: Path, crater: Path, protocol: int, legacy: bool
) -> None:
    weights = tmp_path / "w.pt"
    torch.save(
        {"weight": torch.zeros(1, 2), "bias": Bomb(crater)},
        weights,
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=not legacy,
    )
    with pytest.raises(NetworkError, match=r"more than tensors|can't be read") as caught:
        load_network(factory, weights=weights)
    assert caught.value.remedy
    assert not crater.exists()


def test_a_bare_pickle_as_weights(factory: str, tmp_path: Path, crater: Path) -> None:
    (tmp_path / "w.pth").write_bytes(pickle.dumps(Bomb(crater)))
    with pytest.raises(NetworkError):
        load_network(factory, weights=tmp_path / "w.pth")
    assert not crater.exists()


def test_a_pickled_module_as_weights(factory: str, tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 1), tmp_path / "w.pt")
    with pytest.raises(NetworkError, match="more than tensors"):
        load_network(factory, weights=tmp_path / "w.pt")


def test_pickled_objects_in_an_array_archive(factory: str, tmp_path: Path, crater: Path) -> None:
    bomb = np.empty(1, object)
    bomb[0] = Bomb(crater)
    np.savez(tmp_path / "w.npz", weight=np.zeros((1, 2), np.float32), bias=bomb)
    with pytest.raises(NetworkError, match="can't be read"):
        load_network(factory, weights=tmp_path / "w.npz")
    assert not crater.exists()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A plain program with a free batch."""
    batch = torch.export.Dim("batch", min=1, max=64)
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU()).eval()
    exported = torch.export.export(module, (torch.rand(2, 3),), dynamic_shapes=({0: batch},))
    path = tmp_path_factory.mktemp("program") / "model.pt2"
    torch.export.save(exported, path)
    return path.read_bytes()


def forged(program: bytes, change: Callable[[dict[str, bytes]], None]) -> bytes:
    """The program with other entries."""
    with zipfile.ZipFile(io.BytesIO(program)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, blob in entries.items():
            archive.writestr(name, blob)
    return out.getvalue()


def named(entries: dict[str, bytes], ending: str) -> str:
    return next(name for name in entries if name.endswith(ending))


def rewritten(entries: dict[str, bytes], ending: str, change: Callable[[Any], None]) -> None:
    name = named(entries, ending)
    document = json.loads(entries[name])
    change(document)
    entries[name] = json.dumps(document).encode()


def walk(node: Any, change: Callable[[dict[str, Any]], None]) -> None:
    if isinstance(node, dict):
        change(node)
        for value in list(node.values()):
            walk(value, change)
    elif isinstance(node, list):
        for value in node:
            walk(value, change)


def set_key(key: str, value: object) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        def one(node: dict[str, Any]) -> None:
            if key in node:
                node[key] = value

        walk(document, one)

    return change


def in_model(key: str, value: object) -> Callable[[dict[str, bytes]], None]:
    return lambda entries: rewritten(entries, "models/model.json", set_key(key, value))


def with_pickle(crater: Path) -> Callable[[dict[str, bytes]], None]:
    def change(entries: dict[str, bytes]) -> None:
        rewritten(entries, "model_weights_config.json", set_key("use_pickle", True))
        entries[named(entries, "weights/weight_0")] = pickle.dumps(Bomb(crater))

    return change


def with_samples(crater: Path) -> Callable[[dict[str, bytes]], None]:
    def change(entries: dict[str, bytes]) -> None:
        blob = io.BytesIO()
        torch.save((Bomb(crater),), blob)
        entries[named(entries, "sample_inputs/model.pt")] = blob.getvalue()

    return change


def with_entry(tail: str, blob: bytes) -> Callable[[dict[str, bytes]], None]:
    def change(entries: dict[str, bytes]) -> None:
        root = named(entries, "models/model.json").removesuffix("models/model.json")
        entries[root + tail] = blob

    return change


def attacks(crater: Path) -> dict[str, Callable[[dict[str, bytes]], None]]:
    code = f"__import__('os').mkdir({str(crater)!r})"
    enum = json.dumps({"__enum__": True, "fqn": "antigravity:A", "name": "B"})
    spec = {"type": "builtins.tuple", "context": enum, "children_spec": []}
    return {
        "pickled weight": with_pickle(crater),
        "pickled sample inputs": with_samples(crater),
        "legacy weights": with_entry("data/weights/model.pt", pickle.dumps(Bomb(crater))),
        "legacy constants": with_entry("data/constants/model.pt", pickle.dumps(Bomb(crater))),
        "opaque object": with_entry("data/constants/opaque_obj_0", pickle.dumps(Bomb(crater))),
        "compiled library": with_entry("data/aotinductor/model/x.so", b"\x7fELF"),
        "size expression": in_model("expr_str", code),
        "power tower": in_model("expr_str", "9**9**9**9**9"),
        "operator": in_model("target", "torch.os.system"),
        "library loader": in_model("target", "torch.ops.load_library"),
        "file reader": in_model("target", "torch.ops.aten.from_file.default"),
        "dunder path": in_model("target", "torch.ops.aten.__class__.__init__"),
        "value name": in_model("name", f"x\n    {code}\n    y"),
        "argument name": in_model("forward_arg_names", [f"x={code}"]),
        "enum in the inputs": in_model("in_spec", json.dumps([1, spec])),
        "named tuple": in_model("treespec_namedtuple_fields", {"os.mkdir": {"field_names": ["a"]}}),
    }


@pytest.mark.parametrize("attack", list(attacks(Path("x"))))
def test_programs_that_would_run_code(
    program: bytes, tmp_path: Path, crater: Path, attack: str
) -> None:
    path = tmp_path / "forged.pt2"
    path.write_bytes(forged(program, attacks(crater)[attack]))
    with pytest.raises(NetworkError) as caught:
        load_network(path)
    assert not crater.exists()
    assert "\n" not in str(caught.value)
    assert caught.value.remedy


def test_guards_of_a_program_are_never_compiled(
    program: bytes, tmp_path: Path, crater: Path
) -> None:
    def change(document: dict[str, Any]) -> None:
        document["guards_code"] = [f"__import__('os').mkdir({str(crater)!r})"]

    path = tmp_path / "forged.pt2"
    path.write_bytes(forged(program, lambda e: rewritten(e, "models/model.json", change)))
    try:
        network = load_network(path)
    except NetworkError:
        network = None
    if network is not None and network.module is not None:
        network.module(torch.rand(1, 3))
    assert not crater.exists()


def test_the_untouched_program_is_read(program: bytes, tmp_path: Path) -> None:
    """The attacks fail for what they change, not for how they are packed."""
    path = tmp_path / "same.pt2"
    path.write_bytes(forged(program, lambda entries: None))
    network = load_network(path)
    assert network.module is not None
    assert network.module(torch.rand(5, 3)).shape == (5, 2)


def external(location: str, **facts: str) -> onnx.ModelProto:
    model = make_graph(
        "g (float[n, 4] x) => (float[n, 4] y) { y = Add (x, w) }", {"w": np.ones(4, np.float32)}
    )
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, "length": "16", **facts}.items():
        tensor.external_data.add(key=key, value=value)
    return model


@pytest.mark.parametrize(
    "location",
    [
        "../secret.bin",
        "/etc/passwd",
        "sub/../../secret.bin",
        "..\\secret.bin",
        "C:\\secret.bin",
        "link.bin",
        "",
    ],
)
def test_external_data_outside_the_folder(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(64))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "m.onnx").write_bytes(external(location).SerializeToString())
    with pytest.raises(NetworkError, match="outside its own folder"):
        load_network(folder / "m.onnx")


@pytest.mark.parametrize(
    "facts",
    [
        {"offset": "60"},
        {"length": "99999999999"},
        {"offset": "-8"},
        {"length": "-1"},
        {"offset": "x"},
    ],
)
def test_external_data_beyond_the_file(tmp_path: Path, facts: dict[str, str]) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(64))
    (tmp_path / "m.onnx").write_bytes(external("w.bin", **facts).SerializeToString())
    with pytest.raises(NetworkError, match=r"cut off|damaged"):
        load_network(tmp_path / "m.onnx")


def test_external_data_in_a_branch_is_checked_too(tmp_path: Path) -> None:
    hidden = external("../secret.bin").graph.initializer[0]
    node = onnx.helper.make_node("Constant", [], ["c"], value=hidden)
    model = make_graph("g (float[n, 4] x) => (float[n, 4] y) { y = Relu (x) }", {})
    model.graph.node.append(node)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(NetworkError, match="outside its own folder"):
        load_network(tmp_path / "m.onnx")


def test_a_weight_that_claims_more_than_it_holds(tmp_path: Path) -> None:
    model = make_graph(
        "g (float[n, 4] x) => (float[n, 4] y) { y = Add (x, w) }", {"w": np.ones(4, np.float32)}
    )
    model.graph.initializer[0].dims[0] = 1 << 40
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(NetworkError):
        load_network(tmp_path / "m.onnx")


def hugging_face(folder: Path, **config: object) -> Path:
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "config.json").write_text(
        json.dumps({"architectures": ["BertModel"], "vocab_size": 9, **config})
    )
    return folder


def test_a_directory_with_code_of_its_own(tmp_path: Path, crater: Path) -> None:
    folder = hugging_face(
        tmp_path / "m",
        model_type="mine",
        auto_map={"AutoModel": "modeling.Net", "AutoConfig": "modeling.C"},
    )
    (folder / "modeling.py").write_text(f"import os\nos.mkdir({str(crater)!r})\n")
    with pytest.raises(NetworkError, match="code of its own"):
        load_network(folder)
    assert not crater.exists()


def test_a_pooling_config_outside_the_directory(tmp_path: Path) -> None:
    folder = hugging_face(tmp_path / "m")
    (folder / "modules.json").write_text(json.dumps([{"type": "x.Pooling", "path": "../../etc"}]))
    with pytest.raises(NetworkError, match="outside its folder"):
        load_network(folder)


@pytest.mark.parametrize("text", ["[" * 100_000, "\x00", "[1, 2]", '{"architectures": 3}'])
def test_hostile_json(tmp_path: Path, text: str) -> None:
    folder = hugging_face(tmp_path / "m")
    (folder / "config.json").write_text(text)
    with pytest.raises(NetworkError):
        load_network(folder)
