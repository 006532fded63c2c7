"""What benchmarks of whole networks share: the search, the peers, the judgement, tables."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from support.cases import Case
from support.main_goals import Judged
from support.peers import PeerJob, artifact_file
from whet import optimize
from whet.core.artifact import Artifact
from whet.core.evidence import Evidence, Latency, Quality
from whet.core.settings import Precision, Settings
from whet.errors import WhetError
from whet.measure.clock import Race
from whet.measure.contender import Contender
from whet.measure.quality import judge
from whet.search.answers import answers_of
from whet.search.events import Phase
from whet.search.intake.given import Given
from whet.search.intake.prepare import prepare
from whet.search.intake.take_in import take_in
from whet.search.setup import Setup
from whet.search.stop import Stop
from whet.search.workers.memory import MemoryWatch

__all__ = [
    "PEERS",
    "SEED",
    "interval_text",
    "judged_by",
    "optimised",
    "peers_of",
    "point_of",
    "ratio_of",
    "renamed",
    "setup_of",
    "tell",
    "value_text",
]

SEED = 0
ANSWERS_S = 3600.0  # a peer may be slow; one that hangs still ends
PEERS = ("ort-static", "nncf-openvino")


def optimised(case: Case, place: Path, budget_s: float, *, command: str) -> tuple[Evidence, int]:
    """Run the search, with the peak resident memory of this process and all its children."""
    with MemoryWatch(every_s=0.1) as watch:
        outcome = optimize(
            case.network,
            case.samples,
            case.contract,
            weights=case.weights,
            transform=case.transform,
            label_offset=case.label_offset,
            labels=case.labels,
            train=case.train,
            out=place / "bundle",
            budget_s=budget_s,
            ledger=place / "ledger.sqlite",
            seed=SEED,
            on_event=tell,
            command=f"{command}: {case.name}",
        )
    print(f"   {outcome.evidence.sentence} ({outcome.evidence.seconds:.0f} s)", flush=True)
    return outcome.evidence, watch.peak_bytes() or 0


def tell(event: object) -> None:
    """Print what a search does."""
    if isinstance(event, Phase):
        print(f"   [{event.elapsed_s:5.0f} s] {event.title}", flush=True)
    trial = getattr(event, "trial", None)
    if trial is None:
        return
    ratio = f"{trial.speedup.value:.2f}x" if trial.speedup else "-"
    drop = f"drop {trial.select.drop:+.4f}" if trial.select else ""
    words = trial.notes[-1].reason if trial.notes and trial.status != "ok" else ""
    print(
        f"   [{getattr(event, 'elapsed_s', 0):5.0f} s] {trial.name}: {trial.status} {ratio} {drop} {words}",
        flush=True,
    )


def setup_of(case: Case) -> Setup:
    """The samples and the graph that the search used, from its workspace."""
    given = Given(
        case.network,
        case.samples,
        weights=case.weights,
        transform=case.transform,
        label_offset=case.label_offset,
        labels=case.labels,
        train=case.train,
        seed=SEED,
    )
    with take_in(given, case.contract, None, lambda _: None, Stop()) as taken:
        return prepare(given, case.contract, taken, lambda _: None, Stop())


def renamed(contender: Contender, name: str) -> Contender:
    """The same under another name."""
    return msgspec.structs.replace(contender, name=name)


def _peer(setup: Setup, place: Path, peer: str) -> Artifact | None:
    """Build a peer's artifact; a peer that fails is left out, with its last words."""
    folder = place / peer
    folder.mkdir()
    job = PeerJob(setup.graph, setup.repair.ref(), setup.kind == "transformer", str(folder))
    file = folder / "job.json"
    file.write_bytes(msgspec.json.encode(job))
    script = Path(__file__).resolve().parent / "peers.py"
    done = subprocess.run(
        [sys.executable, str(script), peer, str(file)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        print(f"   {peer} failed: {done.stderr.strip().splitlines()[-1:]}", flush=True)
        return None
    return msgspec.json.decode(artifact_file(folder, peer).read_bytes(), type=Artifact)


def judged_by(setup: Setup, contender: Contender, place: Path, *, extra: tuple[str, ...]) -> Judged:
    """Quality on the certify part, and the size of the files.

    Args:
        setup: of the network.
        contender: to ask.
        place: a folder for its answers.
        extra: metrics beside the contract's.
    """
    name, size = contender.name, contender.graph.size_bytes()
    try:
        got = answers_of(
            contender,
            setup.certify,
            place / "answers" / name,
            cores=setup.cores,
            memory_bytes=None,
            limit_s=ANSWERS_S,
        )
    except WhetError as error:
        print(f"   {name} gave no answers: {error.message}", flush=True)
        return Judged(size, None, {})
    reference = setup.references.outputs(setup.certify)
    metrics = (setup.metric, *extra)
    found = {metric: _judge_one(setup, metric, reference, got) for metric in metrics}
    return Judged(size, found[setup.metric], {m: found[m] for m in extra})


def _judge_one(setup: Setup, metric: str, reference: Any, got: Any) -> Quality:
    return judge(
        metric,
        reference,
        got,
        setup.certify.labels,
        rows_per_sample=setup.certify.rows_per_sample,
        max_drop=setup.contract.max_drop,
        confidence=setup.contract.confidence,
        per_class=False,
        task=setup.task,
        seed=SEED,
    )


def point_of(latency: Latency, q: float) -> dict[str, float | None] | None:
    """A percentile with its interval, in ms."""
    point = latency.at(q)
    if point is None:
        return None
    return {"value": point.value_ms, "low": point.low_ms, "high": point.high_ms}


def ratio_of(timed: Race, against: str, name: str) -> dict[str, float] | None:
    """How many times as fast one contender is as another, with its interval."""
    if against not in timed.latency or name == against:
        return None
    ratio = timed.ratio(against, name)
    return {"value": ratio.value, "low": ratio.low, "high": ratio.high}


def interval_text(found: Mapping[str, float | None] | None) -> str:
    """A value with its interval, for a table."""
    if found is None:
        return "-"
    low, high = found["low"], found["high"]
    ends = f" ({low:.3g}-{high:.3g})" if low is not None and high is not None else ""
    return f"{found['value']:.3g}{ends}"


def value_text(found: dict[str, float] | None) -> str:
    """A value alone, for a table."""
    return "-" if found is None else f"{found['value']:.2f}"


def peers_of(setup: Setup, place: Path) -> dict[str, Contender]:
    """The peers' own int8 of the same graph, each on its runtime; those that fail are left out."""
    found: dict[str, Contender] = {}
    flags = set(setup.machine.flags)
    bf16 = bool(flags & {"avx512_bf16", "amx_bf16"})
    defaults = {
        "ort-static": ("onnxruntime", Settings(threads=setup.threads)),
        # OpenVINO computes what is left in float in bf16 by itself where the CPU has it.
        "nncf-openvino": (
            "openvino",
            Settings(threads=setup.threads, precision=Precision.BF16 if bf16 else Precision.FP32),
        ),
    }
    for peer in PEERS:
        built = _peer(setup, place, peer)
        if built is not None:
            runtime, settings = defaults[peer]
            found[peer] = Contender(peer, runtime, built, None, settings)
    return found
