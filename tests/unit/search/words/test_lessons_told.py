from __future__ import annotations

from whet.core.lesson import Lesson
from whet.search.words.lessons import Sparsely, lesson_words


def test_words_say_how_far_it_is_and_what_it_has_gained() -> None:
    assert (
        lesson_words(Lesson(1340, 12_000, 0, 0.4216))
        == "step 1,340 of 12,000, held-out loss at 42.2 % of what it began with"
    )
    assert "step 5 of 9 (went on from 4)," in lesson_words(Lesson(5, 9, 4, 1.0))


def test_the_first_the_last_and_one_a_minute_are_worth_a_line() -> None:
    worth = Sparsely().worth
    told = [s for s in range(301) if worth(Lesson(s, 300, 0, 1.0), float(s))]
    assert told == [0, 60, 120, 180, 240, 300]


def test_the_next_that_learns_is_told_at_once() -> None:
    worth = Sparsely().worth
    assert worth(Lesson(0, 10, 0, 1.0), 0.0)
    assert not worth(Lesson(4, 10, 0, 1.0), 1.0)
    assert worth(Lesson(0, 10, 0, 1.0), 2.0), "as many steps of another one"
    assert worth(Lesson(5, 20, 5, 1.0), 3.0), "more steps"
    assert worth(Lesson(20, 20, 5, 1.0), 4.0), "the end"
    assert not worth(Lesson(20, 20, 5, 1.0), 5.0)
