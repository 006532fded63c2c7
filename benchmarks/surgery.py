"""Networks themselves changed: how fast they get, and what they lose.

    python benchmarks/surgery.py [--quick] [--only resnet50] [--json FILE]

ResNet-50: the frontier of plans built by hand (`support/frontier.py`), in float and int8, against
the untouched network and the peers. The others: whole searches, with the training set for CIFAR-10,
in one race with the same runtime's int8 of the network as it was.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from support.cases import CASES, Case, cifar
from support.contest import PEERS, SEED, judged_by, optimised, point_of, ratio_of, setup_of
from support.frontier import UNTOUCHED, Frontier, frontier_of
from support.harness import Goal, arguments, data_dir, finish
from support.main_goals import OWN, Judged

from whet.bundle.read import read_bundle
from whet.core.evidence import Evidence, Trial
from whet.measure.clock import ClockPlan, Race, race
from whet.measure.contender import Contender
from whet.search.decisions.figures import answers_right, speed
from whet.search.ladder.making import engine_for
from whet.search.ladder.variations import is_changed
from whet.search.setup import Setup

OWN_INT8 = "int8 of the network as it was"
_QUANTISERS = frozenset({"quantize-nncf", "quantize-nncf-ir", "quantize-ort", "restore-ir"})
_LIMIT_S = 3600.0

Found = tuple[list[dict[str, Any]], list[Goal], Any]
"""Rows, goals, and the machine."""


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--only", choices=sorted(_PARTS), action="append")
    parser.add_argument("--budget", type=float, default=None, help="seconds for each search")
    args = parser.parse_args()
    data = data_dir()
    rows: list[dict[str, Any]] = []
    goals: list[Goal] = []
    machine: Any = None
    for name in args.only or (["cifar20"] if args.quick else list(_PARTS)):
        print(f"\n== {name}", flush=True)
        with tempfile.TemporaryDirectory(prefix="whet-bench-") as folder:
            more, reached, machine = _PARTS[name](data, Path(folder), args.quick, args.budget)
        rows += more
        goals += reached
    finish(rows, goals, machine=machine, seed=SEED, file=args.json)


def resnet50(data: Path, place: Path, quick: bool, budget_s: float | None) -> Found:
    """The whole frontier."""
    del budget_s  # nothing is searched
    setup = setup_of(CASES["resnet50"](data))
    frontier = frontier_of(
        setup,
        place,
        runtime="openvino",
        plans=2 if quick else 8,
        seconds=3.0 if quick else 30.0,
        peers=not quick,
    )
    rows = frontier.rows("ResNet-50")
    for row in rows:
        _print(row)
    goals = [*_frontier_goals(frontier), *_pruning_goals(frontier, setup), *_peer_goals(frontier)]
    return rows, _named("ResNet-50", goals), msgspec.to_builtins(setup.machine)


def _frontier_goals(frontier: Frontier) -> Iterator[Goal]:
    yield _at_most("menus and solver", frontier.menus_s / 60, 20.0, "min")
    yield _at_most("with all plans built and repaired", frontier.whole_s / 60, 45.0, "min")
    off = [
        abs(share * frontier.speedup(name) - 1)
        for name in frontier.points
        if (share := frontier.predicted_share(name)) is not None and name in frontier.timed.latency
    ]
    yield _at_most("error of prediction, median", statistics.median(off) if off else None, 0.05, "")
    useful = _useful(frontier)
    yield Goal("useful points of the frontier", ">= 6", len(useful), "", len(useful) >= 6)


def _useful(frontier: Frontier) -> list[str]:
    """Points that no other beats in both speed and quality: the frontier as it was measured."""
    known = [(n, frontier.speedup(n), _lost(frontier.judged[n])) for n in frontier.judged]
    return [
        name
        for name, fast, lost in known
        if lost is not None
        and name not in PEERS
        and not any(
            f >= fast and q is not None and q <= lost and (f, q) != (fast, lost)
            for _, f, q in known
        )
    ]


def _pruning_goals(frontier: Frontier, setup: Setup) -> Iterator[Goal]:
    judged, whole = frontier.judged, frontier.judged[UNTOUCHED].size_bytes
    narrow = [
        n
        for n, p in frontier.points.items()
        if n in judged
        and not p.int8
        and p.parameters <= 0.7 * setup.parameters
        and frontier.speedup(n) >= 1 / 0.75
    ]
    yield _least_lost(
        "pruning alone (-30 % parameters, -25 % latency): top-1 lost", frontier, narrow, 0.01
    )
    own = f"{UNTOUCHED} int8"
    if own in judged:
        yield _at_most("int8 alone: size", judged[own].size_bytes / whole, 0.25, "of fp32")
        yield _at_least("int8 alone: speed", frontier.speedup(own), 3.5)
        yield _at_most("int8 alone: top-1 lost", _lost(judged[own]), 0.005, "")
    both = [
        n
        for n, p in frontier.points.items()
        if n in judged
        and p.int8
        and p.plan is not None
        and judged[n].size_bytes <= 0.15 * whole
        and frontier.speedup(n) >= 6
    ]
    yield _least_lost("pruning with int8 (-85 % size, 6x): top-1 lost", frontier, both, 0.01)


def _peer_goals(frontier: Frontier) -> Iterator[Goal]:
    """Everything together, against the fastest peer that keeps the floor."""
    keeping = [n for n, j in frontier.judged.items() if (q := _lost(j)) is not None and q <= 0.01]
    peers = [n for n in keeping if n in PEERS]
    own = max((n for n in keeping if n not in PEERS), key=frontier.speedup, default=None)
    if not peers or own is None:
        yield Goal("against the best peer's int8", ">= 1.5", "none keeps the floor", "", None)
        return
    best = max(peers, key=frontier.speedup)
    value = frontier.timed.ratio(best, own).value
    yield _at_least(f"against the best peer's int8 ({best})", value, 1.5)


def searched(case: Case, place: Path, budget_s: float, seconds: float, goal: float) -> Found:
    """A whole search, raced against the same runtime's int8 of the network as it was."""
    evidence, _ = optimised(case, place, budget_s, command="benchmarks/surgery.py")
    setup = setup_of(case)
    contenders = _contenders(setup, place, evidence)
    plan = ClockPlan.full(batch=1, concurrency=1, percentile=50.0, seed=SEED + 2, seconds=seconds)
    timed = race(
        list(contenders.values()), setup.select.ref(), plan, cores=setup.cores, memory_bytes=None
    )
    judged = {
        name: judged_by(setup, each, place, extra=case.extra)
        for name, each in contenders.items()
        if name in timed.latency
    }
    rows = [_row(case, name, timed, judged[name]) for name in judged]
    for row in rows:
        _print(row)
    goals = [*_search_goals(case, timed, judged, goal), *_cascade_goals(evidence)]
    return rows, _named(case.name, goals), msgspec.to_builtins(evidence.machine)


