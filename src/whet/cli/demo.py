"""``whet demo``: the main job from end to end, on real data that comes with scikit-learn.

It does what a user would do: trains a network in a script of its own, gives
the files to whet, and loads the bundle back.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from whet._optional import need_installed
from whet.cli import options
from whet.cli.closing import table
from whet.cli.console import Console
from whet.cli.exits import Exit
from whet.cli.optimize import report_outcome
from whet.cli.ports import Api, GetApi, Outcome, Verbs
from whet.cli.watch import watch
from whet.core.contract import Contract, Drop
from whet.errors import StorageError, WhetError
from whet.search.events import Event

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["add", "run"]

_FILES = ("digits_net.py", "train_digits.py")
_NEEDS = ("torch", "sklearn", "safetensors", "onnx")
# No limit: "as fast as possible" shows all of the ladder, where a limit that is easily kept ends it.
_CONTRACT = Contract(metric="top1", max_drop=Drop(0.01))
_RUNTIMES = ("openvino", "onnxruntime")  # Inductor's C++ would take half of the time
_BUDGET = "90s"
_SHOWN = 8

Train = Callable[[Path], str]


def add(verbs: Verbs) -> None:
    """Add this verb to the command line."""
    parser = verbs.add_parser(
        "demo",
        help="train a small network on handwritten digits and optimise it, in two minutes",
        description="Train a small convolutional network on scikit-learn's handwritten digits, optimise"
        " it under a contract, write the bundle and its report, load it back and classify.",
        allow_abbrev=False,
    )
    parser.add_argument("--out", default="whet-demo", metavar="DIR", help="default whet-demo")
    parser.add_argument(
        "--budget", default=_BUDGET, metavar="TIME", help=f"of the search (default {_BUDGET})"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default 0")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.set_defaults(run=run)


def run(
    args: argparse.Namespace, console: Console, api: GetApi, *, train: Train | None = None
) -> int:
    """Carry it out; ``train`` writes weights and samples into a folder."""
    where = Path(args.out)
    budget_s = options.parse_seconds("--budget", args.budget)
    console.quiet = args.quiet
    need_installed(_NEEDS, "The demo", "demo")
    _copy_files(where)
    console.tell("Training a small network on handwritten digits ...")
    console.tell(f"  {(train if train is not None else _train)(where)}")
    verbs = api()
    outcome = _optimize(args, console, verbs, where, budget_s)
    if outcome is None:
        return Exit.INTERRUPTED
    code = report_outcome(outcome, console)
    if outcome.bundle is not None:
        console.say("", *_classified(verbs, outcome.bundle, where))
    return code


def _optimize(
    args: argparse.Namespace, console: Console, verbs: Api, where: Path, budget_s: float
) -> Outcome | None:
    network = f"{where / 'digits_net.py'}:build"
    weights, samples = where / "digits.safetensors", where / "samples.npz"
    bundle = where / "digits.whet"
    given = ["whet", "optimize", network, "--weights", weights, "--samples", samples]
    wanted = ["--max-drop", "1pt", "--metric", "top1", "--runtimes", ",".join(_RUNTIMES)]
    command = shlex.join(
        [
            *map(str, given),
            *wanted,
            *("--budget", args.budget, "--seed", str(args.seed), "--out", str(bundle)),
        ]
    )

    def job(listener: Callable[[Event], None], cancel: threading.Event) -> Outcome:
        return verbs.optimize(
            network,
            str(samples),
            _CONTRACT,
            out=bundle,
            weights=weights,
            budget_s=budget_s,
            seed=args.seed,
            runtimes=_RUNTIMES,
            on_event=listener,
            cancel=cancel,
            command=command,
        )

    return watch(console, network, job)


def _copy_files(where: Path) -> None:
    try:
        where.mkdir(parents=True, exist_ok=True)
        for name in _FILES:
            (where / name).write_bytes(files("whet.cli").joinpath("demo_files", name).read_bytes())
    except OSError as error:
        raise StorageError(
            f"'{where}' can't be written: {error.strerror or error}.",
            "Name another folder with --out.",
        ) from error


def _train(where: Path) -> str:
    """Run the training script in a process of its own, as a user would."""
    # Threads that wait without spinning: the demo may share its cores.
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(
        [sys.executable, str(where / "train_digits.py"), str(where)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["no reason was given"]
        raise WhetError(
            f"The training script failed: {last[0]}.",
            f"Run it by hand to see more: {shlex.join([sys.executable, str(where / 'train_digits.py'), str(where)])}",
        )
    return done.stdout.strip()


def _classified(verbs: Api, bundle: Path, where: Path) -> list[str]:
    """A handful of digits, answered by the bundle."""
    import numpy as np

    with np.load(where / "samples.npz") as held:
        pictures, labels = held["input"][:_SHOWN], held["labels"][:_SHOWN]
    with verbs.load(bundle) as model:
        answers = [_digit(model.run({"input": picture[None]})) for picture in pictures]
    rows = [
        [str(number), str(answer), str(label), "right" if answer == label else "wrong"]
        for number, (answer, label) in enumerate(
            zip(answers, labels.tolist(), strict=True), start=1
        )
    ]
    title = f"Loaded {bundle} back; its answers to {len(rows)} of the held-out digits:"
    return [title, *table(["digit", "answer", "label", ""], rows, left=0)]


def _digit(outputs: dict[str, NDArray[np.generic]]) -> int:
    logits = next(iter(outputs.values()))
    return int(logits.argmax(axis=-1)[0])
