from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.errors import NetworkError, PostconditionError
from whet.optimize.graph.io import read_onnx
from whet.optimize.graph.sound import ensure_sound
from whet.optimize.said import first_line, kind_and_line, last_line
from whet.testing.small_graphs import plain


def test_the_line_that_says_most() -> None:
    error = ValueError("\n the shapes differ. \n at a.cpp:12\n No rule for Foo.\n")
    assert first_line(error) == "the shapes differ"
    assert last_line(error) == "No rule for Foo"
    assert kind_and_line(error) == "ValueError: the shapes differ"


@pytest.mark.parametrize("text", ["", " ", "\n\n"])
def test_an_error_that_says_nothing_is_named_by_its_type(text: str) -> None:
    error = KeyboardInterrupt(text)
    assert first_line(error) == last_line(error) == kind_and_line(error) == "KeyboardInterrupt"


@given(st.text(max_size=400))
def test_it_fits_into_a_sentence(text: str) -> None:
    for line in (first_line(ValueError(text)), last_line(ValueError(text))):
        assert line
        assert len(line.splitlines()) == 1
        assert len(line) <= 300
        assert not line.endswith(".")


def test_a_graph_that_can_not_be_read_is_refused_in_whole_sentences(tmp_path: Path) -> None:
    graph = plain(tmp_path)
    graph.file.write_bytes(b"\xff" * 50)
    with pytest.raises(NetworkError, match=r"can't be read as ONNX: .*[^.]\. Check"):
        read_onnx(graph)
    with pytest.raises(PostconditionError, match=r"wrote an invalid graph: .*[^.]\. Leave"):
        ensure_sound(graph, "fuse")
