"""The cards: contract, machine, samples, bundle, reproduction; and the notes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from whet.core.contract import DropKind
from whet.core.note import Note
from whet.report import format as fmt
from whet.report.facts import Facts
from whet.report.footprint import EXPLAINED
from whet.report.html import Html, Node, el
from whet.report.info import BundleInfo

__all__ = [
    "render_bundle",
    "render_contract",
    "render_machine",
    "render_notes",
    "render_reproduce",
    "render_samples",
]


def _pairs(rows: Iterable[tuple[str, Node]]) -> Html:
    parts = [el("div", el("dt", name), el("dd", value)) for name, value in rows if value]
    return el("dl", *parts, class_="pairs")


def _card(title: str, *nodes: Node) -> Html:
    return el("section", el("h3", title), *nodes, class_="card")


def render_contract(facts: Facts) -> Html:
    """What was asked."""
    c = facts.evidence.contract
    q = fmt.percentile(c.percentile)
    latency = (
        f"{q} ≤ {fmt.limit_ms(c.limit_ms)}"
        if c.limit_ms is not None
        else f"as fast as possible, by {q}"
    )
    metric = facts.metric if facts.metric != "auto" else "quality"
    if c.max_drop.kind is DropKind.RELATIVE:
        floor = f"may drop by {fmt.given_percent(c.max_drop.value)} of the original's value"
    else:
        floor = f"may drop by {fmt.allowed(metric, c.max_drop.value)}"
    threads = fmt.plural(c.threads, "thread") if c.threads is not None else "all threads allowed"
    load = f"batch {c.batch}, {c.concurrency} at once, {threads}"
    return _card(
        "Contract",
        _pairs(
            [
                ("latency", latency),
                ("load", load),
                ("quality", f"{fmt.metric_label(metric)} {floor}"),
                ("confidence", fmt.given_percent(c.confidence)),
                ("size on disk", f"≤ {fmt.bytes_text(c.max_bytes)}" if c.max_bytes else "no limit"),
                (
                    "peak memory",
                    f"≤ {fmt.bytes_text(c.max_memory_bytes)}" if c.max_memory_bytes else "no limit",
                ),
            ]
        ),
    )


def render_machine(facts: Facts) -> Html:
    """Where it was measured."""
    m = facts.evidence.machine
    peaks = [
        f"{name} {fmt.big(value, 'OP/s')}"
        for name, value in [
            ("fp32", m.ceilings.fp32_ops_per_s),
            ("bf16", m.ceilings.bf16_ops_per_s),
            ("int8", m.ceilings.int8_ops_per_s),
        ]
        if value is not None
    ]
    read = m.ceilings.read_bytes_per_s
    return _card(
        "Machine",
        _pairs(
            [
                ("processor", m.cpu),
                ("cores used", f"{m.cores} of {m.arch}"),
                ("memory", fmt.bytes_text(m.memory_bytes)),
                ("system", m.system),
                ("features", ", ".join(m.flags)),
                ("measured peaks", ", ".join(peaks)),
                ("read bandwidth", f"{fmt.bytes_text(read)}/s" if read is not None else ""),
            ]
        ),
    )


def render_samples(facts: Facts) -> Html:
    """What the samples were, and how they were split."""
    samples = facts.evidence.samples
    total = max(1, samples.repair + samples.select + samples.certify)
    parts = [("repair", samples.repair), ("select", samples.select), ("certify", samples.certify)]
    x, bars, names = 0.0, [], []
    for name, count in parts:
        share = count / total
        bars.append(
            el(
                "rect",
                x=x * 1000,
                y=0,
                width=max(0.0, share * 1000 - 2),
                height=10,
                class_=f"s-{name}",
            )
        )
        swatch = el(
            "svg",
            el("rect", width=10, height=10, rx=2, class_=f"s-{name}"),
            viewBox="0 0 10 10",
            class_="swatch",
            aria_hidden="true",
        )
        names.append(el("li", swatch, f"{name} {count:,}"))
        x += share
    by = f" by {fmt.metric_label(facts.metric)}" if facts.metric != "auto" else ""
    labels = (
        "labelled"
        if samples.labelled
        else f"without labels: the original's own answers are the measure{by and ','}{by}"
    )
    return _card(
        "Samples",
        _pairs([("source", samples.source), ("samples", f"{samples.total:,}, {labels}")]),
        el(
            "svg",
            *bars,
            class_="strip",
            viewBox="0 0 1000 10",
            preserveAspectRatio="none",
            aria_hidden="true",
        ),
        el("ul", *names, class_="legend"),
        el(
            "p",
            "The three parts are disjoint. Certify was read at the end, once for each finalist and"
            " each untouched engine in question; the search before saw nothing of it.",
            class_="note",
        ),
        _notes(samples.notes),
    )


def render_bundle(bundle: BundleInfo) -> Html:
    """What was packed, and how to use it."""
    items = [
        el(
            "li",
            el("b", v.name),
            f" · {v.runtime}, {fmt.bytes_text(v.size_bytes)}",
            " · default" if v.default else None,
        )
        for v in bundle.variants
    ]
    use = f"import whet\n\nwith whet.load({bundle.where!r}) as model:\n    answers = model.run(inputs)"
    return _card(
        "Bundle",
        _pairs(
            [
                ("model", bundle.name),
                ("folder", bundle.where),
                ("written", f"{bundle.created} by whet {bundle.whet}"),
            ]
        ),
        el("ul", *items, class_="plain"),
        el("pre", el("code", use), tabindex=0),
    )


def render_reproduce(facts: Facts) -> Html:
    """The command, the seed and the versions."""
    e = facts.evidence
    versions = ", ".join(
        f"{name} {version}" for name, version in sorted(e.machine.versions.items())
    )
    return _card(
        "How to reproduce",
        el("pre", el("code", e.command or "(called from Python)"), tabindex=0),
        _pairs(
            [
                ("seed", str(e.seed)),
                ("started", e.started),
                ("search took", fmt.duration(e.seconds)),
                ("memory held", _held(e.peak_bytes)),
                ("candidates", f"{len(e.trials):,}"),
                ("versions", versions),
            ]
        ),
    )


def _held(peak_bytes: int | None) -> str:
    if peak_bytes is None:
        return ""
    return f"at most {fmt.bytes_text(peak_bytes)}, the search and its workers together"


def render_notes(facts: Facts) -> Html | None:
    """Everything that the reader should know, of the search and of the chosen one."""
    chosen = facts.chosen
    extra: tuple[Note, ...] = ()
    if chosen is not None:
        footprint = chosen.footprint.notes if chosen.footprint is not None else ()
        # The others stand beside the figure that they explain.
        extra = chosen.notes + tuple(n for n in footprint if n.where not in EXPLAINED)
    return _notes((*facts.evidence.notes, *extra))


def _notes(notes: Sequence[Note]) -> Html | None:
    if not notes:
        return None
    unique = list(dict.fromkeys((note.where, note.reason) for note in notes))
    return el(
        "ul", *(el("li", el("b", where), ": ", reason) for where, reason in unique), class_="notes"
    )