def _contenders(setup: Setup, place: Path, evidence: Evidence) -> dict[str, Contender]:
    """The chosen variant, the best untouched one, and the fastest int8 of the same runtime."""
    bundle = read_bundle(place / "bundle")
    by_trial = {variant.trial: variant for variant in bundle.manifest.variants}
    found: dict[str, Contender] = {}
    for name, trial in ((UNTOUCHED, evidence.baseline), (OWN, evidence.chosen)):
        variant = by_trial[trial]
        artifact = bundle.artifact(variant.name, trust_code=True)
        found[name] = Contender(name, variant.runtime, artifact, None, variant.settings)
    as_it_was = max(_own_int8(evidence, found[OWN].runtime), key=speed, default=None)
    if as_it_was is not None:
        recipe = as_it_was.recipe
        made = engine_for(setup, recipe, _LIMIT_S, threading.Event())
        found[OWN_INT8] = Contender(
            OWN_INT8, recipe.runtime, made.graph, made.engine, recipe.settings
        )
    return found


def _own_int8(evidence: Evidence, runtime: str) -> Iterator[Trial]:
    """Those of the network as it was that were timed, and didn't fail on the samples."""
    for trial in evidence.trials:
        steps = trial.recipe.steps
        quantised = any(step.name in _QUANTISERS for step in steps)
        if quantised and not is_changed(steps) and trial.recipe.runtime == runtime:
            good = trial.select is None or trial.select.drop <= trial.select.allowed
            if trial.speedup is not None and (good or answers_right(trial)):
                yield trial


