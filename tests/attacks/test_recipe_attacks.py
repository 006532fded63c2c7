"""Recipes that want to run code, fill the memory or mean two things; each must be refused."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.errors import OptionError
from whet.optimize.recipes.written import decode, read_recipe
from whet.optimize.recipes.yaml_text import MOST_BYTES

HEAD = "kind: whet-recipe\nversion: 1\n"
GOOD = HEAD + "steps:\n- cast\n"

LAUGHS = HEAD + "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
LAUGHS += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))

ATTACKS = {
    "python object": (HEAD + "steps: !!python/object/apply:os.system ['touch boom']\n", "line 3"),
    "python name": (HEAD + "steps: [!!python/name:os.system '']\n", "line 3"),
    "a harmless tag": (HEAD + "steps: [!!str cast]\n", "tag"),
    "a tag that says nothing": (HEAD + "steps: [! cast]\n", "tag"),
    "a tag of a mapping": (HEAD + "steps:\n- cast: !!set {a, b}\n", "tag"),
    "a tagged key": (HEAD + "steps:\n- cast: {!!binary YQ==: 1}\n", "tag"),
    "tag directive": ("%TAG ! tag:evil,2026:\n---\n" + GOOD, "directives"),
    "version directive": ("%YAML 1.1\n---\n" + GOOD, "directives"),
    "huge version": ("%YAML " + "9" * 5000 + ".1\n---\n" + GOOD, "no YAML"),
    "anchor": (HEAD + "steps: &s [cast]\n", "Anchors"),
    "alias": (HEAD + "steps: *s\n", "Anchors"),
    "a billion laughs": (LAUGHS, "line 3: Anchors"),
    "an endless list": (HEAD + "steps: &s [*s]\n", "Anchors"),
    "merge key": (HEAD + "steps: []\n<<: {seed: 1}\n", "'<<' is not known"),
    "key twice": (HEAD + "seed: 1\nsteps: []\nseed: 2\n", "line 5: 'seed' occurs twice"),
    "option twice": (
        HEAD + "steps:\n- cast: {smallest: 1, smallest: 2}\n",
        "line 4: 'smallest' occurs",
    ),
    "a key that is a list": (HEAD + "? [a]\n: b\n", "A key is a list"),
    "two documents": (GOOD + "---\n" + GOOD, "second document"),
    "nothing": ("", "nothing in it"),
    "only a comment": ("# recipe\n", "nothing in it"),
    "a list": ("- cast\n", "no recipe"),
    "a text": ("cast\n", "no recipe"),
    "another kind": ("kind: whet-bundle\nversion: 1\nsteps: []\n", "line 1: This is no recipe"),
    "no kind": ("version: 1\nsteps: []\n", "no recipe"),
    "no version": ("kind: whet-recipe\nsteps: []\n", "Version None"),
    "newer": ("kind: whet-recipe\nversion: 2\nsteps: []\n", "line 2: Version 2"),
    "true for a version": ("kind: whet-recipe\nversion: true\nsteps: []\n", "Version True"),
    "unknown key": (GOOD + "stepz: []\n", "line 5: 'stepz' is not known"),
    "no steps": (HEAD, "no steps"),
    "steps that are a mapping": (HEAD + "steps: {cast: }\n", "no list"),
    "a step that is a number": (HEAD + "steps: [3]\n", "no step"),
    "a step of two passes": (HEAD + "steps:\n- {cast: , tidy: }\n", "no step"),
    "options that are a list": (HEAD + "steps:\n- cast: [fp16]\n", "no step"),
    "unknown pass": (HEAD + "steps:\n- tidy\n- os.system: {}\n", "line 5: There is no pass"),
    "unknown option": (
        HEAD + "steps:\n- cast:\n    smallest: 9\n    weigths: fp16\n",
        "line 6: The pass 'cast' has no option weigths",
    ),
    "an option of another kind": (HEAD + "steps:\n- cast:\n    smallest: no\n", "line 5.*'cast'"),
    "an option out of range": (HEAD + "steps:\n- cast: {smallest: 0}\n", "line 4: smallest=0"),
    "a pass in the wrong place": (HEAD + "steps: [cast, repair]\n", "line 3: The pass 'repair'"),
    "unknown runtime": (GOOD + "runtime: ../evil\n", "line 5: There is no runtime"),
    "a runtime that is a list": (GOOD + "runtime: [openvino]\n", "There is no runtime"),
    "settings of nothing": (GOOD + "settings: {threads: 1}\n", "line 5: Settings of no runtime"),
    "unknown setting": (
        GOOD + "runtime: openvino\nsettings:\n  threads: 1\n  thread: 2\n",
        "line 8: 'thread' is not known",
    ),
    "a setting of another kind": (
        GOOD + "runtime: openvino\nsettings:\n  pin: yes\n", "line 7: 'pin'"
    ),
    "no thread": (GOOD + "runtime: openvino\nsettings: {threads: 0}\n", "threads"),
    "a million threads": (GOOD + "runtime: openvino\nsettings: {threads: 1000000}\n", "settings"),
    "a seed that is no number": (GOOD + "seed: one\n", "line 5: 'one' can't be used as seed"),
    "a seed that is true": (GOOD + "seed: true\n", "can't be used as seed"),
    "a negative seed": (GOOD + "seed: -1\n", "can't be used as seed"),
    "a large seed": (GOOD + f"seed: {2**31}\n", "can't be used as seed"),
    "a larger one": (GOOD + f"seed: {'9' * 100_000}\n", "doesn't fit 64 bits"),
    "a float beyond floats": (HEAD + "steps:\n- narrow: {share: 1e999}\n", "not a finite number"),
    "infinity is a text": (HEAD + "steps:\n- narrow: {share: .inf}\n", "line 4.*'narrow'"),
    "outputs that are a text": (GOOD + "ignore_outputs: state\n", "no list of names"),
    "escape codes": (GOOD + 'runtime: "\\e[2J"\n', "control characters"),
    "half a character": (GOOD + 'runtime: "\\ud800"\n', "control characters"),
    "no such character": (GOOD + 'runtime: "\\UFFFFFFFF"\n', "no YAML"),
    "raw control characters": (GOOD + "# \x1b[2J\n", "no YAML"),
    "the other direction": (GOOD + "runtime: \u202evonipo\n", "control characters"),
    "a tab that indents": (HEAD + "steps:\n\t- cast\n", "line 4: This is no YAML"),
    "an open bracket": (HEAD + "steps: [cast\n", "no YAML"),
    "deep": (HEAD + "steps: " + "[" * 100_000, "nests deeper"),
    "deep without brackets": (HEAD + "steps:\n" + "- " * 50_000, "nests deeper"),
    "deep keys": (HEAD + "? " * 50_000, "A key is"),
    "wide": (HEAD + "steps: [" + "a," * 60_000 + "]", "More than 20000 values"),
    "large": (GOOD + "#" * MOST_BYTES, "more than the"),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_it_is_refused_with_a_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text, said = ATTACKS[name]
    file = tmp_path / "r.yaml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    began = time.process_time()
    with pytest.raises(OptionError, match=said) as caught:
        read_recipe(file)
    assert time.process_time() - began < 10
    assert caught.value.remedy
    assert len(str(caught.value)) < 1000
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize("data", [b"\xff\xfe\x00k", b"kind: \xc3\x28\n"], ids=["utf-16", "broken"])
def test_what_is_no_utf8_is_refused(data: bytes) -> None:
    with pytest.raises(OptionError, match="line 1: This is no UTF-8"):
        decode(data, "r.yaml")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "none.yaml", tmp_path / "pipe", Path("a\0b")):
        with pytest.raises(OptionError, match="is no file"):
            read_recipe(path)


def test_a_file_that_grows_without_end_is_read_to_the_limit() -> None:
    with pytest.raises(OptionError, match="is no file"):
        read_recipe(Path("/dev/zero"))


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda b: b.decode("latin-1")))
def test_any_text_is_a_recipe_or_refused(text: str) -> None:
    for whole in (text, GOOD + text):
        try:
            decode(whole.encode("utf-8", "surrogatepass"), "r.yaml")
        except OptionError as error:
            assert error.remedy  # noqa: PT017  # either end is right, no other is
