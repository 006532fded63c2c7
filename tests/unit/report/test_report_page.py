from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from html.parser import HTMLParser

import evidence_factory as factory
import msgspec
import pytest

from whet.core.evidence import Evidence, Ratio
from whet.core.note import Note
from whet.measure.noise import TOO_NOISY
from whet.report import BundleInfo, VariantInfo, bundle_info, render
from whet.report.html import _VOID

BUNDLE = BundleInfo(
    "resnet50",
    "resnet50.whet",
    "2026-11-22T20:21:14Z",
    "0.1.0",
    (VariantInfo("int8-bf16", "openvino", 25_900_000, f"{6:016x}", True),),
)
MOODS: dict[str, Callable[[], Evidence]] = {
    "kept": factory.evidence,
    "failed": factory.failed,
    "undecided": factory.undecided,
    "one": factory.one_trial,
    "empty": factory.empty,
    "many": factory.many,
    "cosine": factory.relative_cosine,
}


class Reader(HTMLParser):
    """Checks that elements are balanced and gathers what tests ask for."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).replace("\u00a0", " ").split())


@pytest.mark.parametrize("mood", MOODS)
def test_every_mood_gives_a_whole_page(mood: str) -> None:
    evidence = MOODS[mood]()
    read = Reader(render(evidence, BUNDLE))
    assert read.open == []
    names = [tag for tag, _ in read.tags]
    assert names.count("h1") == 1
    assert names.count("main") == 1
    ids = [attrs["id"] for _, attrs in read.tags if "id" in attrs]
    assert len(ids) == len(set(ids)), "ids are unique"
    targets = {attrs["href"] for tag, attrs in read.tags if tag == "a"}
    assert {target[1:] for target in targets if target} <= set(ids), "links lead to rows"
    assert "nan" not in read.text.lower().split()
    assert "None" not in read.text
    for trial in evidence.trials:
        assert trial.name in read.text


@pytest.mark.parametrize("mood", MOODS)
def test_nothing_is_fetched_and_only_our_style_and_script_are_allowed(mood: str) -> None:
    page = render(MOODS[mood](), BUNDLE)
    read = Reader(page)
    for tag, attrs in read.tags:
        assert "style" not in attrs, "the policy forbids style attributes"
        assert not any(name.startswith("on") for name in attrs)
        for name in ("src", "href", "xlink:href", "action", "data"):
            value = attrs.get(name) or "#"
            assert value.startswith(("#", "data:")), (tag, value)
    policy = next(a["content"] or "" for t, a in read.tags if a.get("http-equiv"))
    assert "default-src 'none'" in policy
    for tag in ("style", "script"):
        inside = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert len(inside) == 1
        digest = base64.b64encode(hashlib.sha256(inside[0].encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "@import" not in page
    assert "url(" not in page


@pytest.mark.parametrize(
    "payload",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "'/><svg onload=alert(1)>",
        "</style><script>alert(1)</script>",
        "</title><h1>owned",
        "javascript:alert(1)",
        "&lt;script&gt;",
        "\x00\x1b[31m\u202eexe.gpj",
    ],
)
def test_hostile_names_stay_text(payload: str) -> None:
    # A harmless name of the same length gives the same layout, so the elements must be the same.
    tame = "n" * len(payload)
    clean, evil = (Reader(render(factory.hostile(p), BUNDLE)) for p in (tame, payload))
    assert evil.open == []
    assert [tag for tag, _ in evil.tags] == [tag for tag, _ in clean.tags]
    allowed = {frozenset(a) for _, a in clean.tags}
    assert all(frozenset(a) <= frozenset().union(*allowed) for _, a in evil.tags)
    assert not any(set(a) & {"onerror", "onload"} for _, a in evil.tags)


def test_the_verdict_is_said_in_one_sentence_with_its_bounds() -> None:
    text = Reader(render(factory.evidence())).text
    assert "Contract kept" in text
    assert (
        "openvino int8 + bf16 answers within 6.08 ms at p99 (at most 6.29 ms), runs 5.41× as fast"
        " by the median as the best untouched runtime, 13.2× as fast as eager PyTorch and loses at most 0.70 pt"
        " of top-1 (95 % confidence)." in text
    )
    assert "speed-up, p50" in text
    assert "vs best untouched, p50" in text
    failed = Reader(render(factory.failed())).text
    assert "Contract not kept" in failed
    assert "for a limit of 3 ms" in failed
    assert "Allow a limit of 6.3 ms" in failed
    assert "Not enough data to say" in Reader(render(factory.undecided())).text
    assert "No candidate could be measured." in Reader(render(factory.empty())).text
    one = Reader(render(factory.one_trial())).text
    assert "is the untouched original on its best runtime" in one


def test_the_parts_are_there() -> None:
    text = Reader(render(factory.evidence(), BUNDLE)).text
    for words in (
        "p99 ≤ 8 ms",
        "top-1 may drop by 1 pt",
        "Example Xeon 8488C",
        "roofline int8",
        "39 further layers",
        "1 class of 10 changed more than chance explains",
        "2 files that are no pictures were left out.",
        "whet optimize resnet50.py:build --weights",
        "seed 0",
        "openvino 2026.4.1",
        "energy is unknown",
        "Timed out: compiling took longer than 120 s.",
        "too noisy to call",
        "with whet.load('resnet50.whet') as model:",
    ):
        assert words in text, words


def test_the_footprint_of_the_chosen_and_the_untouched() -> None:
    text = Reader(render(factory.evidence(), BUNDLE)).text
    for words in (
        "cold start from exec to the first correct answer 1.24 s –",
        "load time from the files to an open session 210 ms 210 ms",
        "resident memory after warm-up 130 MB 512 MB",
        "energy counters (RAPL). unknown unknown",
        "own datatypes 51.8 MB 205 MB",
        "27 % int8 27 % fp32",
        "search took 10 min 11 s",
        "memory held at most 3.18 GB",
    ):
        assert words in text, words
    assert text.count("no energy counters (RAPL)") == 1, "not in the notes again"
    assert "Footprint" not in Reader(render(factory.empty())).text
    assert "memory held" not in Reader(render(factory.evidence(peak_bytes=None))).text


def chosen_takes(**changes: object) -> str:
    evidence = factory.evidence()
    trials = tuple(
        msgspec.structs.replace(t, footprint=msgspec.structs.replace(t.footprint, **changes))
        if t.id == evidence.chosen and t.footprint is not None
        else t
        for t in evidence.trials
    )
    return Reader(render(msgspec.structs.replace(evidence, trials=trials))).text


def test_what_a_footprint_lacks_is_said_and_what_it_has_is_shown() -> None:
    bare = chosen_takes(notes=(), cold_start_ms=None)
    assert "energy per inference; this machine has no counter that may be read unknown" in bare
    assert "cold start from exec to the first correct answer –" in bare
    why = Note("cold start", "It was not timed: the engine is not compiled ahead.")
    assert f"cold start {why.reason} –" in chosen_takes(notes=(why,), cold_start_ms=None)
    assert "energy per inference, of the whole machine 3.20 mJ" in chosen_takes(
        notes=(), energy_mj=3.2
    )
    guess = Note("bytes moved", "They are an estimate.")
    assert "bytes moved They are an estimate. 51.8 MB" in chosen_takes(notes=(guess,))


def test_an_interval_that_holds_one_is_no_speed_up() -> None:
    evidence = factory.evidence()
    level = Ratio("openvino fp32", 1.01, 0.98, 1.04, noisy=False)
    trials = tuple(
        msgspec.structs.replace(t, speedup=level) if t.id == evidence.chosen else t
        for t in evidence.trials
    )
    text = Reader(render(msgspec.structs.replace(evidence, trials=trials))).text
    assert (
        "runs 1.01× as fast by the median as the best untouched runtime (no clear difference)"
        in text
    )
    assert "0.98 to 1.04 no clear difference" in text


def test_a_relative_floor_and_another_metric() -> None:
    text = Reader(render(factory.relative_cosine())).text
    assert "may drop by 1 % of the original's value" in text
    assert "loses at most 0.0070 of cosine to the original" in text
    assert "as fast as possible, by p99" in text


def test_an_untouched_engine_has_the_original_s_answers_and_no_bound() -> None:
    """64 samples bound a loss of nothing by 4.57 pt, which says nothing of the engine."""
    evidence = factory.evidence()
    same = msgspec.structs.replace(
        factory.quality(0.0, 64), bound=0.0457, same=True, difference=5e-7
    )
    trials = tuple(
        msgspec.structs.replace(t, select=same, certify=None) if t.id == evidence.baseline else t
        for t in evidence.trials
    )
    text = Reader(render(msgspec.structs.replace(evidence, trials=trials))).text
    assert "the original's answers" in text
    assert "4.57" not in text


def test_a_long_recipe_is_cut_in_the_table() -> None:
    evidence = factory.evidence()
    trial = evidence.trials[5]
    step = msgspec.structs.replace(trial.recipe.steps[1], options={"names": ["layer"] * 500})
    recipe = msgspec.structs.replace(trial.recipe, steps=(step,))
    long = msgspec.structs.replace(trial, recipe=recipe)
    page = render(msgspec.structs.replace(evidence, trials=(evidence.trials[0], long)))
    assert Reader(page).text.count("'layer'") < 30


def test_sixty_trials_fold_away_those_that_never_had_a_chance() -> None:
    read = Reader(render(factory.many(60)))
    names = [tag for tag, _ in read.tags]
    assert names.count("details") == 1
    assert "further candidates" in read.text


def test_rendering_is_pure() -> None:
    assert render(factory.evidence(), BUNDLE) == render(factory.evidence(), BUNDLE)


def test_bundle_info_of_a_manifest() -> None:
    import fake_api

    info = bundle_info(fake_api.manifest(), "x.whet")
    assert [v.name for v in info.variants] == ["original", "bf16", "int8", "int8-bf16"]
    assert [v.default for v in info.variants] == [False, False, False, True]
    assert info.variants[0].size_bytes == 24_000_000
    assert "x.whet" in render(factory.evidence(), info)


def test_what_takes_from_the_verdict_stands_beside_it() -> None:
    noise = Note("race", f"{TOO_NOISY}: the medians of its restarts differ by 54%.")
    other = Note("openvino weights int8", f"{TOO_NOISY}: so do those of one that lost.")
    page = render(factory.evidence(notes=(noise, other)))
    header = page[page.index("<header") : page.index("</header>")]
    assert "restarts differ by 54" in header
    assert "one that lost" not in header


@pytest.mark.parametrize("make", [factory.evidence, factory.one_trial, factory.relative_cosine])
def test_a_frontier_line_is_drawn_from_one_candidate_on(make: Callable[[], Evidence]) -> None:
    assert render(make()).count('class="front"') == 2, "wide and narrow"


def test_the_page_says_that_the_choice_is_among_those_that_were_certified() -> None:
    text = Reader(render(MOODS[next(iter(MOODS))](), BUNDLE)).text
    assert "Certify was read at the end, once for each finalist" in text
    assert "after the choice" not in text


def test_without_labels_the_samples_name_the_metric() -> None:
    page = render(factory.relative_cosine())
    assert "own answers are the measure, by cosine to the original" in page
    assert "agreement" not in page
