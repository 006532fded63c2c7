"""``whet inspect``: what a bundle holds."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import msgspec

from whet.cli.closing import table
from whet.cli.console import Console, plain
from whet.cli.exits import Exit
from whet.cli.ports import GetApi, Inspection, Verbs
from whet.core.points import shown_point
from whet.core.scope import scope
from whet.core.units import drop_words
from whet.report import format as fmt
from whet.report.cascade_words import cascade_words

if TYPE_CHECKING:
    from whet.bundle.manifest import QualitySummary

__all__ = ["add", "run"]


def add(verbs: Verbs) -> None:
    """Add this verb to the command line."""
    parser = verbs.add_parser(
        "inspect",
        help="show what a bundle holds",
        description="Check a bundle's hashes and show its variants, their figures and its verdict.",
        allow_abbrev=False,
    )
    parser.add_argument("bundle", help="its folder")
    parser.add_argument("--json", action="store_true", help="manifest and evidence on stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, console: Console, api: GetApi) -> int:
    """Carry it out."""
    found = api().inspect(args.bundle)
    if console.json:
        document = {
            "manifest": found.manifest,
            "evidence": found.evidence,
            "size_bytes": found.size_bytes,
        }
        console.document(msgspec.json.encode(document))
    else:
        console.say(*_lines(found, console))
    return Exit.KEPT


def _lines(found: Inspection, console: Console) -> list[str]:
    m, paint = found.manifest, console.paint
    pairs = [
        ("written", f"{m.created} by whet {m.whet}"),
        ("size", fmt.bytes_text(found.size_bytes)),
        ("takes", ", ".join(str(spec) for spec in m.signature.inputs)),
        ("gives", ", ".join(str(spec) for spec in m.signature.outputs)),
        (
            "transform",
            str(m.transform.get("type", "?")) if m.transform is not None else "none: arrays only",
        ),
        ("timed", scope(str(m.transform.get("type", "?"))) if m.transform is not None else ""),
        ("tuned for", f"{m.machine.cpu}, {fmt.plural(m.machine.cores, 'core')}"),
    ]
    if found.evidence is not None:
        pairs += [
            ("contract", found.evidence.contract.brief()),
            ("verdict", found.evidence.kept.value),
            ("outcome", found.evidence.sentence),
        ]
    lines = [paint(plain(m.name), "bold")]
    lines += [f"{paint(f'{name:<10}', 'dim')} {plain(value)}" for name, value in pairs if value]
    return [
        *lines,
        "",
        *_variants(found),
        *_cascades(found),
        *_outputs(found),
        *[f"! {plain(n.where)}: {plain(n.reason)}" for n in m.notes],
    ]


def _cascades(found: Inspection) -> list[str]:
    """Each cascade with its stages and, where it was measured, its mean and its tail."""
    lines = []
    for cascade in found.manifest.cascades:
        stages = ", ".join(f"{s.exit_share:.0%} leave at '{s.variant}'" for s in cascade.stages)
        lines.append(f"  {cascade.name}, a cascade: {stages}")
        lines += [f"    {words}" for words in cascade_words(cascade.means, cascade.tail)]
        if cascade.quality is not None:
            lost, verdict = _kept(cascade.quality)
            lines.append(f"    lost at most {lost}: {verdict}")
    return [plain(line) for line in lines]


def _outputs(found: Inspection) -> list[str]:
    """Outputs held to the original's, of each variant; the verdict in the table counts them too."""
    lines = []
    for variant in found.manifest.variants:
        quality = variant.quality
        if quality is None:
            continue
        for other in quality.outputs:
            bound, allowed = drop_words(other.bound), drop_words(other.allowed)
            figures = f"at most {bound} lost, {allowed} allowed"
            lines.append(
                f"  {variant.name}, output '{other.name}': {figures}, {other.verdict.value}"
            )
        if quality.ignored:
            names = ", ".join(f"'{name}'" for name in quality.ignored)
            lines.append(f"  {variant.name}: not compared, as was asked: {names}")
    return [plain(line) for line in lines]


def _kept(quality: QualitySummary | None) -> tuple[str, str]:
    """What may be lost, and the verdict."""
    if quality is None:
        return fmt.DASH, ""
    if quality.same:
        return "0", "the original's answers"
    return fmt.lost(quality.metric, quality.bound), quality.verdict.value


def _variants(found: Inspection) -> list[str]:
    rows = []
    asked = found.evidence.contract.percentile if found.evidence is not None else None
    for variant in found.manifest.variants:
        latency = variant.latency[0] if variant.latency else None
        point = shown_point(latency.percentiles, asked) if latency else None
        quality = variant.quality
        sizes = [
            found.manifest.files[name].size_bytes
            for name in variant.files
            if name in found.manifest.files
        ]
        rows.append(
            [
                "▸" if variant.name == found.manifest.default else " ",
                variant.name,
                f"{variant.runtime}, {variant.settings.brief()}",
                f"{fmt.percentile(point.q)} {fmt.ms(point.value_ms)}"
                if point is not None
                else fmt.DASH,
                fmt.bytes_text(sum(sizes)),
                *_kept(quality),
            ]
        )
    return table(["", "variant", "runs on", "latency", "size", "lost at most", ""], rows, left=3)
