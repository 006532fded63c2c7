from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from whet.core.artifact import Artifact, Format
from whet.core.settings import Layout, Precision, Settings
from whet.core.spec import Signature, TensorSpec
from whet.errors import EngineError, OptionError
from whet.runtimes.inductor import InductorRuntime
from whet.runtimes.inductor_adapt import adapt
from whet.runtimes.torch_eager import TorchRuntime
from whet.runtimes.torch_program import as_module, load_program
from whet.testing.small_net import SmallNet

torch = pytest.importorskip("torch")
NET = SmallNet()


def by_name(folder: Path, forward: Callable, inputs: dict, outputs: dict) -> Artifact:
    """A program that takes its inputs by name, in an order of its own."""

    class Net(torch.nn.Module):
        def forward(self, *, b, a):
            return forward(a, b)

    batch = torch.export.Dim("batch", min=1, max=16)
    kwargs = {name: torch.zeros(2, 3, dtype=dtype) for name, dtype in inputs.items()}
    dims = {name: {0: batch} for name in inputs}
    program = torch.export.export(Net(), (), kwargs, dynamic_shapes=dims)
    torch.export.save(program, folder / "named.pt2")

    def specs(dtypes: dict) -> tuple[TensorSpec, ...]:
        return tuple(
            TensorSpec(n, str(d).removeprefix("torch."), ("batch", 3)) for n, d in dtypes.items()
        )

    signature = Signature(specs(dict(sorted(inputs.items()))), specs(outputs))
    return Artifact(str(folder / "named.pt2"), Format.TORCH, signature)


F32 = torch.float32


@pytest.fixture
def named(tmp_path: Path) -> Artifact:
    return by_name(
        tmp_path,
        lambda a, b: {"y": (a - b.float()).to(torch.bfloat16), "z": a},
        {"b": torch.int64, "a": F32},
        {"y": torch.bfloat16, "z": F32},
    )


A, B = np.full((4, 3), 2.5, np.float32), np.arange(12).reshape(4, 3)


def ask(
    runtime: TorchRuntime | InductorRuntime, engine: Path, graph: Artifact
) -> tuple[str, np.ndarray, np.ndarray]:
    """The dtype that is stated, ``y``, and the input after its answer was written to."""
    a = A.copy()
    with runtime.open(engine, graph, Settings()) as session:
        answer = session.run({"a": a, "b": B})
        y = answer["y"].copy()
        answer["z"][...] = 0  # the program gives its input back; the caller gets a copy
        return session.signature.outputs[0].dtype, y, a


def test_inputs_by_name_and_bfloat16_outputs(named: Artifact) -> None:
    dtype, y, a = ask(TorchRuntime(), named.file, named)
    assert dtype == "float32"
    np.testing.assert_array_equal(y, A - B)
    np.testing.assert_array_equal(a, A)


@pytest.mark.parametrize(
    "signature",
    [
        Signature((TensorSpec("a", "float32", ("batch", 3)),), ()),
        Signature(
            (TensorSpec("a", "float32", ("batch", 3)), TensorSpec("c", "int64", ("batch", 3))),
            (TensorSpec("y", "float32", ("batch", 3)), TensorSpec("z", "float32", ("batch", 3))),
        ),
        Signature(
            (TensorSpec("a", "float32", (1, 3)), TensorSpec("b", "int64", (1, 3))),
            (TensorSpec("y", "float32", (1, 3)), TensorSpec("z", "float32", (1, 3))),
        ),
    ],
    ids=["count", "names", "fixed"],
)
def test_a_program_of_another_signature_is_refused(named: Artifact, signature: Signature) -> None:
    claimed = Artifact(named.path, named.format, signature)
    with pytest.raises(EngineError):
        TorchRuntime().open(named.file, claimed, Settings())


