"""Every argument of every public verb, given as something else."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import whet
from whet.errors import InputError, OptionError

# The rest of each call is refused later on, so nothing is searched, opened or measured.
CALLS: dict[str, dict[str, Any]] = {
    "optimize": {"network": "gone.py:build", "samples": "gone.npz"},
    "load": {"bundle": "gone.whet"},
    "verify": {"bundle": "gone.whet"},
    "bench": {"bundle": "gone.whet"},
    "bench_service": {"url": "http://127.0.0.1:1"},
    "inspect": {"bundle": "gone.whet"},
    "serve": {"bundles": "gone.whet"},
    "recipe_of": {"bundle": "gone.whet"},
    "apply": {
        "recipe": whet.Pipeline([]),
        "network": "gone.py:build",
        "samples": "gone.npz",
        "out": "gone.applied",
    },
    "read_recipe": {"path": "gone.yaml"},
    "write_recipe": {"recipe": whet.Pipeline([]), "path": "gone/gone.yaml"},
}
PATH = (3, b"a", ["a"], {})
TEXT = (3, True, ["a"])
NUMBER = ("5", [5], True, float("nan"))
WHOLE = ("a", "3", 0.5, True, None, [1])
NAMES = (3, [3], {}, True, ())
FLAG = ("no", 0, None)
WRONG: dict[str, tuple[object, ...]] = {
    "bundle": (*PATH, None),
    "path": (*PATH, None),
    "out": (*PATH, None),
    "recipe": (3, None, b"a", ["a"], {}),
    "threads": ("2", 0.5, True, [1], 0, -1),
    "ignore_outputs": NAMES,
    "on_phase": (3, True, "print"),
    "ledger": PATH,
    "weights": PATH,
    "inputs": PATH,
    "variant": TEXT,
    "scenario": (*TEXT, None, "fastest"),
    "label_key": TEXT,
    "command": (*TEXT, None),
    "budget_s": (*NUMBER, 0, -1),
    "seconds": (*NUMBER, None, 0),
    "rate_per_s": NUMBER,
    "limit_ms": (*NUMBER, 0, -5),
    "percentile": (*NUMBER, 0, 100),
    "seed": WHOLE,
    "most": WHOLE,
    "label_offset": WHOLE,
    "text_keys": NAMES,
    "runtimes": NAMES,
    "pairs": (3, True, "both"),
    "trust_code": FLAG,
    "quick": FLAG,
    "transform": ({}, "image", 3),
    "on_event": (3, True, "print"),
    "cancel": (True, 3, "now"),
    "bundles": (3, b"a", [], [3], {"a/b": "gone.whet"}, {"": "gone.whet"}, {"a": 3}),
    "host": (*TEXT, None),
    "port": (*WHOLE, -1, 65536),
    "uds": PATH,
    "deadline_ms": (*NUMBER, 0, -1),
    "variants": NAMES,
    "most_rows": (*WHOLE, 0),
    "workers": (*WHOLE, 0),
    "keys": NAMES,
    "server_name": (*TEXT, None),
    "drain_s": (*NUMBER, None),
    "on_ready": (3, True, "print"),
    "model_control": FLAG,
    "watch": FLAG,
    "shared_memory": FLAG,
    "isolated": FLAG,
    "access_log": FLAG,
    "log_format": (*TEXT, None, "xml"),
    "grpc_port": (*WHOLE, -1, 65536),
    "admin_port": (*WHOLE, -1, 65536),
    "tls_cert": (*PATH, "alone.pem"),
    "tls_key": (*PATH, "alone.pem"),
    "url": (*TEXT, None, "nowhere://"),
    "model": (*TEXT, None),
    "clients": (*WHOLE, 0),
    "arrivals": (3, True, None, "gone.txt"),
    "find_highest": (*FLAG, True),
    "rows": (*WHOLE, 0),
    "key": TEXT,
    "ca_file": PATH,
    "on_load": (3, True, "print"),
}
ELSEWHERE = {"network", "samples", "labels", "train", "contract"}  # judged where they are read


@pytest.mark.parametrize("verb", CALLS)
def test_no_argument_is_forgotten(verb: str) -> None:
    assert set(inspect.signature(getattr(whet, verb)).parameters) <= WRONG.keys() | ELSEWHERE


@pytest.mark.parametrize(
    ("verb", "name", "value"),
    [
        (verb, name, value)
        for verb in CALLS
        for name, parameter in inspect.signature(getattr(whet, verb)).parameters.items()
        for value in WRONG.get(name, ())
        if value is not None or parameter.default is not None  # else it may be left out
    ],
)
def test_it_is_refused_by_name_and_with_a_remedy(verb: str, name: str, value: object) -> None:
    with pytest.raises(OptionError) as caught:
        getattr(whet, verb)(**{**CALLS[verb], name: value})
    assert caught.value.remedy


@pytest.mark.parametrize("name", ["runtimes", "text_keys"])
def test_a_single_name_is_not_taken_letter_by_letter(name: str) -> None:
    with pytest.raises(InputError) as caught:
        whet.optimize("gone.py:build", "gone.npz", **{name: "onnxruntime"})
    assert "no file 'gone.py'" in caught.value.message
