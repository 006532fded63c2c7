"""Where the time goes: the slowest layers of the chosen engine, coloured by precision."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from whet.core.evidence import LayerTime
from whet.report import format as fmt
from whet.report.html import Html, a11y_table, el, join

__all__ = ["precision_class", "render_layers"]

_TOP = 15
# What a runtime may call it -> the class of the style sheet that colours it.
_PRECISIONS = {
    "int8": "int8",
    "i8": "int8",
    "u8": "int8",
    "uint8": "int8",
    "s8": "int8",
    "int4": "int4",
    "i4": "int4",
    "u4": "int4",
    "nf4": "int4",
    "bf16": "bf16",
    "bfloat16": "bf16",
    "fp16": "fp16",
    "f16": "fp16",
    "float16": "fp16",
    "fp32": "fp32",
    "f32": "fp32",
    "float32": "fp32",
    "float": "fp32",
}


def precision_class(precision: str) -> str:
    """The colour class of a precision as runtimes spell it; ``"other"`` when unknown."""
    return _PRECISIONS.get(precision.strip().lower(), "other")


def render_layers(layers: Sequence[LayerTime], name: str) -> Html | None:
    """A strip with the share of each precision, and a table with a bar per layer."""
    total = sum(layer.ms for layer in layers)
    if not layers or total <= 0:
        return None
    ranked = sorted(layers, key=lambda layer: -layer.ms)
    top, rest = ranked[:_TOP], ranked[_TOP:]
    rows = [
        _row(layer.name, layer.kind, layer.precision, layer.ms, total, top[0].ms) for layer in top
    ]
    if rest:
        left = sum(layer.ms for layer in rest)
        rows.append(
            _row(fmt.plural(len(rest), "further layer"), "", "", left, total, max(left, top[0].ms))
        )
    heads = [
        ("layer", "text"),
        ("kind", "text"),
        ("precision", "text"),
        ("time", "num"),
        ("share", "num"),
        ("", "bar"),
    ]
    head = el(
        "tr",
        *(el("th", h or el("span", "bar", class_="sr"), scope="col", class_=k) for h, k in heads),
    )
    note = (
        f"One profiled request of {name}: {fmt.ms(total)} in {fmt.plural(len(layers), 'layer')}."
        " Profiling costs time itself, so the sum may exceed the latency above."
    )
    return join(
        el("p", note, class_="note"),
        _strip(layers, total),
        a11y_table("Layers by time", el("thead", head), el("tbody", *rows), class_="layers"),
    )


def _strip(layers: Sequence[LayerTime], total: float) -> Html:
    shares: dict[str, float] = defaultdict(float)
    for layer in layers:
        shares[precision_class(layer.precision)] += layer.ms / total
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    x, bars, names = 0.0, [], []
    for kind, share in ordered:
        words = f"{kind} {fmt.percent(share, 2)}"
        bar = el(
            "rect",
            el("title", words),
            x=x * 1000,
            y=0,
            width=max(0.0, share * 1000 - 2),
            height=10,
            class_=f"p-{kind}",
        )
        bars.append(bar)
        swatch = el(
            "svg",
            el("rect", width=10, height=10, rx=2, class_=f"p-{kind}"),
            viewBox="0 0 10 10",
            class_="swatch",
            aria_hidden="true",
        )
        names.append(el("li", swatch, words))
        x += share
    picture = el(
        "svg",
        *bars,
        class_="strip",
        viewBox="0 0 1000 10",
        preserveAspectRatio="none",
        aria_hidden="true",
    )
    return join(picture, el("ul", *names, class_="legend"))


def _row(name: str, kind: str, precision: str, ms: float, total: float, longest: float) -> Html:
    bar = el(
        "rect",
        x=0,
        y=0,
        width=max(0.5, 100 * ms / longest),
        height=10,
        class_=f"p-{precision_class(precision)}" if kind or precision else "p-rest",
    )
    return el(
        "tr",
        el("th", el("span", name, class_="clip", title=name), scope="row"),
        el("td", kind),
        el("td", precision),
        el("td", fmt.ms(ms), class_="num", data_v=f"{ms:.6g}"),
        el("td", fmt.percent(ms / total, 2), class_="num", data_v=f"{ms / total:.6g}"),
        el(
            "td",
            el("svg", bar, viewBox="0 0 100 10", preserveAspectRatio="none", aria_hidden="true"),
            class_="bar",
        ),
    )
