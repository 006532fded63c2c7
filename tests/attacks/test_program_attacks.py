"""torch.export programs that try to run code when they are loaded; each must be refused."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from whet.core.settings import Settings
from whet.errors import EngineError
from whet.runtimes.torch_eager import TorchRuntime
from whet.testing.small_net import SmallNet

torch = pytest.importorskip("torch")
NET = SmallNet()
PROGRAM, WEIGHTS = "models/model.json", "data/weights/model_weights_config.json"
CONSTANTS, SAMPLES = "data/constants/model_constants_config.json", "data/sample_inputs/model.pt"
Entries = dict[str, bytes]


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> Entries:
    """A good program, by entry."""
    graph = NET.program(tmp_path_factory.mktemp("program"))
    with zipfile.ZipFile(graph.file) as archive:
        return {n.partition("/")[2]: archive.read(n) for n in archive.namelist()}


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return exec, ("import pathlib; pathlib.Path(*__import__('sys').argv[:0], 'boom').touch()",)


def saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def edit(name: str, change: Callable[[dict], None]) -> Callable[[Entries], None]:
    def attack(entries: Entries) -> None:
        document = json.loads(entries[name])
        change(document)
        entries[name] = json.dumps(document).encode()

    return attack


def first_node(key: str, value: object) -> Callable[[Entries], None]:
    return edit(PROGRAM, lambda d: d["graph_module"]["graph"]["nodes"][0].update({key: value}))


def size(text: str) -> Callable[[Entries], None]:
    def change(entries: Entries) -> None:
        document = entries[PROGRAM].decode()
        start = document.index('"expr_str": "') + len('"expr_str": "')
        end = document.index('"', start)
        entries[PROGRAM] = (document[:start] + text + document[end:]).encode()

    return change


def pickled_weight(entries: Entries) -> None:
    config = json.loads(entries[WEIGHTS])
    payload = next(iter(config["config"].values()))
    payload["use_pickle"] = True
    entries[WEIGHTS] = json.dumps(config).encode()
    entries[f"data/weights/{payload['path_name']}"] = saved(Bomb())


def constant(prefix: str) -> Callable[[Entries], None]:
    def attack(entries: Entries) -> None:
        payload = {
            "path_name": f"{prefix}0",
            "is_param": False,
            "use_pickle": True,
            "tensor_meta": None,
        }
        entries[CONSTANTS] = json.dumps({"config": {"c": payload}}).encode()
        entries[f"data/constants/{prefix}0"] = pickle.dumps(Bomb())

    return attack


def in_spec(kind: str, context: str) -> Callable[[Entries], None]:
    leaf = {"type": kind, "context": context, "children_spec": []}

    def change(document: dict) -> None:
        for call in document["graph_module"]["module_call_graph"]:
            if call["signature"]:
                call["signature"]["in_spec"] = json.dumps([1, leaf])

    return edit(PROGRAM, change)


ATTACKS = {
    "pickled weight": pickled_weight,
    "pickled constant": constant("tensor_"),
    "script object": constant("custom_obj_"),
    "opaque object": constant("opaque_obj_"),
    "legacy weights": lambda e: e.update({"data/weights/model.pt": saved(Bomb())}),
    "legacy constants": lambda e: e.update({"data/constants/model.pt": saved(Bomb())}),
    "sample inputs": lambda e: e.update({SAMPLES: saved(Bomb())}),
    "native code": lambda e: e.update({"data/aotinductor/model/a.so": b"\x7fELF"}),
    "second program": lambda e: e.update({"models/other.json": e[PROGRAM]}),
    "operator os.system": first_node("target", "torch.os.system"),
    "operator torch.load": first_node("target", "torch.load"),
    "operator hub": first_node("target", "torch.hub.load"),
    "operator call": first_node("target", "_operator.methodcaller"),
    "operator from_file": first_node("target", "torch.ops.aten.from_file.default"),
    "operator extension": first_node("target", "#evil:op"),
    "operator dunder": first_node("target", "torch.ops.aten.__class__"),
    "size imports": size("__import__('os').getpid()"),
    "size attribute": size("Symbol('s0').__class__"),
    "size lambda": size("(lambda: 1)()"),
    "size open": size("open('boom', 'w')"),
    "size huge power": size("Pow(Integer(9), Integer(999999999))"),
    "value name": edit(
        PROGRAM,
        lambda d: d["graph_module"]["graph"]["inputs"][0]["as_tensor"].update(
            {"name": "x):\n import os\n def f("}
        ),
    ),
    "treespec enum": in_spec(
        "builtins.dict", '{"__enum__": true, "fqn": "os:system", "name": "x"}'
    ),
    "treespec defaultdict": in_spec("collections.defaultdict", "{}"),
    "json bomb": lambda e: e.update({PROGRAM: b"[" * 500_000}),
    "no json": lambda e: e.update({PROGRAM: b"\xff\x00"}),
    "no program": lambda e: e.pop(PROGRAM),
}


def pack(entries: Entries, file: Path) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in entries.items():
            archive.writestr(f"small/{name}", content)


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_refused(
    attack: Callable[[Entries], None],
    entries: Entries,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    graph = NET.program(tmp_path)
    hostile = dict(entries)
    attack(hostile)
    assert hostile != entries
    pack(hostile, graph.file)
    with pytest.raises(EngineError) as refusal:
        TorchRuntime().open(graph.file, graph, Settings())
    assert refusal.value.remedy
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "boom").exists()
    assert capfd.readouterr().err == ""


def test_the_same_file_is_loaded_when_it_is_left_alone(entries: Entries, tmp_path: Path) -> None:
    graph = NET.program(tmp_path)
    pack(entries, graph.file)
    with TorchRuntime().open(graph.file, graph, Settings()) as session:
        assert session.run(NET.inputs(1))
