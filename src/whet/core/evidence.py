"""What was measured and decided: the shapes that search writes and report reads.

All are frozen msgspec structs, written as JSON into the bundle
(``evidence.json``). Units stand in the names.
"""

from __future__ import annotations

import enum

import msgspec

from whet.core.cascade import Confidence, Gate
from whet.core.contract import Contract
from whet.core.note import Note
from whet.core.recipe import Recipe

__all__ = [
    "CascadeTrial",
    "Ceilings",
    "Changes",
    "ClassChange",
    "Evidence",
    "Feasibility",
    "Footprint",
    "Latency",
    "LayerTime",
    "Machine",
    "Means",
    "OutputCheck",
    "Percentile",
    "Quality",
    "Ratio",
    "SampleSummary",
    "StageTrial",
    "StagedTail",
    "Status",
    "TailRatio",
    "Trial",
    "Verdict",
]


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Closed and immutable."""


class Percentile(_Record, frozen=True):
    """An order statistic, and the limits that are neither proved nor refuted for it.

    ``q`` in 0-100. A limit from ``high_ms`` on is proved with 99 % confidence, one below
    ``low_ms`` refuted; ``None`` where too few queries ran to say.
    """

    q: float
    value_ms: float
    low_ms: float | None
    high_ms: float | None


class Latency(_Record, frozen=True):
    """Latency of one contender over all restarts, warm-up excluded.

    Attributes:
        percentiles: only those that the number of queries supports.
        restart_spread: largest over smallest median of a restart, minus one.
        throughput_per_s: rows per second while measured.
    """

    batch: int
    concurrency: int
    restarts: int
    queries: int
    mean_ms: float
    max_ms: float
    percentiles: tuple[Percentile, ...]
    restart_spread: float
    throughput_per_s: float

    def at(self, q: float) -> Percentile | None:
        """The percentile ``q`` if it was measured."""
        return next((p for p in self.percentiles if p.q == q), None)


class Ratio(_Record, frozen=True):
    """Speed-up against a named contender, from interleaved rounds, with its interval.

    It is the ratio of the two medians (p50), which settle sooner than any tail.

    ``noisy`` means that the interval is too wide to call a winner.
    """

    against: str
    value: float
    low: float
    high: float
    noisy: bool


class TailRatio(_Record, frozen=True):
    """Speed-up at percentile ``q`` against a named contender, from the same turns.

    ``q`` is the contract's percentile, or the highest below it that both had queries for.
    The interval is 90 %: each of its ends holds with 95 %.
    """

    q: float
    against: str
    value: float
    low: float
    high: float


class Footprint(_Record, frozen=True):
    """What a contender takes; ``None`` = not measured, with a note that says why.

    Attributes:
        disk_bytes: the files that a bundle holds; of a bare race, the engine's files.
        load_ms: from files to an open session, in a warm process.
        cold_start_ms: from exec to the first correct answer.
        resident_bytes, peak_bytes: memory of the process after warm-up, and its peak.
        parameters, macs: of the network; multiply-accumulates are those of one row.
        bytes_moved: least memory traffic of one row, in the candidate's own datatypes.
        ceiling_share: share of this machine's measured compute ceiling (0-1).
        ceiling: which one: that of the fastest arithmetic it may use, e.g. ``"int8"``.
        energy_mj: energy per inference in millijoules.
    """

    disk_bytes: int
    load_ms: float | None = None
    cold_start_ms: float | None = None
    resident_bytes: int | None = None
    peak_bytes: int | None = None
    parameters: int | None = None
    macs: int | None = None
    bytes_moved: int | None = None
    ceiling_share: float | None = None
    energy_mj: float | None = None
    notes: tuple[Note, ...] = ()
    ceiling: str | None = None


class Verdict(enum.StrEnum):
    """What the samples allow to say."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "not enough data"


class ClassChange(_Record, frozen=True):
    """Change of one class's score; ``p_value`` is corrected over all classes (Holm)."""

    label: int
    n: int
    reference: float
    candidate: float
    p_value: float


class Changes(_Record, frozen=True):
    """Shares (0-1) of other samples' answers that are expected to turn wrong and to turn right."""

    lost: float
    gained: float


