from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import evidence_factory as factory
import msgspec
import pytest
from fake_api import events

from whet.cli.console import Console, Paint, width_of
from whet.cli.progress import Progress
from whet.cli.story import SIGNS, Story
from whet.cli.watch import watch
from whet.core.lesson import Lesson
from whet.errors import StorageError, TrialCrashedError
from whet.search.events import Event, Learning, Phase, Stopped, TrialStarted

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Terminal(io.StringIO):
    """A stream that says that it is a terminal, and counts its writes."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)

    def screen(self) -> list[str]:
        """What a terminal would show after all that was written."""
        lines, row = [""], 0
        for part in re.split(r"(\x1b\[[0-9;]*[A-Za-z]|\n|\r)", self.getvalue()):
            if part == "\n":
                row += 1
                lines += [""] * (row + 1 - len(lines))
            elif part.endswith("A") and part.startswith("\x1b"):
                row -= int(part[2:-1])
            elif part == "\x1b[J":
                lines[row:] = [""]
            elif part and not part.startswith(("\x1b", "\r")):
                lines[row] += part
        return [line for line in lines if line]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def console(err: io.StringIO, environment: Mapping[str, str] | None = None) -> Console:
    return Console(out=io.StringIO(), err=err, environment=environment or {"TERM": "xterm"})


def test_on_a_terminal_lines_stay_and_one_block_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    err, clock = Terminal(), Clock()
    with Progress(console(err), "net.py:build", clock=clock, tick_s=0) as progress:
        for event in events(factory.evidence()):
            clock.now += 1.0
            progress(event)
        screen = err.screen()
        assert screen[0] == "whet · net.py:build"
        assert [line[:5] for line in screen[-3:]] == ["now  ", "best ", "time "]
        assert "certifying the finalists" in screen[-3]
        assert "openvino int8 + bf16  p99 6.08 ms  5.41×  0.31 pt lost" in screen[-2]
        assert "left of 10 min 00 s · 13 candidates, 2 failed" in screen[-1]
        assert sum("openvino bf16" in line for line in screen) == 1
        assert all(width_of(line) <= 100 for line in screen[-3:]), "a block of fixed height"
    after = err.screen()
    assert not any(line.startswith(("now", "best", "time ")) for line in after), "the block is gone"
    assert any("✕ inductor int8" in line for line in after)


def test_at_most_ten_redraws_a_second() -> None:
    err, clock = Terminal(), Clock()
    with Progress(console(err), "n", clock=clock, tick_s=0) as progress:
        for _ in range(1000):
            clock.now += 0.01
            progress(Phase(elapsed_s=1.0, title="exporting"))
        # Ten seconds have passed; each redraw is one write.
        assert err.writes <= 101
    assert sum(line.startswith("Exporting") for line in err.screen()) == 1000, "no line is lost"


def test_the_clock_in_the_block_moves_between_events() -> None:
    err = Terminal()
    with Progress(console(err), "n", tick_s=0.01) as progress:
        progress(Phase(elapsed_s=5.0, budget_s=60.0, title="exporting"))
        seen = err.writes
        deadline = time.monotonic() + 5.0
        while err.writes < seen + 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert err.writes >= seen + 3
    assert threading.active_count() == 1 or not any(
        t.name == "whet-progress" for t in threading.enumerate()
    )


def test_the_signs_are_explained_once_where_they_are_first_used() -> None:
    found = factory.evidence()
    trials = tuple(
        msgspec.structs.replace(t, speedup=factory.ratio(1.8, noisy=True)) if t.speedup else t
        for t in found.trials
    )
    err = io.StringIO()
    with Progress(console(err), "n") as progress:
        for event in events(msgspec.structs.replace(found, trials=trials)):
            progress(event)
    lines = err.getvalue().splitlines()
    told = [k for k, line in enumerate(lines) if SIGNS in line]
    assert told == [next(k for k, line in enumerate(lines) if "≈1.80×" in line) + 1]


def test_elsewhere_plain_lines_with_their_time() -> None:
    err = io.StringIO()
    with Progress(console(err), "net.py:build") as progress:
        for event in events(factory.evidence()):
            progress(event)
    text = err.getvalue()
    assert "\x1b" not in text
    assert "\r" not in text
    assert text.splitlines()[0] == "[    0.0 s] whet · net.py:build"
    assert "Rung 2: post-training quantisation" in text
    assert "timed out: compiling took longer than 120 s" in text


@pytest.mark.parametrize("environment", [{"TERM": "xterm", "NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colour(environment: Mapping[str, str]) -> None:
    err = Terminal()
    with Progress(console(err, environment), "n", tick_s=0) as progress:
        for event in events(factory.evidence()):
            progress(event)
    assert not re.search(r"\x1b\[[0-9;]*m", err.getvalue())


def test_colour_on_a_terminal() -> None:
    err = Terminal()
    with Progress(console(err), "n", tick_s=0) as progress:
        progress(Phase(elapsed_s=1.0, title="exporting"))
    assert re.search(r"\x1b\[[0-9;]*m", err.getvalue())


@pytest.mark.parametrize("columns", [24, 60, 200])
def test_the_block_fits_the_terminal(columns: int) -> None:
    story = Story("n")
    for event in events(factory.many()):
        story.hear(event, Paint(False))
    block = story.block(700.0, columns, Paint(False))
    assert all(width_of(line) < columns for line in block)
    assert "finishing" in block[-1] or columns == 24


def test_without_a_budget_there_is_no_time_left() -> None:
    story = Story("n")
    story.hear(Phase(elapsed_s=3.0, title="exporting"), Paint(False))
    assert "3.0 s gone, no limit" in story.block(3.0, 80, Paint(False))[-1]


def test_names_can_not_drive_the_terminal() -> None:
    err = io.StringIO()
    with Progress(console(err), "\x1b[2J", tick_s=0) as progress:
        for event in events(factory.hostile("\x1b]0;owned\x07")):
            if type(event).__name__ != "RungStarted":
                progress(event)
    assert "\x1b" not in err.getvalue()
    assert "\x07" not in err.getvalue()


def job_that(does: Callable[[threading.Event], object]) -> Callable[..., object]:
    def job(listener: Callable[[Event], None], cancel: threading.Event) -> object:
        listener(Phase(elapsed_s=0.0, title="exporting"))
        return does(cancel)

    return job


def test_the_first_signal_asks_the_second_ends() -> None:
    """In a process of its own: where tests run beside each other, a signal could end them all."""
    here = Path(__file__)
    code = f"import sys; sys.path[:0] = {sys.path!r}; import {here.stem} as own; own.signalled()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=here.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def signalled() -> None:
    err = io.StringIO()

    def stops(cancel: threading.Event) -> object:
        os.kill(os.getpid(), signal.SIGINT)
        assert cancel.wait(5.0)
        raise Stopped

    before = signal.getsignal(signal.SIGINT)
    assert watch(console(err), "n", job_that(stops)) is None
    assert signal.getsignal(signal.SIGINT) is before
    assert "no finished trial is repeated" in err.getvalue()

    def stubborn(cancel: threading.Event) -> object:
        os.kill(os.getpid(), signal.SIGTERM)
        assert cancel.wait(5.0)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5.0)
        raise AssertionError("the second signal ends it")

    assert watch(console(io.StringIO()), "n", job_that(stubborn)) is None


def lessons(steps: int) -> list[Event]:
    """A candidate whose network learns for five seconds a step."""
    told: list[Event] = [TrialStarted(elapsed_s=100.0, name="narrow, taught", number=7)]
    told += [
        Learning(elapsed_s=100.0 + 5 * done, lesson=Lesson(done, steps, 0, 1 - done / 100))
        for done in range(steps + 1)
    ]
    return told


def test_on_a_terminal_learning_is_one_line_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    err, clock = Terminal(), Clock()
    with Progress(console(err), "net.py:build", clock=clock, tick_s=0) as progress:
        for event in lessons(30):
            clock.now += 5.0
            progress(event)
        screen = err.screen()
    (now,) = (line for line in screen if "step" in line)
    assert now.startswith("now   trying narrow, taught (candidate 7); it learns, step 30 of 30")
    assert "held-out loss at 70 % of what it began with" in now
    assert len(screen) == 5, "the title and the block"


def test_in_a_log_learning_is_a_line_a_minute() -> None:
    err, clock = io.StringIO(), Clock()
    with Progress(console(err), "net.py:build", clock=clock) as progress:
        for event in lessons(30):
            progress(event)
    lines = [line for line in err.getvalue().splitlines() if "it learns" in line]
    assert [line[:11] for line in lines] == [f"[  {s:.1f} s]" for s in (100, 160, 220, 250)]
    assert "step 12 of 30" in lines[1]


def test_an_error_stays_one_after_the_wish_to_stop() -> None:
    def full(cancel: threading.Event) -> object:
        cancel.set()
        raise StorageError("The disk is full.")

    def plainly(_: threading.Event) -> object:
        raise TrialCrashedError("The worker died.")

    with pytest.raises(StorageError):
        watch(console(io.StringIO()), "n", job_that(full))
    with pytest.raises(TrialCrashedError):
        watch(console(io.StringIO()), "n", job_that(plainly))


def test_a_job_that_ends_is_handed_on() -> None:
    assert watch(console(io.StringIO()), "n", job_that(lambda _: 7)) == 7


def test_what_a_stopped_search_closed_with_is_handed_on() -> None:
    def closes(cancel: threading.Event) -> object:
        os.kill(os.getpid(), signal.SIGINT)
        assert cancel.wait(5.0)
        return "the best so far"

    assert watch(console(io.StringIO()), "n", job_that(closes)) == "the best so far"


def test_more_signals_than_two_do_not_cut_the_tidying_short() -> None:
    tidied = []

    def hurried(_: threading.Event) -> object:
        try:
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.1)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)
            tidied.append(True)
        raise AssertionError("the second signal ends it")

    assert watch(console(io.StringIO()), "n", job_that(hurried)) is None
    assert tidied == [True]
