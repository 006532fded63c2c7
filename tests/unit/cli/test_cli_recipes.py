"""``whet recipe`` and ``whet apply`` hand over what was said and show what came back."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from fake_api import RECIPE, FakeApi

from whet.cli.console import Console
from whet.cli.main import main
from whet.errors import BundleError
from whet.optimize.recipes.written import decode, read_recipe


def call(*words: str, api: FakeApi | None = None) -> tuple[int, str, str, FakeApi]:
    out, err = io.StringIO(), io.StringIO()
    given = api if api is not None else FakeApi()
    code = main(words, console=Console(out=out, err=err, environment={}), api=lambda: given)
    return code, out.getvalue(), err.getvalue(), given


def test_recipe_prints_yaml_and_nothing_else() -> None:
    code, out, err, api = call("recipe", "b.whet", "--variant", "small")
    assert (code, err) == (0, "")
    assert decode(out.encode(), "stdout") == RECIPE
    assert api.calls == [("recipe_of", ("b.whet", "small"), {})]


def test_recipe_writes_a_file_but_not_into_the_bundle(tmp_path: Path) -> None:
    file, bundle = tmp_path / "r.yaml", tmp_path / "b.whet"
    bundle.mkdir()
    code, out, _, _ = call("recipe", str(bundle), "--out", str(file))
    assert code == 0
    assert out == f"recipe  {file}\n"
    assert file.read_text() == RECIPE.to_yaml()
    code, _, err, _ = call("recipe", str(bundle), "--out", str(bundle / "r.yaml"))
    assert code == BundleError.exit_code
    assert "sealed" in err


def test_apply_hands_over_what_was_said() -> None:
    code, _, err, api = call(
        *("apply", "r.yaml", "net.py:build", "--weights", "w.npz", "--data", "s.npz"),
        *(
            "--labels",
            "l.npy",
            "--train",
            "t.npz",
            "--label-key",
            "y",
            "--text-keys",
            "a,b",
            "--label-offset",
            "1",
        ),
        *("--seed", "7", "--threads", "2", "--ignore-output", "a", "--ignore-output", "b"),
        *("--out", "o", "--most", "500", "--pairs", "join"),
    )
    assert code == 0
    assert "carrying out the passes" in err
    ((verb, args, options),) = api.calls
    assert (verb, args) == ("apply", (Path("r.yaml"), "net.py:build", "s.npz"))
    assert options == {
        "weights": "w.npz",
        "transform": None,
        "labels": "l.npy",
        "train": "t.npz",
        "label_key": "y",
        "text_keys": ("a", "b"),
        "pairs": "join",
        "label_offset": 1,
        "most": 500,
        "seed": 7,
        "threads": 2,
        "ignore_outputs": ("a", "b"),
        "out": Path("o"),
    }


def test_apply_leaves_to_the_recipe_what_was_not_said() -> None:
    _, _, err, api = call("apply", "r.yaml", "nets/a.onnx", "--samples", "s.npz", "--quiet")
    options = api.calls[0][2]
    assert err == ""
    assert options["out"] == Path("a.applied")
    assert (options["seed"], options["threads"], options["ignore_outputs"]) == (None, None, None)


def test_apply_shows_what_it_cost_and_how_far_it_is_off() -> None:
    _, out, _, _ = call("apply", "r.yaml", "n.onnx", "--data", "s.npz")
    for words in (
        *("25.6 M", "4.10 G", "102 MB", "12.8 M", "2.05 G", "12.9 MB"),
        "'logits' is at most 0.125 off, 3.12 % of the values around, on 1,500 rows",
        "! head: Too small to quantise.",
        "graph   net.applied/model.onnx",
    ):
        assert words in out


def test_apply_gives_one_document() -> None:
    code, out, _, _ = call("apply", "r.yaml", "n.onnx", "--data", "s.npz", "--json")
    document = json.loads(out)
    assert code == 0
    assert document["graph"] == "net.applied/model.onnx"
    assert document["after"]["parameters"] == 12_800_000
    assert document["deviations"] == {
        "logits": {"largest": 0.125, "share": 0.0312},
        "boxes": {"largest": None, "share": None},
    }
    assert document["recipe"]["seed"] == 7


@pytest.mark.parametrize("text", ["kind: whet-recipe\nversion: 1\nsteps: [cats]\n"])
def test_a_wrong_recipe_is_wrong_input(text: str, tmp_path: Path) -> None:
    """The real verb: the recipe is read before the network and the samples are looked for."""
    import whet

    (tmp_path / "r.yaml").write_text(text)
    out, err = io.StringIO(), io.StringIO()
    code = main(
        ["apply", str(tmp_path / "r.yaml"), "none.onnx", "--data", "none.npz"],
        console=Console(out=out, err=err, environment={}),
        api=lambda: whet,
    )
    assert code == 3
    assert "'r.yaml', line 3: There is no pass 'cats'." in err.getvalue()
    assert out.getvalue() == ""
    with pytest.raises(Exception, match="cats"):
        read_recipe(tmp_path / "r.yaml")
