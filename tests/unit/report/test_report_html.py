from __future__ import annotations

from html import unescape

from hypothesis import given
from hypothesis import strategies as st

from whet.report.html import Html, a11y_table, el, join, text


def test_plain_text_is_escaped_in_content_and_attributes() -> None:
    made = el("p", '<b>&"', Html("<i>kept</i>"), None, title="a\"'<>&")
    assert made == ('<p title="a&quot;&#x27;&lt;&gt;&amp;">&lt;b&gt;&amp;&quot;<i>kept</i></p>')


def test_attribute_names_and_values() -> None:
    made = el(
        "line", x1=1.0, y1=2.345, stroke_width=1, class_="a", hidden=None, open=True, no=False
    )
    assert made == '<line x1="1" y1="2.35" stroke-width="1" class="a" open></line>'
    assert el("br") == "<br>"
    assert join("a<", None, Html("<br>")) == "a&lt;<br>"


def test_controls_and_direction_overrides_are_replaced() -> None:
    assert text("a\x00b\x1bc\u202ed\ud800") == "a\ufffdb\ufffdc\ufffdd\ufffd"
    assert text("line\nand\ttab") == "line\nand\ttab"


@given(st.text())
def test_no_text_leaves_its_element(value: str) -> None:
    made = text(value)
    assert not set("<>\"'") & set(made)
    if "\ufffd" not in made:
        assert unescape(made) == value


def test_tables_have_a_caption_and_scroll_in_a_named_region() -> None:
    made = a11y_table("Times", el("tbody"))
    assert 'role="region"' in made
    assert 'aria-label="Times"' in made
    assert "<caption" in made
