from __future__ import annotations

import re

import evidence_factory as factory
import msgspec
import pytest

from whet.core.contract import Drop
from whet.core.evidence import Evidence, Percentile, Status, Verdict
from whet.report.facts import Facts
from whet.report.frontier import render_frontier
from whet.report.frontier_names import render_names
from whet.report.layers import precision_class, render_layers
from whet.report.plot import collect, lay_out


def plot_of(evidence: Evidence, width: int = 960) -> object:
    facts = Facts(evidence)
    return lay_out(facts, collect(facts, {}), width, 460)


def test_faster_is_left_and_better_is_up() -> None:
    plot = plot_of(factory.evidence())
    at = {p.name: (plot.column(p), plot.row(p)) for p in plot.points}
    assert at["openvino int8"][0] < at["openvino bf16"][0] < at["eager PyTorch"][0]
    assert at["openvino fp32"][1] < at["openvino bf16"][1] < at["openvino int8"][1]
    assert at["openvino fp32"][1] == at["eager PyTorch"][1]


def test_each_contender_has_its_role() -> None:
    roles = {p.name: p.role for p in collect(Facts(factory.evidence()), {})}
    assert roles["openvino int8 + bf16"] == "chosen"
    assert roles["openvino fp32"] == "baseline"
    assert roles["onnxruntime fp32"] == "peer"
    assert roles["openvino int8"] == "certified"
    assert roles["onnxruntime int8"] == "other"
    assert roles["eager PyTorch"] == "eager"
    assert "inductor int8" not in roles, "what didn't run has no place"


def with_verdict(name: str, verdict: Verdict) -> Evidence:
    evidence = factory.evidence()
    trials = tuple(
        msgspec.structs.replace(t, certify=msgspec.structs.replace(t.certify, verdict=verdict))
        if t.name == name and t.certify is not None
        else t
        for t in evidence.trials
    )
    return msgspec.structs.replace(evidence, trials=trials)


@pytest.mark.parametrize("verdict", [Verdict.UNDECIDED, Verdict.FAILED])
def test_only_what_passed_is_drawn_as_certified(verdict: Verdict) -> None:
    evidence = with_verdict("openvino int8", verdict)
    roles = {p.name: p.role for p in collect(Facts(evidence), {})}
    assert roles["openvino int8"] == "unproven"
    assert roles["openvino bf16"] == "certified"
    drawn = str(render_frontier(Facts(evidence), {}))
    assert "finalist that is not proven" in drawn
    assert "(certify, not passed)" in drawn
    passed = str(render_frontier(Facts(factory.evidence()), {}))
    assert "not proven" not in passed
    assert "not passed" not in passed


def test_what_loses_far_too_much_stands_in_a_lane_of_its_own() -> None:
    plot = plot_of(factory.evidence())
    assert [p.name for p in plot.over] == ["openvino int8 [smooth 0.9]"]
    assert [p.name for p in plot.unjudged] == ["openvino weights int8"]
    assert plot.lanes == ("lost more", "not judged")
    assert all(plot.top <= plot.row(p) <= plot.foot for p in plot.points)
    assert plot.row(plot.over[0]) > plot.bottom


def test_limit_and_floor_lie_inside() -> None:
    plot = plot_of(factory.evidence())
    assert plot.limit == 8.0
    assert plot.floor == pytest.approx(1.0)
    assert plot.left < plot.x(8.0) < plot.right
    assert plot.top < plot.y(1.0) < plot.bottom


def test_a_limit_far_away_is_not_drawn() -> None:
    contract = msgspec.structs.replace(factory.CONTRACT, limit_ms=1e6)
    assert plot_of(factory.evidence(contract=contract)).limit is None


@pytest.mark.parametrize("allowed", [0.0, 1e-6, 0.5])
def test_any_floor_gives_a_plot(allowed: float) -> None:
    contract = msgspec.structs.replace(factory.CONTRACT, max_drop=Drop(allowed))
    judged = [
        msgspec.structs.replace(
            t, select=msgspec.structs.replace(t.select, allowed=allowed), certify=None
        )
        for t in factory.trials()
        if t.select is not None
    ]
    made = render_frontier(Facts(factory.evidence(contract=contract, trials=tuple(judged))), {})
    assert made is not None
    assert "nan" not in made