def _search_goals(
    case: Case, timed: Race, judged: dict[str, Judged], goal: float
) -> Iterator[Goal]:
    lost = judged[OWN].quality if OWN in judged else None
    name = "against the same runtime's int8 of the network as it was"
    if OWN_INT8 in judged and OWN in judged:
        yield _at_least(name, timed.ratio(OWN_INT8, OWN).value, goal)
    else:
        yield Goal(name, f">= {goal:g}", "no int8 ran", "", None)
    if lost is not None:
        yield _at_most(f"{lost.metric} lost", lost.drop, lost.allowed, f"({lost.verdict})")
    for metric in case.extra:
        extra = judged[OWN].extra.get(metric)
        yield _at_most(f"{metric} lost", extra.drop if extra else None, 0.01, "")


def _cascade_goals(evidence: Evidence) -> Iterator[Goal]:
    cascade = evidence.cascade
    if cascade is None or cascade.means is None:
        yield Goal("cascade, mean against the best single one", ">= 2", "none found", "", None)
        return
    yield _at_least("cascade, mean against the best single one", cascade.means.gain, 2.0)


def _row(case: Case, name: str, timed: Race, judged: Judged) -> dict[str, Any]:
    return {
        "network": case.name,
        "contender": name,
        "p50_ms": point_of(timed.latency[name], 50.0),
        "speedup_over_untouched": ratio_of(timed, UNTOUCHED, name),
        "size_bytes": judged.size_bytes,
        "quality": msgspec.to_builtins(judged.quality) if judged.quality else None,
        "extra": {k: msgspec.to_builtins(v) for k, v in judged.extra.items()},
    }


def _print(row: dict[str, Any]) -> None:
    p50, ratio, quality = row["p50_ms"], row["speedup_over_untouched"], row["quality"]
    lost = f"lost {quality['drop']:+.4f}, at most {quality['bound']:.4f}" if quality else ""
    print(
        f"   {row['contender']:32} {p50['value'] if p50 else 0:8.3f} ms"
        f" {ratio['value'] if ratio else 1:6.2f}x {row['size_bytes'] / 1e6:7.2f} MB  {lost}"
    )


def _lost(judged: Judged) -> float | None:
    return judged.quality.drop if judged.quality is not None else None


def _least_lost(name: str, frontier: Frontier, names: list[str], limit: float) -> Goal:
    found = [q for n in names if (q := _lost(frontier.judged[n])) is not None]
    if not found:
        return Goal(name, f"<= {limit:g}", "no plan gets there", "", False)
    return _at_most(name, min(found), limit, "")


def _at_most(name: str, reached: float | None, limit: float, unit: str) -> Goal:
    met = None if reached is None else reached <= limit
    return Goal(name, f"<= {limit:g}", reached, unit, met)


def _at_least(name: str, reached: float, limit: float) -> Goal:
    return Goal(name, f">= {limit:g}", reached, "x", reached >= limit)


def _named(network: str, goals: list[Goal]) -> list[Goal]:
    return [Goal(f"{network}: {g.name}", g.goal, g.reached, g.unit, g.met) for g in goals]


def _cifar(depth: int, data: Path, place: Path, quick: bool, budget_s: float | None) -> Found:
    train, test = (2000, 1500) if quick else (50_000, 8000)
    case = cifar(data, depth, train=train, test=test)
    budget_s = budget_s or (120.0 if quick else 5400.0)
    return searched(case, place, budget_s, 5.0 if quick else 60.0, 3.0)


def _minilm(data: Path, place: Path, quick: bool, budget_s: float | None) -> Found:
    return searched(
        CASES["minilm"](data), place, budget_s or (30.0 if quick else 2700.0), 60.0, 1.5
    )


_PARTS: dict[str, Callable[[Path, Path, bool, float | None], Found]] = {
    "cifar20": partial(_cifar, 20),
    "cifar56": partial(_cifar, 56),
    "minilm": _minilm,
    "resnet50": resnet50,
}


if __name__ == "__main__":
    main()
