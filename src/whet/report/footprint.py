"""What the chosen one takes beside its latency: start, memory, energy, work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from whet.core.evidence import Footprint
from whet.report import format as fmt
from whet.report.facts import Facts
from whet.report.html import Html, a11y_table, el

__all__ = ["EXPLAINED", "render_footprint"]

_NO_COUNTER = "this machine has no counter that may be read"


@dataclass(frozen=True)
class _Row:
    """One figure.

    Attributes:
        name: of the row, and of the note on the footprint that explains its figure or its lack.
        means: where there is no such note.
        value: reads it from a footprint.
        show: writes it with its unit.
        missing: what stands where it wasn't measured.
        always: it has a row even where nothing was measured, which says why.
    """

    name: str
    means: str
    value: Callable[[Footprint], float | None]
    show: Callable[[float | None], str]
    missing: str = fmt.DASH
    always: bool = False


_SHARE = _Row(
    "share of the ceiling",
    "of what this machine reached in the fastest arithmetic used",
    lambda f: f.ceiling_share,
    lambda value: fmt.percent(value, 2),
)
_ENERGY = _Row(
    "energy",
    "per inference, of the whole machine",
    lambda f: f.energy_mj,
    fmt.millijoules,
    missing="unknown",
    always=True,
)
_ROWS = (
    _Row("size on disk", "of the files in the bundle", lambda f: f.disk_bytes, fmt.bytes_text),
    _Row("load time", "from the files to an open session", lambda f: f.load_ms, fmt.ms),
    _Row(
        "cold start",
        "from exec to the first correct answer",
        lambda f: f.cold_start_ms,
        fmt.ms,
        always=True,
    ),
    _Row("resident memory", "after warm-up", lambda f: f.resident_bytes, fmt.bytes_text),
    _Row("peak memory", "of the process", lambda f: f.peak_bytes, fmt.bytes_text),
    _ENERGY,
    _Row("parameters", "", lambda f: f.parameters, fmt.big),
    _Row("multiply-accumulates", "of one row", lambda f: f.macs, fmt.big),
    _Row(
        "bytes moved",
        "of one row, at least: weights and activations in their own datatypes",
        lambda f: f.bytes_moved,
        fmt.bytes_text,
    ),
    _SHARE,
)
# Notes on a footprint of these names are shown in the table.
EXPLAINED = frozenset(row.name for row in _ROWS)


def render_footprint(facts: Facts) -> Html | None:
    """A table with a column for the chosen one and, where it is another, for the best untouched."""
    chosen = facts.chosen
    if chosen is None or chosen.footprint is None:
        return None
    columns = [("chosen", chosen)]
    if facts.baseline is not None and not facts.same_as_baseline:
        columns.append(("best untouched", facts.baseline))
    heads = [
        el("th", "what", scope="col", class_="text"),
        *(
            el("th", name, el("span", trial.name, class_="sub"), scope="col", class_="num")
            for name, trial in columns
        ),
    ]
    takes = [trial.footprint for _, trial in columns]
    known = [row for row in _ROWS if row.always or any(_value(row, f) is not None for f in takes)]
    body = [_row(row, takes) for row in known]
    return a11y_table(
        "Footprint", el("thead", el("tr", *heads)), el("tbody", *body), class_="takes"
    )


def _row(row: _Row, footprints: list[Footprint | None]) -> Html:
    means = _means(row, footprints[0])
    head = el("th", row.name, el("span", means, class_="sub") if means else None, scope="row")
    return el("tr", head, *(_cell(row, footprint) for footprint in footprints))


def _means(row: _Row, chosen: Footprint | None) -> str:
    """What the row means, or what a note says of the chosen one's figure."""
    if chosen is None:
        return row.means
    said = next((note.reason for note in chosen.notes if note.where == row.name), "")
    if not said and row is _ENERGY and chosen.energy_mj is None:
        return f"per inference; {_NO_COUNTER}"
    return said or row.means


def _value(row: _Row, footprint: Footprint | None) -> float | None:
    return row.value(footprint) if footprint is not None else None


def _cell(row: _Row, footprint: Footprint | None) -> Html:
    value = _value(row, footprint)
    kind = footprint.ceiling if footprint is not None and row is _SHARE else None
    return el(
        "td",
        el("span", row.show(value) if value is not None else row.missing, class_="value"),
        el("span", kind, class_="sub") if kind and value is not None else None,
        class_="num",
        data_v=f"{value:.6g}" if value is not None else None,
    )
