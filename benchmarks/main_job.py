"""The main job on real networks, against eager PyTorch and the peers' default recipes.

    python benchmarks/main_job.py [--quick] [--only resnet50] [--json FILE]

For each network: `whet.optimize` under its contract, the peers' own recipes on
the same graph and samples, then everything timed in one interleaved race and
judged on the certify part, which no contender has seen.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from support.cases import CASES, Case
from support.contest import (
    PEERS,
    SEED,
    interval_text,
    judged_by,
    optimised,
    peers_of,
    point_of,
    ratio_of,
    renamed,
    setup_of,
    value_text,
)
from support.harness import Goal, arguments, data_dir, finish, joined_with
from support.main_goals import OWN, UNPROVEN, Judged, fastest_unproven, floor_ms, goals_of

from whet.bundle.read import read_bundle
from whet.core.evidence import Evidence
from whet.measure.clock import ClockPlan, Race, race
from whet.measure.contender import Contender
from whet.search.setup import Setup


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
    if args.only:
        rows, goals = joined_with(args.json, rows, goals, machine=machine)
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
        evidence, peak_bytes = optimised(case, place, budget_s, command="benchmarks/main_job.py")
        setup = setup_of(case)
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
            name: Judged(contender.graph.size_bytes(), None, {})
            if name == "eager"
            else judged_by(setup, contender, place, extra=case.extra)
            for name, contender in contenders.items()
            if name in timed.latency
        }
    rows = _rows(case, contenders, timed, judged, floor_ms(evidence))
    _print(rows)
    goals = goals_of(case.name, evidence, timed, judged, PEERS, peak_bytes)
    return Found(rows, goals, evidence)


def _contenders(setup: Setup, place: Path, evidence: Evidence) -> dict[str, Contender]:
    bundle = read_bundle(place / "bundle")
    by_trial = {variant.trial: variant for variant in bundle.manifest.variants}
    found: dict[str, Contender] = {}
    original = setup.references.original
    if original.runtime == "torch":
        found["eager"] = renamed(original, "eager")
    ours = {"best untouched": evidence.baseline, OWN: evidence.chosen}
    unproven = fastest_unproven(evidence, by_trial)
    if unproven is not None:
        ours[UNPROVEN] = unproven
    for name, trial in ours.items():
        variant = by_trial[trial]
        artifact = bundle.artifact(variant.name, trust_code=True)
        found[name] = Contender(name, variant.runtime, artifact, None, variant.settings)
    found |= peers_of(setup, place)
    return found


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
                "p50_ms": point_of(latency, 50.0),
                "p99_ms": point_of(latency, 99.0),
                "speedup_over_eager": ratio_of(timed, "eager", name),
                "speedup_over_untouched": ratio_of(timed, "best untouched", name),
                "size_bytes": row.size_bytes,
                "int8_peak_floor_ms": peak_floor_ms,
                "quality": msgspec.to_builtins(row.quality) if row.quality else None,
                "extra": {k: msgspec.to_builtins(v) for k, v in row.extra.items()},
                "settings": contenders[name].settings.brief(),
                "runtime": contenders[name].runtime,
            }
        )
    return rows


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
            f"   {row['contender']:16} {interval_text(row['p50_ms']):>22} {interval_text(row['p99_ms']):>22}"
            f" {value_text(row['speedup_over_eager']):>12} {interval_text(row['speedup_over_untouched']):>20}"
            f" {row['size_bytes'] / 1e6:7.1f}  {words}"
        )


if __name__ == "__main__":
    main()
