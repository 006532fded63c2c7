"""Markup that can't be forgotten to be escaped.

`Html` is text that is markup already; every plain ``str`` that is put into an
element is escaped, in content and in attributes alike. Names in a report come
from files of strangers (layers, networks, notes), so escaping is the default
and markup the exception.
"""

from __future__ import annotations

import re
from html import escape as _escape

__all__ = ["Html", "Node", "a11y_table", "el", "join", "text"]

# Void elements have no end tag; SVG leaves are written the long way, which HTML accepts.
_VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})

# Controls are not allowed in HTML, and direction overrides could make one name look like another.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


class Html(str):
    """Text that is markup: it is put into an element as it is."""

    __slots__ = ()


Node = Html | str | None


def text(value: str) -> Html:
    """Plain text as markup."""
    return Html(_escape(_UNPRINTABLE.sub("\ufffd", value), quote=True))


def join(*nodes: Node) -> Html:
    """Nodes one after another; ``None`` gives nothing."""
    return Html("".join(n if isinstance(n, Html) else text(n) for n in nodes if n is not None))


def el(tag: str, *nodes: Node, **attributes: str | float | bool | None) -> Html:
    """One element.

    Attribute names lose a trailing underscore (``class_``) and write inner
    ones as hyphens (``stroke_width``). ``None`` and ``False`` leave an attribute
    out, ``True`` writes its bare name.
    """
    parts = [tag]
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        shown = name.rstrip("_").replace("_", "-")
        if value is True:
            parts.append(shown)
            continue
        plain = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
        parts.append(f'{shown}="{text(plain)}"')
    opening = f"<{' '.join(parts)}>"
    return Html(opening if tag in _VOID else f"{opening}{join(*nodes)}</{tag}>")


def a11y_table(label: str, *nodes: Node, class_: str | None = None) -> Html:
    """A table that scrolls sideways inside its own focusable region."""
    table = el("table", el("caption", label, class_="sr"), *nodes, class_=class_)
    return el("div", table, class_="scroll", role="region", aria_label=label, tabindex=0)
