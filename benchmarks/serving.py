"""What `whet serve` adds to a model, what it carries, and how it behaves when it is asked too much.

    python benchmarks/serving.py [--quick] [--only PART] [--json FILE]

Server and client share this machine's cores. Each figure is a difference or a ratio within one run.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
from support.harness import Goal, arguments, finish
from support.served import Served, echo_bundle, layers_bundle, served

import whet
from whet.core.spec import Arrays
from whet.measure.load.outcome import Load
from whet.measure.machine import fingerprint

SEED = 0
SMALL, PICTURE = (16,), (3, 224, 224)
LIMIT_MS = 50.0
_WRK_SECONDS = 5
_NONE = whet.Retries(most=0)

Found = tuple[list[dict[str, Any]], list[Goal]]


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--only", choices=sorted(PARTS), action="append")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    goals: list[Goal] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in args.only or PARTS:
            place = Path(folder) / name
            place.mkdir()
            found_rows, found_goals = PARTS[name](place, args.quick)
            rows += found_rows
            goals += found_goals
    machine = msgspec.to_builtins(fingerprint(ceilings=False, cache=None))
    finish(rows, goals, machine=machine, seed=SEED, file=args.json)


def overhead(place: Path, quick: bool) -> Found:
    """What a request takes above the bare session, one client after another."""
    rows, goals = [], []
    n = 300 if quick else 3000
    for name, shape, dtype, goal50, goal99 in (
        ("small tensors", SMALL, "float32", 0.35, 1.5),
        ("600 KB tensor", PICTURE, "float32", 2.2, None),
        ("uint8 of the same picture", PICTURE, "uint8", 0.9, None),
    ):
        bundle = echo_bundle(place / name, shape, dtype)
        values = {"x": np.ones((1, *shape), dtype)}
        with served(str(bundle), "--port", "0", "--grpc-port", "0") as running:
            bare, rest = _compared(bundle, running, values, n if shape == SMALL else n // 5)
        added50, added99 = (np.percentile(rest, q) - np.percentile(bare, q) for q in (50, 99))
        rows.append(
            {
                "part": "overhead",
                "what": name,
                "session_p50_ms": float(np.percentile(bare, 50)),
                "rest_p50_ms": float(np.percentile(rest, 50)),
                "added_p50_ms": float(added50),
                "added_p99_ms": float(added99),
            }
        )
        print(f"   {name}: +{added50:.3f} ms at the median, +{added99:.3f} ms p99")
        goals.append(_at_most(f"{name}: added p50, REST binary", goal50, float(added50), "ms"))
        if goal99 is not None:
            goals.append(_at_most(f"{name}: added p99", goal99, float(added99), "ms"))
    return rows, goals


def _compared(
    bundle: Path, running: Served, values: Arrays, n: int
) -> tuple[list[float], list[float]]:
    """Milliseconds of session and service, in turns."""
    bare: list[float] = []
    rest: list[float] = []
    with whet.load(bundle) as loaded, whet.Client(running.http, retries=_NONE) as client:
        asks: list[tuple[list[float], Callable[[], object]]] = [
            (bare, lambda: loaded.session.run(values)),
            (rest, lambda: client.infer("echo", values)),
        ]
        for _ in range(50):
            for _, ask in asks:
                ask()
        for _ in range(n // 50):
            for times, ask in asks:
                for _ in range(50):
                    began_s = time.perf_counter()
                    ask()
                    times.append((time.perf_counter() - began_s) * 1e3)
    return bare, rest


def rate(place: Path, quick: bool) -> Found:
    """Requests a second of a model that does nothing, asked by `wrk`, which is written in C."""
    bundle = echo_bundle(place, SMALL)
    if shutil.which("wrk") is None:
        return [], [Goal("requests per second, REST", ">= 6000", "no wrk here", "/s", None)]
    with served(str(bundle), "--port", "0") as running:
        found = float(
            np.median([_wrk(running, place, 1 if quick else _WRK_SECONDS) for _ in range(3)])
        )
    print(f"   {found:.0f} requests/s over REST")
    return [{"part": "rate", "rest_per_s": found}], [
        _at_least("requests per second, echo, one front process, REST", 6000, found, "/s")
    ]


def _wrk(running: Served, place: Path, seconds: int) -> float:
    from whet.client.messages import question_of

    question = question_of({"x": np.ones((1, *SMALL), np.float32)})
    body = place / "body"
    body.write_bytes(b"".join(question.parts))
    headers = "".join(
        f'wrk.headers["{name}"] = "{value}"\n' for name, value in question.headers.items()
    )
    script = place / "ask.lua"
    script.write_text(
        f'wrk.method = "POST"\nlocal f = io.open("{body}", "rb")\nwrk.body = f:read("*a")\n'
        f"f:close()\n{headers}"
    )
    said = subprocess.run(
        ["wrk", "-t1", "-c4", f"-d{seconds}s", "-s", str(script),
         f"{running.http}/v2/models/echo/infer"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    if "Non-2xx" in said:
        raise RuntimeError(f"requests failed: {said}")
    (line,) = [line for line in said.splitlines() if line.startswith("Requests/sec")]
    return float(line.split()[1])


def batching(place: Path, quick: bool) -> Found:
    """Goodput with and without shared batches, at the same limit, and latency at low load."""
    bundle = layers_bundle(place, {"exact": 1024 if quick else 2048})
    found: dict[str, Any] = {}
    for name, most in (("batched", "32"), ("unbatched", "1")):
        with served(str(bundle), "--port", "0", "--max-batch", most, "--deadline", "50ms") as up:
            calm = _open_loop(up, 20.0, 3.0 if quick else 10.0)
            highest = whet.bench_service(
                up.http,
                rate_per_s=50.0,
                seconds=1.0 if quick else 3.0,
                limit_ms=LIMIT_MS,
                find_highest=True,
            )
        found[name] = highest.highest_per_s or 0.0
        found[f"{name}_calm_ms"] = calm.percentiles[0].value_ms
        print(f"   {name}: {found[name]:.0f}/s kept, {found[f'{name}_calm_ms']:.2f} ms when calm")
    gain = found["batched"] / max(found["unbatched"], 1e-9)
    calm_ratio = found["unbatched_calm_ms"] / found["batched_calm_ms"]
    return [{"part": "batching", **found}], [
        _at_least("batching: goodput at the same p99 limit", 3.0, gain, "x"),
        _at_least("batching: not worse than unbatched at low load, p50", 1.0, calm_ratio, "x"),
    ]


def overload(place: Path, quick: bool) -> Found:
    """Twice as much as can be carried: who is answered in time, and how much goodput is left."""
    widths = {"exact": 2048, "fast": 512}
    bundle = layers_bundle(place, widths)
    rows: list[dict[str, Any]] = []
    goals: list[Goal] = []
    seconds = 2.0 if quick else 10.0
    options = ("--port", "0", "--deadline", "50ms", "--max-batch", "8")
    peaks: dict[str, float] = {}
    for family in ("exact", "exact,fast"):
        with served(str(bundle), *options, "--variants", family) as up:
            highest = whet.bench_service(
                up.http,
                rate_per_s=50.0,
                seconds=seconds / 3,
                limit_ms=LIMIT_MS,
                find_highest=True,
                deadline_ms=LIMIT_MS,
            )
            peaks[family] = max(load.goodput_per_s for load in highest.loads)
            for arrivals in ("poisson", "bursts"):
                asked = 2 * peaks["exact"]
                load = _open_loop(up, asked, seconds, arrivals, deadline_ms=LIMIT_MS)
                accepted = load.requests - load.endings.get("refused", 0)
                in_time = load.goodput_per_s * load.seconds / max(accepted, 1)
                rows.append(
                    {
                        "part": "overload",
                        "family": family,
                        "arrivals": arrivals,
                        "peak_per_s": peaks[family],
                        "load": msgspec.to_builtins(load),
                    }
                )
                print(
                    f"   {family}, {arrivals}: {asked:.0f}/s asked, {load.goodput_per_s:.0f}/s"
                    f" good of {load.answered_per_s:.0f}/s answered, {load.variants}"
                )
                if family == "exact":
                    goals += [
                        _at_least(f"2x overload, {arrivals}: accepted in time", 0.99, in_time, ""),
                        _at_least(
                            f"2x overload, {arrivals}: goodput of the peak",
                            0.9,
                            load.goodput_per_s / max(peaks["exact"], 1e-9),
                            "",
                        ),
                    ]
                else:
                    alone = next(
                        r["load"]["goodput_per_s"]
                        for r in rows
                        if r["family"] == "exact" and r["arrivals"] == arrivals
                    )
                    goals.append(
                        _at_least(
                            f"2x overload, {arrivals}: with the family, of the accurate alone",
                            1.5,
                            load.goodput_per_s / max(alone, 1e-9),
                            "x",
                        )
                    )
    return rows, goals


def _open_loop(
    up: Served,
    rate_per_s: float,
    seconds: float,
    arrivals: str = "poisson",
    deadline_ms: float | None = None,
) -> Load:
    found = whet.bench_service(
        up.http,
        rate_per_s=rate_per_s,
        seconds=seconds,
        arrivals=arrivals,
        limit_ms=LIMIT_MS,
        deadline_ms=deadline_ms,
    )
    return found.loads[0]


def memory(place: Path, quick: bool) -> Found:
    """Resident memory over many requests."""
    if shutil.which("wrk") is None:
        return [], [Goal("memory over 1e6 requests", "flat", "no wrk here", "MB", None)]
    bundle = echo_bundle(place, SMALL)
    want = 30_000 if quick else 1_000_000
    with served(str(bundle), "--port", "0") as running:
        process = psutil.Process(running.process.pid)
        per_s = _wrk(running, place, 2)
        points: list[tuple[float, float]] = []
        asked = 2 * per_s
        while asked < want:
            points.append((asked, process.memory_info().rss / 1e6))
            per_s = _wrk(running, place, 1 if quick else _WRK_SECONDS)
            asked += per_s * (1 if quick else _WRK_SECONDS)
        points.append((asked, process.memory_info().rss / 1e6))
    half = points[len(points) // 2 :]
    grown = half[-1][1] - half[0][1]
    print(f"   {asked:.0f} requests, {grown:+.2f} MB over the second half")
    return [{"part": "memory", "points": points}], [
        _at_most(f"resident memory over the second half of {want:,} requests", 1.0, grown, "MB")
    ]


def start(place: Path, quick: bool) -> Found:
    """From exec to the first correct answer, files being in memory already."""
    bundle = layers_bundle(place, {"exact": 512})
    times = []
    for _ in range(3 if quick else 7):
        began_s = time.perf_counter()
        with served(str(bundle), "--port", "0") as running:
            with whet.Client(running.http) as client:
                client.infer("layers", {"x": np.ones((1, 512), np.float32)})
            times.append((time.perf_counter() - began_s) * 1e3)
    found = float(np.median(times[1:]))
    print(f"   {found:.0f} ms from exec to the first answer")
    return [{"part": "start", "ms": times}], [
        _at_most("exec to first answer, a small bundle", 400.0, found, "ms")
    ]


def idle(place: Path, quick: bool) -> Found:
    """Time on processors while nobody asks."""
    bundle = echo_bundle(place, SMALL)
    with served(str(bundle), "--port", "0", "--watch") as running:
        process = psutil.Process(running.process.pid)
        time.sleep(1)
        before, seconds = sum(process.cpu_times()[:2]), 5.0 if quick else 30.0
        time.sleep(seconds)
        share = (sum(process.cpu_times()[:2]) - before) / seconds
    print(f"   idle: {share:.2%} of a core")
    return [{"part": "idle", "share": share}], [_at_most("idle CPU", 0.01, share, "of a core")]


def _at_most(name: str, goal: float, reached: float, unit: str) -> Goal:
    return Goal(name, f"<= {goal:g}", reached, unit, reached <= goal)


def _at_least(name: str, goal: float, reached: float, unit: str) -> Goal:
    return Goal(name, f">= {goal:g}", reached, unit, reached >= goal)


PARTS: dict[str, Callable[[Path, bool], Found]] = {
    "overhead": overhead,
    "rate": rate,
    "batching": batching,
    "overload": overload,
    "memory": memory,
    "start": start,
    "idle": idle,
}

if __name__ == "__main__":
    main()
