"""The page as a whole: one HTML file that needs nothing else.

Everything is inline and the content security policy allows exactly the one
style sheet and the one script by their digests, so that even a name that
slipped through escaping could neither run nor load anything.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from whet.core.evidence import Evidence
from whet.report import cards
from whet.report.cascade import render_cascade
from whet.report.facts import Facts
from whet.report.footprint import render_footprint
from whet.report.frontier import render_frontier
from whet.report.headline import render_header, word
from whet.report.html import Html, Node, el, join
from whet.report.info import BundleInfo
from whet.report.layers import render_layers
from whet.report.outputs import render_outputs
from whet.report.sections import render_classes, render_feasibility
from whet.report.tables import render_candidates, row_ids

__all__ = ["render"]

_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Cpath d='M2 13 14 3v4z' fill='%230f6b8f'/%3E%3C/svg%3E"
)


def render(evidence: Evidence, bundle: BundleInfo | None = None) -> str:
    """The report of one search.

    Args:
        evidence: what was measured and decided.
        bundle: what was packed, if anything was.

    Returns:
        A complete HTML document: no network, readable without scripts.
    """
    facts = Facts(evidence)
    rows = row_ids(facts)
    chosen = facts.chosen
    main = join(
        render_header(facts),
        _section(
            "Frontier",
            "Each mark is one candidate, measured on this machine. Further left is faster, further up loses less.",
            render_frontier(facts, rows),
        ),
        _section(
            "Candidates",
            "All were timed interleaved in fresh processes; below each figure stands its interval or bound.",
            render_candidates(facts, rows) or el("p", "No candidate was tried.", class_="note"),
        ),
        _section(
            "Cascade",
            "Engines one after another: answers that are confident leave early. It is quicker in the mean and slower in the tail.",
            render_cascade(facts),
        ),
        _section(
            "Footprint",
            "What a process that serves it takes, and the work behind one answer.",
            render_footprint(facts),
        ),
        el("div", cards.render_contract(facts), cards.render_machine(facts), class_="cards"),
        _section(
            "Feasibility",
            None,
            render_feasibility(evidence.feasibility, evidence.contract.limit_ms),
        ),
        _section(
            "Where the time goes",
            None,
            render_layers(evidence.layers, chosen.name if chosen else "the engine"),
        ),
        _section("Outputs", None, render_outputs(facts)),
        _section("Classes", None, render_classes(facts)),
        el(
            "div",
            cards.render_samples(facts),
            cards.render_bundle(bundle) if bundle is not None else None,
            cards.render_reproduce(facts),
            class_="cards",
        ),
        _section("Notes", None, cards.render_notes(facts)),
    )
    return _document(facts, main)


def _section(title: str, lead: str | None, body: Node) -> Html | None:
    """A titled part; nothing at all where there is nothing to show."""
    if body is None:
        return None
    return el("section", el("h2", title), el("p", lead, class_="note") if lead else None, body)


def _document(facts: Facts, main: Html) -> str:
    style, script = _asset("style.css"), _asset("page.js")
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}';"
        " img-src data:; base-uri 'none'; form-action 'none'"
    )
    version = facts.evidence.machine.versions.get("whet", "")
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("meta", name="referrer", content="no-referrer"),
        el("title", f"{facts.evidence.network}: {word(facts.kept).lower()} · whet"),
        el("link", rel="icon", href=_ICON),
        el("style", style),
    )
    foot = el(
        "footer",
        f"Written by whet {version}".rstrip(),
        ". Every figure was measured on the machine named above.",
    )
    body = el("body", el("main", main), foot, el("script", script))
    return f"<!doctype html>\n{el('html', head, body, lang='en')}\n"


def _asset(name: str) -> Html:
    """Our own file beside this module, put in as it is."""
    return Html(files("whet.report").joinpath(name).read_text(encoding="utf-8"))


def _digest(content: str) -> str:
    """The source expression that allows exactly this inline text."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
