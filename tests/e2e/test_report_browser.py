"""The report in headless Chromium: it renders, says nothing on the console, fetches nothing."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
from html import escape
from pathlib import Path

import msgspec
import pytest

FIXTURES = str(Path(__file__).resolve().parents[1] / "fixtures")
if FIXTURES not in sys.path:
    sys.path.insert(0, FIXTURES)

import evidence_factory as factory  # noqa: E402 - found through the path above

from whet.core.evidence import Quality  # noqa: E402 - found through the path above
from whet.report import render  # noqa: E402

pytestmark = pytest.mark.browser
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    *("--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-extensions", "--no-default-browser-check", "--disable-default-apps"),
    *("--enable-logging=stderr", "--v=0", "--virtual-time-budget=2000"),
    # Every name fails to resolve, so nothing can leave; what is asked for stands in the net log.
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


class Browser:
    """One call of the browser each, in a profile of its own."""

    def __init__(self, program: str, where: Path) -> None:
        self.program, self.where = program, where
        self.asked_for: str = ""

    def open(self, page: str, *flags: str, at: str = "") -> tuple[str, list[str]]:
        """What it prints, and the lines of its console."""
        file, log = self.where / "page.html", self.where / "net.json"
        file.write_text(page, encoding="utf-8")
        sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()
        done = subprocess.run(
            [
                self.program,
                *FLAGS,
                *sandbox,
                f"--user-data-dir={self.where / 'profile'}",
                f"--log-net-log={log}",
                *flags,
                file.as_uri() + at,
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        self.asked_for = log.read_text(encoding="utf-8")
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("no Chromium on PATH")
    return Browser(program, tmp_path)


def test_the_checks_would_notice(browser: Browser) -> None:
    """A control: a blocked script and a remote picture are both seen by what the tests look at."""
    blocked = render(factory.evidence()).replace("<main>", "<main><script>1</script>", 1)
    assert browser.open(blocked, "--dump-dom")[1]
    browser.open("<img src='http://whet-control.test/a.png'>", "--dump-dom")
    assert "whet-control.test" in browser.asked_for


@pytest.mark.parametrize("mood", ["evidence", "failed", "undecided", "one_trial", "empty", "many"])
def test_it_renders_without_a_word_on_the_console(browser: Browser, mood: str) -> None:
    evidence = getattr(factory, mood)()
    dom, console = browser.open(render(evidence), "--dump-dom")
    assert console == []
    assert "<h1>" in dom
    assert dom.count("<footer>") == 1
    if evidence.trials:
        assert 'class="plot wide"' in dom
        assert 'class="candidates"' in dom


def test_the_script_runs_and_the_table_can_be_sorted(browser: Browser) -> None:
    dom, console = browser.open(render(factory.evidence()), "--dump-dom")
    assert console == []
    assert re.search(r'<th scope="col" class="num"><button type="button">p99</button></th>', dom)


def test_a_sorted_candidate_keeps_its_reason(browser: Browser) -> None:
    click = (
        "<script>onload = () => { const seen = document.querySelector('iframe').contentDocument;"
        " const table = seen.querySelector('.candidates'), group = (b) => b.textContent;"
        " const before = [...table.tBodies].map(group);"
        " table.querySelectorAll('thead button')[4].click();"
        " const after = [...table.tBodies], sizes = after.map((b) => +b.rows[0].cells[4].dataset.v);"
        " const whole = after.map(group).sort().join() === before.sort().join();"
        " const sorted = sizes.every((v, n) => n === 0 || !(v < sizes[n - 1]));"
        " document.title = `${whole} and ${sorted} of ${after.length}`; }</script>"
    )
    frame = f'<iframe style="width:1280px;height:800px" srcdoc="{escape(_page("evidence"))}">'
    dom, console = browser.open(f"<!doctype html>{click}{frame}</iframe>", "--dump-dom")
    assert console == []
    found = re.search(r"<title>true and true of (\d+)</title>", dom)
    assert found is not None
    assert int(found[1]) > 3


def test_the_footprint_is_no_table_to_sort(browser: Browser) -> None:
    dom, console = browser.open(render(factory.evidence()), "--dump-dom")
    assert console == []
    table = re.search(r'<table class="takes">.*?</table>', dom, re.DOTALL)
    assert table is not None
    assert "cold start" in table[0]
    assert "<button" not in table[0], "its rows have different units"


def test_hostile_names_run_nothing_and_fetch_nothing(browser: Browser) -> None:
    for payload in (
        "<script>document.title='owned'</script>",
        "\"><img src='http://whet-evil.test/a.png' onerror=\"document.title='owned'\">",
        "</style></title><link rel=stylesheet href=http://whet-evil.test/a.css>",
    ):
        dom, console = browser.open(render(factory.hostile(payload)), "--dump-dom")
        assert console == []
        assert "<title>owned</title>" not in dom
        assert "whet-evil.test" not in browser.asked_for


def test_a_link_to_a_folded_row_unfolds_it(browser: Browser) -> None:
    page = render(factory.many())
    row = re.search(r'Further candidates.*?<tbody id="(c\d+)"', page, re.DOTALL)
    assert row is not None
    assert "<details>" in browser.open(page, "--dump-dom")[0]
    dom, console = browser.open(page, "--dump-dom", at=f"#{row[1]}")
    assert console == []
    assert '<details open="">' in dom


@pytest.mark.parametrize("mood", ["evidence", "many", "relative_cosine", "tiny_losses"])
def test_only_its_tables_scroll_sideways_on_a_phone(browser: Browser, mood: str) -> None:
    frame = f'<iframe style="width:400px;height:800px;border:0" srcdoc="{escape(_page(mood))}">'
    look = (
        "<script>onload = () => { const seen = document.querySelector('iframe').contentDocument;"
        " const root = seen.documentElement;"
        " document.title = `${root.scrollWidth} of ${root.clientWidth}`; }</script>"
    )
    dom, console = browser.open(f"<!doctype html>{look}{frame}</iframe>", "--dump-dom")
    assert console == []
    found = re.search(r"<title>(\d+) of (\d+)</title>", dom)
    assert found is not None
    assert 300 < int(found[1]) <= int(found[2]) <= 400


@pytest.mark.parametrize("width", [1280, 1600, 1920])
@pytest.mark.parametrize("mood", ["tiny_losses", "many", "evidence"])
def test_nothing_scrolls_sideways_on_a_desk_however_small_the_losses(
    browser: Browser, mood: str, width: int
) -> None:
    page = escape(_page(mood))
    frame = f'<iframe style="width:{width}px;height:800px;border:0" srcdoc="{page}">'
    look = (
        "<script>onload = () => { const seen = document.querySelector('iframe').contentDocument;"
        " const box = seen.querySelector('.candidates').parentElement;"
        " const tiles = [...seen.querySelectorAll('.figure')].filter("
        "   (f) => f.scrollWidth > f.parentElement.clientWidth).length;"
        " document.title = `${box.scrollWidth - box.clientWidth} and ${tiles}`; }</script>"
    )
    dom, _ = browser.open(f"<!doctype html>{look}{frame}</iframe>", "--dump-dom")
    assert "<title>0 and 0</title>" in dom


def _page(mood: str) -> str:
    if mood != "tiny_losses":
        return render(getattr(factory, mood)())
    evidence = factory.relative_cosine()
    trials = tuple(
        msgspec.structs.replace(t, select=_tiny(t.select), certify=_tiny(t.certify))
        for t in evidence.trials
    )
    return render(msgspec.structs.replace(evidence, trials=trials))


def _tiny(quality: Quality | None) -> Quality | None:
    if quality is None:
        return None
    return msgspec.structs.replace(quality, drop=1.6459e-15, bound=1.7012e-15)


@pytest.mark.parametrize(("width", "height"), [(1280, 2000), (500, 2000)])
def test_a_picture_of_it_is_not_blank(browser: Browser, width: int, height: int) -> None:
    shot = browser.where / "shot.png"
    browser.open(
        render(factory.evidence()), f"--screenshot={shot}", f"--window-size={width},{height}"
    )
    data = shot.read_bytes()
    assert struct.unpack(">II", data[16:24]) == (width, height)
    assert len(data) > 60_000, "a blank page compresses to far less"


def test_it_prints(browser: Browser) -> None:
    paper = browser.where / "page.pdf"
    browser.open(render(factory.many()), f"--print-to-pdf={paper}", "--no-pdf-header-footer")
    data = paper.read_bytes()
    assert data.startswith(b"%PDF")
    assert (
        data.count(b"/Type /Page\n") + data.count(b"/Type /Page/") + data.count(b"/Type /Page ") > 3
    )
