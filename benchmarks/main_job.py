"""The main job on real networks, against eager PyTorch and the peers' default recipes.

    python benchmarks/main_job.py [--quick] [--only resnet50] [--json FILE]

For each network: `whet.optimize` under its contract, the peers' own recipes on
the same graph and samples, then everything timed in one interleaved race and
judged on the certify part, which no contender has seen.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from support.cases import CASES, Case
from support.harness import Goal, arguments, data_dir, finish
from support.main_goals import OWN, UNPROVEN, Judged, fastest_unproven, floor_ms, goals_of
from support.peers import PeerJob, artifact_file

from whet.api import optimize
from whet.bundle.read import read_bundle
from whet.core.artifact import Artifact
from whet.core.evidence import Evidence, Latency, Quality
from whet.core.settings import Precision, Settings
from whet.errors import WhetError
from whet.measure.clock import ClockPlan, Race, race
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

SEED = 0
ANSWERS_S = 3600.0  # a peer may be slow; one that hangs still ends
PEERS = ("ort-static", "nncf-openvino")


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--only", choices=sorted(CASES), action="append")
    parser.add_argument("--budget", type=float, default=None, help="seconds for each search")
    args = parser.parse_args()
    data = data_dir()
    rows: list[dict[str, Any]] = []
    goals: list[Goal] = []
    machine: Any = None
    names = args.only or (["mobilenet_v2"] if args.quick else list(CASES))
    for name in names:
        case = CASES[name](data)
        budget_s = args.budget or (30.0 if args.quick else 900.0)
        found = run_case(case, budget_s=budget_s, quick=args.quick)
        rows += found.rows
        goals += found.goals
        machine = msgspec.to_builtins(found.evidence.machine)
    finish(rows, goals, machine=machine, seed=SEED, file=args.json)


@dataclass(frozen=True)
class Found:
    """The table and the goals of one network."""

    rows: list[dict[str, Any]]
    goals: list[Goal]
    evidence: Evidence


def run_case(case: Case, *, budget_s: float, quick: bool) -> Found:
    """Optimise, build the peers, race, judge."""
    print(f"\n== {case.name}: {case.contract.brief()}", flush=True)
    with tempfile.TemporaryDirectory(prefix="whet-bench-") as folder:
        place = Path(folder)
        evidence, peak_bytes = _optimised(case, place, budget_s)
        setup = _setup(case)
        contenders = _contenders(setup, place, evidence)
        plan = ClockPlan.full(
            batch=1, concurrency=1, percentile=99.0, seed=SEED + 2, seconds=10.0 if quick else 120.0
        )
        timed = race(
            list(contenders.values()),
            setup.select.ref(),
            plan,
            cores=setup.cores,
            memory_bytes=None,
        )
        judged = {
            name: _judged(case, setup, name, contender, place)
            for name, contender in contenders.items()
            if name in timed.latency
        }
    rows = _rows(case, contenders, timed, judged, floor_ms(evidence))
    _print(rows)
    goals = goals_of(case.name, evidence, timed, judged, PEERS, peak_bytes)
    return Found(rows, goals, evidence)


def _optimised(case: Case, place: Path, budget_s: float) -> tuple[Evidence, int]:
    """Run the search, with the peak resident memory of this process and all its children."""
    with MemoryWatch(every_s=0.1) as watch:
        outcome = optimize(
            case.network,
            case.samples,
            case.contract,
            weights=case.weights,
            transform=case.transform,
            label_offset=case.label_offset,
            out=place / "bundle",
            budget_s=budget_s,
            ledger=place / "ledger.sqlite",
            seed=SEED,
            on_event=_tell,
            command=f"benchmarks/main_job.py: {case.name}",
        )
    print(f"   {outcome.evidence.sentence} ({outcome.evidence.seconds:.0f} s)", flush=True)
    return outcome.evidence, watch.peak_bytes() or 0


def _tell(event: object) -> None:
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


def _setup(case: Case) -> Setup:
    """The samples and the graph that the search used, from its workspace."""
    given = Given(
        case.network,
        case.samples,
        weights=case.weights,
        transform=case.transform,
        label_offset=case.label_offset,
        seed=SEED,
    )
    with take_in(given, case.contract, None, lambda _: None, Stop()) as taken:
        return prepare(given, case.contract, taken, lambda _: None, Stop())


def _contenders(setup: Setup, place: Path, evidence: Evidence) -> dict[str, Contender]:
    bundle = read_bundle(place / "bundle")
    by_trial = {variant.trial: variant for variant in bundle.manifest.variants}
    found: dict[str, Contender] = {}
    original = setup.references.original
    if original.runtime == "torch":
        found["eager"] = replace_name(original, "eager")
    ours = {"best untouched": evidence.baseline, OWN: evidence.chosen}
    unproven = fastest_unproven(evidence, by_trial)
    if unproven is not None:
        ours[UNPROVEN] = unproven
    for name, trial in ours.items():
        variant = by_trial[trial]
        artifact = bundle.artifact(variant.name, trust_code=True)
        found[name] = Contender(name, variant.runtime, artifact, None, variant.settings)
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


def replace_name(contender: Contender, name: str) -> Contender:
    return msgspec.structs.replace(contender, name=name)


def _peer(setup: Setup, place: Path, peer: str) -> Artifact | None:
    """Build a peer's artifact; a peer that fails is left out, with its last words."""
    folder = place / peer
    folder.mkdir()
    job = PeerJob(setup.graph, setup.repair.ref(), setup.kind == "transformer", str(folder))
    file = folder / "job.json"
    file.write_bytes(msgspec.json.encode(job))
    script = Path(__file__).resolve().parent / "support" / "peers.py"
    done = subprocess.run(
        [sys.executable, str(script), peer, str(file)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        print(f"   {peer} failed: {done.stderr.strip().splitlines()[-1:]}", flush=True)
        return None
    return msgspec.json.decode(artifact_file(folder, peer).read_bytes(), type=Artifact)


def _judged(case: Case, setup: Setup, name: str, contender: Contender, place: Path) -> Judged:
    """Quality on the certify part, and the size of the files."""
    size = contender.graph.size_bytes()
    if name == "eager":
        return Judged(size, None, {})
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
    metrics = (setup.metric, *case.extra)
    found = {metric: _judge_one(setup, metric, reference, got) for metric in metrics}
    return Judged(size, found[setup.metric], {m: found[m] for m in case.extra})


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


def _rows(
    case: Case,
    contenders: dict[str, Contender],
    timed: Race,
    judged: dict[str, Judged],
    peak_floor_ms: float | None,
) -> list[dict[str, Any]]:
    rows = []
    for name, row in judged.items():
        latency = timed.latency[name]
        rows.append(
            {
                "network": case.name,
                "contender": name,
                "p50_ms": _point(latency, 50.0),
                "p99_ms": _point(latency, 99.0),
                "speedup_over_eager": _ratio(timed, "eager", name),
                "speedup_over_untouched": _ratio(timed, "best untouched", name),
                "size_bytes": row.size_bytes,
                "int8_peak_floor_ms": peak_floor_ms,
                "quality": msgspec.to_builtins(row.quality) if row.quality else None,
                "extra": {k: msgspec.to_builtins(v) for k, v in row.extra.items()},
                "settings": contenders[name].settings.brief(),
                "runtime": contenders[name].runtime,
            }
        )
    return rows


def _point(latency: Latency, q: float) -> dict[str, float | None] | None:
    point = latency.at(q)
    if point is None:
        return None
    return {"value": point.value_ms, "low": point.low_ms, "high": point.high_ms}


def _ratio(timed: Race, against: str, name: str) -> dict[str, float] | None:
    if against not in timed.latency or name == against:
        return None
    ratio = timed.ratio(against, name)
    return {"value": ratio.value, "low": ratio.low, "high": ratio.high}


def _print(rows: list[dict[str, Any]]) -> None:
    print(
        f"   {'':16} {'p50 ms':>22} {'p99 ms':>22} {'p50 × eager':>12} {'p50 × untouched':>20} {'MB':>7}  quality"
    )
    for row in rows:
        quality = row["quality"]
        words = (
            f"{quality['metric']} {quality['candidate']:.4f} (drop {quality['drop']:+.4f}, at most {quality['bound']:.4f})"
            if quality
            else ""
        )
        for metric, extra in row["extra"].items():
            words += f"; {metric} drop {extra['drop']:+.4f}, at most {extra['bound']:.4f}"
        print(
            f"   {row['contender']:16} {_interval(row['p50_ms']):>22} {_interval(row['p99_ms']):>22}"
            f" {_value(row['speedup_over_eager']):>12} {_interval(row['speedup_over_untouched']):>20}"
            f" {row['size_bytes'] / 1e6:7.1f}  {words}"
        )


def _interval(found: dict[str, float | None] | None) -> str:
    if found is None:
        return "-"
    low, high = found["low"], found["high"]
    ends = f" ({low:.3g}-{high:.3g})" if low is not None and high is not None else ""
    return f"{found['value']:.3g}{ends}"


def _value(found: dict[str, float] | None) -> str:
    return "-" if found is None else f"{found['value']:.2f}"


if __name__ == "__main__":
    main()