class OutputCheck(_Record, frozen=True):
    """An output that is held to the original's; see `whet.measure.guards`.

    Attributes:
        rule: ``"distance"`` (of real numbers, and of whole ones where that decides) or
            ``"equality"`` (whole numbers) of an output beside the judged one; ``"constant"`` of
            the judged one itself, by its distance, where a constant would nearly keep the
            metric's floor (`whet.measure.constant`).
        loss, bound, allowed: mean loss, its one-sided upper bound, and what is allowed.
        broken: rows with a value that isn't finite where the original's is.
    """

    name: str
    rule: str
    n: int
    loss: float
    bound: float
    allowed: float
    verdict: Verdict
    method: str
    broken: int = 0
    needed: int | None = None


class Quality(_Record, frozen=True):
    """Paired comparison of a candidate with the original on the same samples.

    Attributes:
        reference, candidate: the metric's value of each; higher is better,
            except for ``mae``, where lower is better.
        drop: loss in units of the metric; positive is worse.
        bound: one-sided upper confidence bound of the drop.
        allowed: the drop that the contract allows, absolute.
        needed: samples that would probably settle an undecided verdict.
        method: how the bound was computed, for the report.
        verdict: of the judged output and all others together.
        output: the one that the metric judged; empty in records from before it was told.
        outputs: how the other outputs fared, and the judged one where the metric hardly
            tells it from a constant.
        ignored: outputs that the user switched off.
        same: every output of an untouched engine is the original's but for rounding.
        difference: largest difference of an untouched engine's answers, as a share of the
            values around it; ``None`` for others, or where it has no bound.
        unseen: share of inputs (0-1) whose damage these samples may all have missed, with
            this confidence; ``None`` where the bound counts it in.
        changes: what other samples would show, where answers are classes (`whet.measure.edge`).
        broken: rows of the judged output that aren't finite where the original's are.
    """

    metric: str
    n: int
    reference: float
    candidate: float
    drop: float
    bound: float
    allowed: float
    confidence: float
    verdict: Verdict
    method: str
    needed: int | None = None
    classes: tuple[ClassChange, ...] = ()
    output: str = ""
    outputs: tuple[OutputCheck, ...] = ()
    ignored: tuple[str, ...] = ()
    same: bool = False
    difference: float | None = None
    unseen: float | None = None
    changes: Changes | None = None
    broken: int = 0


class Ceilings(_Record, frozen=True):
    """Measured peaks of this machine with the threads that it allows.

    Operations count a multiply and an add as two. ``None`` = not measurable here.
    """

    fp32_ops_per_s: float | None = None
    bf16_ops_per_s: float | None = None
    int8_ops_per_s: float | None = None
    read_bytes_per_s: float | None = None


class Machine(_Record, frozen=True):
    """Fingerprint of the machine that measured.

    Attributes:
        cores: those that this process may use (affinity and cgroup quota).
        flags: CPU features that decide speed here (``avx512_vnni``, ``amx_int8`` ...).
        versions: of python, whet and the runtimes.
    """

    cpu: str
    arch: str
    system: str
    cores: int
    memory_bytes: int
    flags: tuple[str, ...]
    ceilings: Ceilings
    versions: dict[str, str]


class Status(enum.StrEnum):
    """How a trial ended."""

    OK = "ok"
    REFUSED = "refused"  # a pass or runtime said no, with a reason
    CRASHED = "crashed"
    OUT_OF_MEMORY = "out of memory"
    TIMED_OUT = "timed out"


class Trial(_Record, frozen=True):
    """One candidate and all that is known of it.

    Attributes:
        id: digest of the recipe.
        name: short name for tables, unique in one search.
        rung: of the ladder.
        lost: why it was not chosen; empty for the chosen one.
        select, certify: quality on the two splits; the second only for finalists.
        variant: name of the bundle's variant it became, if it was packed.
        tail: against the best untouched trial; only for those in the last race.
    """

    id: str
    name: str
    recipe: Recipe
    rung: int
    status: Status
    seconds: float
    latency: Latency | None = None
    speedup: Ratio | None = None
    footprint: Footprint | None = None
    select: Quality | None = None
    certify: Quality | None = None
    frontier: bool = False
    lost: str = ""
    variant: str | None = None
    notes: tuple[Note, ...] = ()
    tail: TailRatio | None = None


