from __future__ import annotations

from pathlib import Path

import torch

from whet.optimize.intake import load_network
from whet.optimize.intake.untrained import random_parts, untrained_notes

HEAD = "import torch\n"


def written(tmp_path: Path, body: str) -> str:
    (tmp_path / "net.py").write_text(HEAD + body)
    return f"{tmp_path / 'net.py'}:build"


def test_forgotten_weights_are_told(tmp_path: Path) -> None:
    source = written(tmp_path, "def build():\n    return torch.nn.Linear(4, 2)\n")
    (note,) = load_network(source).notes
    assert note.where == "weights"
    assert "2 of its 2 tensors (weight, bias)" in note.reason
    assert "--weights" in note.reason


def test_with_weights_nothing_is_said_and_the_factory_is_called_once(tmp_path: Path) -> None:
    body = "calls = []\ndef build():\n    calls.append(1)\n    assert len(calls) == 1\n"
    source = written(tmp_path, f"{body}    return torch.nn.Linear(4, 2)\n")
    torch.save(torch.nn.Linear(4, 2).state_dict(), tmp_path / "w.pt")
    assert load_network(source, weights=tmp_path / "w.pt").notes == ()


def test_a_factory_that_loads_its_own_weights_is_trusted(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(4, 2).state_dict(), tmp_path / "w.pt")
    body = f"    net.load_state_dict(torch.load({str(tmp_path / 'w.pt')!r}))\n    return net\n"
    source = written(tmp_path, f"def build():\n    net = torch.nn.Linear(4, 2)\n{body}")
    assert load_network(source).notes == ()


def test_a_fresh_head_on_a_trained_trunk_is_named() -> None:
    trunk = torch.nn.Linear(4, 4)

    def build() -> torch.nn.Module:
        net = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
        net[0].load_state_dict(trunk.state_dict())
        return net

    assert random_parts(build(), build) == (("1.weight", "1.bias"), 4)


def test_a_factory_that_cannot_be_called_twice_says_nothing() -> None:
    def broken() -> torch.nn.Module:
        raise RuntimeError("once only")

    assert untrained_notes(torch.nn.Linear(2, 2), broken) == ()


def test_the_generator_is_left_as_it_was() -> None:
    module = torch.nn.Linear(2, 2)
    torch.manual_seed(3)
    want = torch.rand(2)
    torch.manual_seed(3)
    random_parts(module, lambda: torch.nn.Linear(2, 2))
    assert torch.equal(torch.rand(2), want)
