# ruff: noqa: T201 - printing is what is tested
from __future__ import annotations

import contextlib
import io
import logging
import sys
import threading
import warnings
from collections.abc import Callable

import pytest

from whet.optimize.quiet import quiet

LOG = logging.getLogger("a.package")


def say(word: str) -> None:
    """One line on each of four ways."""
    print(f"out {word}")
    print(f"err {word}", file=sys.stderr)
    LOG.warning("log %s", word)
    warnings.warn(f"warn {word}", UserWarning, stacklevel=1)


def in_thread(work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@pytest.mark.filterwarnings("error")
def test_nothing_is_said_inside_and_errors_are_still_logged(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with quiet():
        say("inside")
        LOG.error("broken")
    assert capsys.readouterr() == ("", "")
    assert caplog.messages == ["broken"]
    print("after")
    LOG.warning("after")
    assert capsys.readouterr().out == "after\n"
    assert caplog.messages == ["broken", "after"]
    with pytest.raises(UserWarning, match="warn after"):
        warnings.warn("warn after", UserWarning, stacklevel=1)


def test_what_other_threads_say_meanwhile_arrives(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with quiet():
            say("mine")
            in_thread(lambda: say("other"))
        assert [str(w.message) for w in warned] == ["warn other"]
    assert capsys.readouterr() == ("out other\n", "err other\n")
    assert caplog.messages == ["log other"]


def test_blocks_that_overlap_in_threads_leave_everything_as_it_was() -> None:
    before = sys.stdout, sys.stderr, list(warnings.filters), logging.root.manager.disable
    filters = [list(handler.filters) for handler in logging.root.handlers]
    entered, left = threading.Event(), threading.Event()

    def first() -> None:
        with quiet():
            entered.set()
            left.wait(10)

    def second() -> None:
        entered.wait(10)
        with quiet():
            left.set()
            one.join(10)  # the first to begin is the first to end

    one, two = threading.Thread(target=first), threading.Thread(target=second)
    one.start()
    two.start()
    two.join(10)
    assert not one.is_alive()
    assert not two.is_alive()
    after = sys.stdout, sys.stderr, list(warnings.filters), logging.root.manager.disable
    assert after == before
    assert [list(handler.filters) for handler in logging.root.handlers] == filters


def test_a_stream_that_was_kept_meanwhile_still_writes_and_goes_later() -> None:
    real, kept = sys.stdout, io.StringIO()
    with contextlib.redirect_stdout(kept):
        block = quiet()
        block.__enter__()
        inner = sys.stdout
        with contextlib.redirect_stdout(io.StringIO()):
            block.__exit__(None, None, None)
        assert sys.stdout is inner  # what was put back is ours
        print("kept")
        with quiet():
            print("dropped")
        assert sys.stdout is kept
    assert sys.stdout is real
    assert kept.getvalue() == "kept\n"


def test_blocks_nest_and_lines_are_dropped_too(capsys: pytest.CaptureFixture[str]) -> None:
    with quiet():
        with quiet():
            sys.stdout.writelines(["a\n", "b\n"])
        print("still quiet")
        assert sys.stdout.encoding  # what else a stream has is the real one's
    assert capsys.readouterr().out == ""


def test_a_process_without_streams_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with quiet():
        print("nowhere")
    assert sys.stdout is None


def test_a_thread_may_print_while_blocks_begin_and_end(capsys: pytest.CaptureFixture[str]) -> None:
    done = threading.Event()

    def blocks() -> None:
        for _ in range(2000):
            with quiet():
                print("dropped")
        done.set()

    worker = threading.Thread(target=blocks)
    worker.start()
    count = 0
    while not done.is_set():
        print("kept", flush=True)
        count += 1
    worker.join()
    assert capsys.readouterr().out == "kept\n" * count