class Means(_Record, frozen=True):
    """Mean latencies of a query, of contenders that took turns over the same samples in their order.

    One caller asked, whatever the contract's concurrency is.

    Attributes:
        queries: that each answered.
        batch: rows of a query.
        cascade_ms, original_ms, single_ms: of the cascade, the best untouched engine and the best
            single engine that keeps the floor.
        single: name of the last of these.
        gain: ``single_ms / cascade_ms``, with its 95 % interval.
    """

    queries: int
    batch: int
    cascade_ms: float
    original_ms: float
    single_ms: float
    single: str
    gain: float
    gain_low: float
    gain_high: float


class StagedTail(_Record, frozen=True):
    """What a query that goes through every stage takes: the sum of the stages' percentile ``q``."""

    q: float
    ms: float


class StageTrial(_Record, frozen=True):
    """One stage of a cascade.

    Attributes:
        trial: id of its trial.
        gate: when a row leaves; ``None`` of the last stage.
        exit_share: share (0-1) of the certify samples that left here.
    """

    trial: str
    gate: Gate | None
    exit_share: float


class CascadeTrial(_Record, frozen=True):
    """Several trials one after another, as one.

    Attributes:
        name: short, for tables.
        confidence: where a stage's confidence is read.
        select: quality on the select samples that chose nothing.
        certify: quality of the executed cascade on the certify samples.
        means, tail: latency in the mean, and of a query that goes through every stage.
        variant: name of the bundle's variant it became, if it was packed.
        lost: why it wasn't.
    """

    name: str
    stages: tuple[StageTrial, ...]
    confidence: Confidence
    select: Quality
    certify: Quality | None = None
    means: Means | None = None
    tail: StagedTail | None = None
    variant: str | None = None
    lost: str = ""


class LayerTime(_Record, frozen=True):
    """Share of one layer of the chosen engine: its kind, precision and time per inference."""

    name: str
    kind: str
    precision: str
    ms: float


class SampleSummary(_Record, frozen=True):
    """What the samples were and how they were split."""

    source: str
    total: int
    repair: int
    select: int
    certify: int
    labelled: bool
    notes: tuple[Note, ...] = ()


class Feasibility(_Record, frozen=True):
    """Rung 0: can the limit be met at all, and by what.

    Attributes:
        reachable: ``None`` when there is no limit or it can't be said.
        sentence: the answer in words.
        bounds_ms: lower bounds of latency by what they assume, e.g. ``"roofline int8"``.
        probes_ms: quick measured latencies, e.g. ``"openvino bf16"``.
    """

    reachable: bool | None
    sentence: str
    bounds_ms: dict[str, float] = {}
    probes_ms: dict[str, float] = {}


class Evidence(_Record, frozen=True):
    """The whole record of one search.

    Attributes:
        baseline, chosen: ids of the best untouched trial and of the chosen one.
        kept: the contract as a whole.
        sentence: the outcome, the gap and the next thing to try.
        started: ISO 8601, UTC.
        seconds: of this run; trials that the ledger remembered took theirs in another.
        eager, layers: the original in torch; where the chosen engine's time goes.
        peak_bytes: most memory that the search and its workers held at once in this run.
        unrest: why the last race was not quiet, e.g. ``"other processes took 54% of the
            cores' time"``; empty where it was.
        cascade: the one that was tried, if any was.
    """

    contract: Contract
    machine: Machine
    samples: SampleSummary
    network: str
    baseline: str
    chosen: str
    kept: Verdict
    sentence: str
    trials: tuple[Trial, ...]
    feasibility: Feasibility
    started: str
    seconds: float
    seed: int
    command: str
    eager: Latency | None = None
    layers: tuple[LayerTime, ...] = ()
    notes: tuple[Note, ...] = ()
    peak_bytes: int | None = None
    unrest: str = ""
    cascade: CascadeTrial | None = None