@pytest.mark.parametrize(
    "make", [factory.evidence, factory.many, factory.failed, factory.one_trial]
)
def test_marks_say_what_they_are_and_stay_in_the_picture(make: object) -> None:
    facts = Facts(make())
    made = render_frontier(facts, {t.id: f"c{n}" for n, t in enumerate(facts.ordered)})
    assert made is not None
    wide, narrow = re.findall(r'viewBox="0 0 (960|380) \d+"', made)
    assert (wide, narrow) == ("960", "380")
    for attribute, most in (("cx", 960), ("cy", 460), ("x1", 960), ("y2", 460)):
        values = [float(v) for v in re.findall(rf'{attribute}="([-\d.]+)"', made)]
        assert all(0 <= v <= most for v in values)
    assert made.count("<title>") >= 2 * len(collect(facts, {}))


def test_nothing_measured_gives_no_plot() -> None:
    assert render_frontier(Facts(factory.empty()), {}) is None


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("i8", "int8"),
        (" U8 ", "int8"),
        ("f32", "fp32"),
        ("BF16", "bf16"),
        ("f16", "fp16"),
        ("?", "other"),
    ],
)
def test_precisions_as_runtimes_write_them(written: str, kind: str) -> None:
    assert precision_class(written) == kind


def test_layers_are_summed_up() -> None:
    made = render_layers(factory.layers(20), "x")
    assert made is not None
    assert "5 further layers" in made
    assert made.count('scope="row"') == 16
    assert render_layers((), "x") is None


def test_one_axis_shows_one_percentile() -> None:
    quick = tuple(
        msgspec.structs.replace(
            t, latency=factory.latency(t.latency.percentiles[0].value_ms, queries=50)
        )
        if t.latency and t.certify is None
        else t
        for t in factory.trials()
    )
    evidence = factory.evidence(trials=quick)
    plot = plot_of(evidence)
    assert {p.x.q for p in plot.points} == {90.0}
    tails = {p.name for p in plot.points if p.tail_ms is not None}
    assert tails == {"openvino bf16", "openvino int8", "openvino int8 + bf16", "eager PyTorch"}
    assert not plot.exact
    made = render_frontier(Facts(evidence), {})
    assert made is not None
    assert "latency, p90" in made
    assert "p99 limit 8 ms" in made
    assert "p90 is shown because p99 was not measured of every one" in made
    assert 'class="keeps"' not in made


def test_a_restless_tail_presses_no_mark_into_a_corner() -> None:
    """Marks at 20 to 50 µs, one interval up to 5 ms: the axis is theirs, the interval an arrow."""
    made = []
    for number, (trial, ms) in enumerate(zip(factory.trials(), (0.02, 0.03, 0.05), strict=False)):
        high = 5.0 if number == 1 else ms * 1.1
        points = tuple(Percentile(q, ms, ms * 0.9, high) for q in (50.0, 95.0, 99.0))
        assert trial.latency is not None
        found = msgspec.structs.replace(trial.latency, percentiles=points)
        made.append(msgspec.structs.replace(trial, latency=found, status=Status.OK))
    contract = msgspec.structs.replace(factory.CONTRACT, limit_ms=None)
    evidence = factory.evidence(
        contract=contract, trials=tuple(made), eager=None, chosen=made[0].id, baseline=made[0].id
    )
    plot = plot_of(evidence)
    columns = sorted(plot.column(p) for p in plot.points)
    assert len(columns) == 3
    assert columns[-1] - columns[0] > 0.45 * (plot.right - plot.left)
    assert not plot.x.holds(5.0)
    drawn = render_frontier(Facts(evidence), {})
    assert drawn is not None
    arrows = re.findall(r'<path d="M[^"]*" class="whisker"', drawn)
    assert arrows, "what goes on beyond the plot ends in an arrow"


@pytest.mark.parametrize("make", [factory.evidence, factory.many, factory.one_trial])
@pytest.mark.parametrize("width", [960, 380])
def test_no_name_lies_across_the_zero_line(make: object, width: int) -> None:
    plot = plot_of(make(), width)
    zero = plot.y(0.0)
    named = re.findall(r'y="([-\d.]+)"[^>]*class="name ', str(render_names(plot)))
    assert named
    for baseline in map(float, named):
        assert not baseline - 9 < zero < baseline - 1, "the line would run through its letters"
