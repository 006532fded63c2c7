from __future__ import annotations

import pytest

from whet.core.fit import kind_of, labels_hint, misfit
from whet.core.spec import Dim, TensorSpec


def spec(dtype: str, *shape: Dim) -> TensorSpec:
    return TensorSpec("x", dtype, ("batch", *shape))


PICTURE = spec("float32", 3, 224, 224)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (PICTURE, PICTURE),
        (PICTURE, spec("float32", 3, "height", "width")),
        (spec("int64", "length"), spec("int64", 128)),
        (TensorSpec("x", "float32", (1, 4)), TensorSpec("x", "float32", (8, 4))),
    ],
)
def test_what_fits(given: TensorSpec, wanted: TensorSpec) -> None:
    assert misfit(given, wanted) is None


def test_the_sentence_names_the_array_what_it_is_and_what_is_taken() -> None:
    found = misfit(spec("float32", 7), PICTURE, source="samples.npz")
    assert found is not None
    assert found.message == (
        "The array 'x' of samples.npz is float32[batch, 7], but the network takes"
        " float32[batch, 3, 224, 224]."
    )
    assert kind_of(PICTURE) == "float32[batch, 3, 224, 224]"


@pytest.mark.parametrize(
    ("given", "wanted", "remedy"),
    [
        (spec("float32", 224, 224, 3), PICTURE, "NHWC where NCHW.*x.transpose(0, 3, 1, 2)"),
        (PICTURE, spec("float32", 224, 224, 3), "NCHW where NHWC.*x.transpose(0, 2, 3, 1)"),
        (spec("float32", 28, 28), spec("float32", 1, 28, 28), "size 1 is missing: give x[:, None]"),
        (spec("float32", 28, 28), spec("float32", 28, 28, 1), "give x[:, :, :, None]"),
        (spec("float32", 1, 28, 28), spec("float32", 28, 28), "too much: give x.squeeze(1)"),
        (spec("float32", 784), spec("float32", 1, 28, 28), "give x.reshape(-1, 1, 28, 28)"),
        (spec("float32", 1, 224, 224), PICTURE, "x.repeat(3, axis=1)"),
        (spec("float32", 4, 224, 224), PICTURE, "x[:, :3]"),
        (spec("float32", 2, 224, 224), PICTURE, "Give 3 channels"),
        (PICTURE, spec("float32", 1, 224, 224), "grey pictures: give --channels L *x.mean(axis=1"),
        (spec("float32", 3, 200, 200), PICTURE, "--image-size"),
        (spec("float32", 3), spec("float32", 4), "Give samples of that size."),
        (spec("float32", 7), PICTURE, "Give arrays with 4 axes"),
        (spec("uint8", 3, 224, 224), PICTURE, "x.astype('float32'), scaled as in training"),
        (spec("float32", 9), spec("int64", "sequence"), "token ids: give x.astype('int64')"),
        (spec("int32", 9), spec("int64", "sequence"), "Give x.astype('int64')."),
        (spec("uint8", 224, 224, 3), PICTURE, "transpose(0, 3, 1, 2)*astype('float32')"),
    ],
)
def test_the_usual_mistakes_get_their_cure(
    given: TensorSpec, wanted: TensorSpec, remedy: str
) -> None:
    found = misfit(given, wanted)
    assert found is not None
    for part in remedy.replace(".*", "*").split("*"):
        assert part in found.remedy


@pytest.mark.parametrize(
    ("shape", "names"), [(("batch",), True), (("batch", 1), True), (("batch", 10), False)]
)
def test_an_array_that_may_be_the_labels(shape: tuple[Dim, ...], names: bool) -> None:
    given = (TensorSpec("x", "float32", ("batch", 3)), TensorSpec("target", "int64", shape))
    said = " If 'target' holds the labels, say so with --label-key target."
    assert labels_hint(given, {"x"}) == (said if names else "")
    assert labels_hint(given, {"x", "target"}) == ""