def test_layers_name_the_operators(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    graph = NET.program(tmp_path)
    with TorchRuntime().open(graph.file, graph, Settings()) as session:
        layers = session.layers(NET.inputs(1))
    assert any("conv" in layer.kind for layer in layers)
    assert {"fp32", "fp16"} <= {layer.precision for layer in layers}
    assert capfd.readouterr() == ("", "")


def test_spinning_is_switched_off_before_torch_is_loaded(tmp_path: Path) -> None:
    graph = NET.program(tmp_path)
    code = textwrap.dedent(
        f"""
        import msgspec, os, sys
        from pathlib import Path
        from whet.core.artifact import Artifact
        from whet.core.settings import Settings
        from whet.runtimes.registry import get
        from whet.errors import EngineError
        graph = msgspec.json.decode({__import__("msgspec").json.encode(graph)!r}, type=Artifact)
        if "late" in sys.argv:
            import torch
        try:
            get("torch").open(graph.file, graph, Settings(threads=2, spin=False)).close()
            print(os.environ["OMP_WAIT_POLICY"])
        except EngineError as error:
            print(error)
        """
    )

    def run(*argv: str) -> str:
        env = {k: v for k, v in __import__("os").environ.items() if k != "OMP_WAIT_POLICY"}
        done = subprocess.run(
            [sys.executable, "-c", code, *argv],
            capture_output=True,
            text=True,
            timeout=120,
            env=env,
        )
        return done.stdout + done.stderr

    assert run() == "PASSIVE\n"
    assert "too late" in run("late")


def test_inductor_does_not_open_programs(tmp_path: Path) -> None:
    graph = NET.program(tmp_path)
    with pytest.raises(EngineError, match="Compile it first"):
        InductorRuntime().open(graph.file, graph, Settings())
    with pytest.raises(OptionError, match="fp16"):
        InductorRuntime().compile(graph, Settings(precision=Precision.FP16), tmp_path)


def test_inductor_needs_its_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = InductorRuntime().available()
    assert not found.ok
    assert "g++" in found.reason


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        Settings(precision=Precision.BF16),
        Settings(precision=Precision.BF16, fixed={"batch": 3}),
        Settings(layout=Layout.CHANNELS_LAST, streams=2),
    ],
    ids=lambda settings: settings.brief(),
)
def test_inductor_settings(tmp_path: Path, settings: Settings) -> None:
    graph, runtime = NET.program(tmp_path), InductorRuntime()
    engine = runtime.compile(graph, settings, tmp_path)
    inputs, tolerance = NET.inputs(3), 0.01 if settings.precision is Precision.BF16 else 1e-4
    with runtime.open(engine, graph, settings) as session:
        answer = session.run(inputs)
    for name, exact in NET.answer(inputs).items():
        assert answer[name].dtype == exact.dtype
        np.testing.assert_allclose(answer[name], exact, tolerance, tolerance)


def test_inductor_traces_sizes_without_an_upper_bound(tmp_path: Path) -> None:
    class Net(torch.nn.Module):
        def forward(self, x):
            return x.mean(2)

    auto = torch.export.Dim.AUTO
    dims = ({0: auto, 2: auto},)
    program = torch.export.export(Net(), (torch.zeros(2, 3, 5),), dynamic_shapes=dims)
    torch.export.save(program, tmp_path / "net.pt2")
    signature = Signature(
        (TensorSpec("x", "float32", ("batch", 3, "time")),),
        (TensorSpec("y", "float32", ("batch", 3)),),
    )
    graph = Artifact(str(tmp_path / "net.pt2"), Format.TORCH, signature)
    program = load_program(graph.file, "inductor")
    module, call = as_module(program, graph, "inductor")
    adapted = adapt(program, module, call, signature, Settings(precision=Precision.BF16))
    x = torch.arange(24.0).reshape(1, 3, 8)
    (y,) = adapted.module()(x)
    torch.testing.assert_close(y, x.mean(2), rtol=0.01, atol=0.01)


@pytest.mark.slow
def test_inductor_takes_programs_with_inputs_by_name(named: Artifact, tmp_path: Path) -> None:
    engine = InductorRuntime().compile(named, Settings(), tmp_path)
    dtype, y, a = ask(InductorRuntime(), engine, named)
    assert dtype == "float32"
    np.testing.assert_array_equal(y, A - B)
    np.testing.assert_array_equal(a, A)
