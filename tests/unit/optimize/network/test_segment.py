from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.optimize.network.structure.segment import Cut, Flow, segment


def flow(text: str, *, answers: str = "", parts: str = "", turns: str = "") -> Flow:
    """``"A b=A C=A d=b,C"``: names in capitals are made by layers; the last is the answer."""
    before: dict[str, tuple[str, ...]] = {}
    for word in text.split():
        name, _, made_from = word.partition("=")
        before[name] = tuple(made_from.split(",")) if made_from else ()
    return Flow(
        before,
        answers=frozenset(answers.split() or list(before)[-1:]),
        layers=frozenset(n for n in before if n[0].isupper()),
        turns=frozenset(turns.split()),
        single=frozenset(before) - set(parts.split()),
    )


def words(cut: Cut) -> list[str]:
    return [
        f"{s.entry or '*'}>{','.join(s.members)}{' forks' if s.forks else ''}" for s in cut.spans
    ]


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("A b=A C=b d=C e=d F=e", ["*>A,b", "b>C,d,e", "e>F"]),
        ("A B=A C=B d=A,C e=d F=e", ["*>A", "A>B,C,d,e forks", "e>F"]),
        ("A B=A C=B D=A e=C,D F=e", ["*>A", "A>B,C,D,e forks", "e>F"]),
        ("a B=a", ["*>a,B"]),
        # Squeeze-and-excite in an inverted residual: one block.
        (
            "A B=A c=B D=c e=D f=D,e G=f h=G,A",
            ["*>A", "A>B,c,D,e,f,G,h forks"],
        ),
        # Before a norm of the transformer's next part nothing is cut; after it a block begins.
        (
            "E n=E Q=n K=n V=n s=Q,K,V O=s r=O,E m=r U=m g=U W=g t=W,r",
            ["*>E", "E>n,Q,K,V,s,O,r forks", "r>m,U,g,W,t forks"],
        ),
    ],
    ids=["plain", "residual", "projected", "no layer first", "excite", "transformer"],
)
def test_blocks_have_one_way_in_and_one_way_out(text: str, blocks: list[str]) -> None:
    cut = segment(flow(text))
    assert words(cut) == blocks
    assert not cut.between
    assert not cut.uncut


def test_two_towers_are_cut_inside_and_joined_between() -> None:
    towers = "A1 " + " ".join(f"A{i}=A{i - 1}" for i in range(2, 6))
    towers += " B1 " + " ".join(f"B{i}=B{i - 1}" for i in range(2, 6))
    cut = segment(flow(f"{towers} j=A5,B5 C=j"))
    assert words(cut) == [
        *("*>A1", "A1>A2", "A2>A3", "A3>A4", "A4>A5"),
        *("*>B1", "B1>B2", "B2>B3", "B3>B4", "B4>B5"),
        "j>C",
    ]
    assert cut.between == ("j",)


def test_skips_that_lie_in_each_other_are_cut_from_outside_in() -> None:
    down = "A B=A p=B C=p D=C q=D E=q F=E G=F H=G"
    up = "u=H v=u,D I=v J=I M=J w=M x=w,B K=x L=K"
    cut = segment(flow(f"{down} {up}"))
    assert cut.between == ("x",)
    inner = ["B>p,C", "C>D", "D>q,E,F,G,H,u,v forks", "v>I", "I>J", "J>M,w"]
    assert words(cut) == ["*>A", "A>B", *inner, "x>K", "K>L"]


def test_what_changes_the_shape_goes_with_the_layer_after_it() -> None:
    cut = segment(flow("A b=A p=b C=p D=C e=D,p r=e m=r F=m", turns="p m"))
    assert words(cut) == ["*>A,b", "b>p", "p>C,D,e,r forks", "r>m,F"]


def test_heads_are_cut_each_for_itself() -> None:
    cut = segment(flow("A B=A C=B D=A E=D", answers="C E"))
    assert words(cut) == ["*>A", "A>B", "B>C", "A>D", "D>E"]


def test_an_answer_on_the_way_is_no_branch() -> None:
    assert words(segment(flow("A B=A C=B", answers="A C"))) == ["*>A", "A>B", "B>C"]


def test_what_several_values_lead_out_of_is_said_to_be_uncut() -> None:
    cut = segment(flow("A B C=A,B D=A,B", answers="C D"))
    assert cut.uncut == (("A", "B", "C", "D"),)
    assert not cut.spans


def test_the_parts_of_a_split_are_no_place_to_cut() -> None:
    cut = segment(flow("A s=A l=s r=s B=l j=B,r C=j", parts="s"))
    assert words(cut) == ["*>A", "A>s,l,r,B,j forks", "j>C"]


@st.composite
def flows(draw: st.DrawFn) -> Flow:
    before: dict[str, tuple[str, ...]] = {}
    for i in range(draw(st.integers(1, 24))):
        near = [f"n{k}" for k in range(max(0, i - draw(st.integers(1, 5))), i)]
        before[f"n{i}"] = (
            tuple(draw(st.lists(st.sampled_from(near), unique=True, max_size=3))) if near else ()
        )
    names = list(before)
    some = st.sets(st.sampled_from(names))
    return Flow(
        before,
        answers=frozenset(draw(some)) | {names[-1]},
        layers=frozenset(draw(some)),
        turns=frozenset(draw(some)),
        single=frozenset(names) - draw(some),
    )


@given(flows())
def test_any_network_is_cut_so_that_blocks_can_be_replaced(flow: Flow) -> None:
    cut = segment(flow)
    spans = [set(s.members) for s in cut.spans]
    everything = [*(n for s in cut.spans for n in s.members), *cut.between]
    everything += [n for part in cut.uncut for n in part]
    assert sorted(everything) == sorted(flow.before)
    for span, members in zip(cut.spans, spans, strict=True):
        came = {b for n in members for b in flow.before[n]} - members
        assert came <= {span.entry}, "nothing else leads into it"
        inner = members - {span.exit}
        assert not inner & flow.answers
        used = {b for n, before in flow.before.items() if n not in members for b in before}
        assert not inner & used, "nothing else leads out of it"
        assert span.exit in flow.single
