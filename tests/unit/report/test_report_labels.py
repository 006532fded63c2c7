from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from whet.report.labels import Box, Label, place

FRAME = Box(0, 0, 900, 400)
points = st.lists(st.tuples(st.floats(20, 880), st.floats(20, 380)), min_size=1, max_size=25)


@settings(max_examples=60)
@given(points)
def test_labels_that_may_be_left_out_never_overlap(where: list[tuple[float, float]]) -> None:
    labels = [Label(str(n), f"openvino int8 {n}", x, y) for n, (x, y) in enumerate(where)]
    marks = [Box(x - 5, y - 5, x + 5, y + 5) for x, y in where]
    placed = place(labels, marks, FRAME)
    assert all(a.box.overlap(b.box) == 0 for a, b in combinations(placed, 2))
    assert all(p.box.overlap(mark) == 0 for p in placed for mark in marks)
    assert all(p.box.inside(FRAME) for p in placed)


def test_a_lone_label_stands_beside_its_mark() -> None:
    (spot,) = place([Label("a", "name", 100, 100)], [Box(95, 95, 105, 105)], FRAME)
    assert (spot.x, spot.anchor, spot.leader) == (110, "start", False)


def test_a_line_is_avoided_where_there_is_room() -> None:
    line = Box(0, 99, 900, 101)
    (spot,) = place([Label("a", "name", 100, 100)], [], FRAME, soft=[line])
    assert spot.box.overlap(line) == 0


def test_a_label_that_must_be_shown_is_shown_in_a_crowd() -> None:
    crowd = [Box(0, 0, 900, 400)]
    label = Label("a", "chosen", 450, 200, must=True)
    assert len(place([label], crowd, FRAME)) == 1
    assert place([Label("a", "chosen", 450, 200)], crowd, FRAME) == []


def test_no_room_at_all() -> None:
    assert (
        place([Label("a", "a name that is far too long", 5, 5, must=True)], [], Box(0, 0, 10, 10))
        == []
    )


def test_a_label_that_belongs_beside_its_mark_is_never_led_away() -> None:
    crowd = [Box(40, 90, 160, 110), Box(85, 60, 115, 140)]
    frame = Box(0, 0, 400, 400)
    led = place([Label("a", "some name", 100, 100)], crowd, frame)
    assert [p.leader for p in led] == [True]
    assert place([Label("a", "some name", 100, 100, beside=True)], crowd, frame) == []
