from __future__ import annotations

import io

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from whet.data.transform import ImageTransform, Transform
from whet.errors import OptionError, SamplesError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def plain(blob: bytes, short: int, size: int, resample: Image.Resampling) -> np.ndarray:
    """The textbook order: convert, resize everything, crop."""
    image = Image.open(io.BytesIO(blob)).convert("RGB")
    w, h = image.size
    full = (short, int(short * h / w)) if w <= h else (int(short * w / h), short)
    image = image.resize(full, resample)
    left, top = round((full[0] - size) / 2), round((full[1] - size) / 2)
    return np.asarray(image.crop((left, top, left + size, top + size)))


@pytest.mark.parametrize(("width", "height"), [(200, 150), (150, 200), (101, 333), (40, 50)])
@pytest.mark.parametrize("resample", ["bilinear", "bicubic"])
def test_one_step_resize_and_crop_equals_the_textbook_order(picture, width, height, resample):
    blob = picture(width, height, "PNG")
    transform = ImageTransform(
        size=(48, 48), resize_short=56, mean=MEAN, std=STD, resample=resample
    )
    wanted = plain(blob, 56, 48, Image.Resampling[resample.upper()])
    got = transform.decode(blob)
    assert got.shape == (48, 48, 3)
    assert got.dtype == np.uint8
    assert np.abs(got.astype(int) - wanted).max() <= 1


def test_crop_only_is_exact(picture):
    blob = picture(65, 49, "PNG")
    transform = ImageTransform(size=(32, 32), mean=MEAN, std=STD)
    full = np.asarray(Image.open(io.BytesIO(blob)))
    # round half to even: (65 - 32) / 2 = 16.5 -> 16, (49 - 32) / 2 = 8.5 -> 8
    assert (transform.decode(blob) == full[8:40, 16:48]).all()


def test_half_pixels_of_the_crop_may_go_down(picture):
    blob = picture(67, 51, "PNG")
    full = np.asarray(Image.open(io.BytesIO(blob)))
    rounded = ImageTransform(size=(32, 32), mean=MEAN, std=STD)
    floor = msgspec.structs.replace(rounded, crop_offset="floor")
    # (67 - 32) / 2 = 17.5 -> 18 or 17, (51 - 32) / 2 = 9.5 -> 10 or 9
    assert (rounded.decode(blob) == full[10:42, 18:50]).all()
    assert (floor.decode(blob) == full[9:41, 17:49]).all()


def test_scaled_decode_is_used_and_stays_close(picture):
    blob = picture(1600, 1200, quality=92)
    fast = ImageTransform(size=(96, 96), resize_short=100, mean=MEAN, std=STD)
    slow = msgspec.structs.replace(fast, reducing_gap=0.0)
    difference = np.abs(fast.decode(blob).astype(int) - slow.decode(blob))
    assert difference.max() <= 2
    image = Image.open(io.BytesIO(blob))
    image.draft("RGB", (399, 300))
    assert image.size == (400, 300)  # what a gap of 3 reaches: a sixteenth of the pixels


def test_scaled_decode_never_falls_below_the_size_needed(picture):
    blob = picture(250, 130, quality=92)
    for gap in (0.0, 1.0, 2.0):
        transform = ImageTransform(
            size=(128, 128), resize_short=128, mean=MEAN, std=STD, reducing_gap=gap
        )
        assert (
            transform.decode(blob) == plain(blob, 128, 128, Image.Resampling.BILINEAR)
        ).mean() > 0.9


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg_modes_become_rgb(picture, mode, small):
    assert small.decode(picture(64, 48, "JPEG", mode)).shape == (32, 32, 3)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_png_modes_become_rgb_and_grey(mode, small):
    values = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16
    image = (
        Image.fromarray(values)
        if mode == "I;16"
        else Image.fromarray((values >> 8).astype(np.uint8)).convert(mode)
    )
    stream = io.BytesIO()
    image.save(stream, "PNG")
    grey = msgspec.structs.replace(small, channels="L", mean=(0.5,), std=(0.5,))
    colour, single = small.decode(stream.getvalue()), grey.decode(stream.getvalue())
    assert colour.shape == (32, 32, 3)
    assert single.shape == (32, 32, 1)
    if mode not in ("1", "P"):
        assert int(colour[0, 0, 0]) < 10
        assert int(colour[-1, -1, 0]) > 245  # 16 bits are scaled, not clipped


def test_palette_with_byte_transparency_gives_no_warning(small):
    image = Image.new("P", (40, 40), 1)
    image.putpalette([0, 0, 0, 200, 100, 50] + [0] * 762)
    stream = io.BytesIO()
    image.save(stream, "PNG", transparency=bytes([0, 128]))
    assert small.decode(stream.getvalue())[0, 0].tolist() == [200, 100, 50]


def test_orientation_is_ignored_unless_asked_for(picture):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise
    blob = picture(64, 48, "JPEG", exif=exif, quality=95)
    ignoring = ImageTransform(size=(48, 48), mean=MEAN, std=STD)
    honouring = msgspec.structs.replace(ignoring, orient=True)
    upright, turned = ignoring.decode(blob), honouring.decode(blob)
    assert (turned == np.rot90(upright, -1)).all()


def test_bgr_is_rgb_backwards(picture, small):
    blob = picture()
    backwards = msgspec.structs.replace(small, channels="BGR")
    assert (backwards.decode(blob) == small.decode(blob)[..., ::-1]).all()


def test_stretch_ignores_the_aspect(picture):
    transform = ImageTransform(size=(32, 64), stretch=True, mean=MEAN, std=STD)
    blob = picture(90, 90, "PNG")
    wanted = np.asarray(Image.open(io.BytesIO(blob)).resize((64, 32), Image.Resampling.BILINEAR))
    assert (transform.decode(blob) == wanted).all()


def test_a_crop_after_a_stretch_is_cut_from_the_middle(picture):
    transform = ImageTransform(size=(32, 64), stretch=True, stretch_to=(40, 70), mean=MEAN, std=STD)
    blob = picture(70, 40, "PNG")
    whole = np.asarray(Image.open(io.BytesIO(blob)))
    assert (transform.decode(blob) == whole[4:36, 3:67]).all()
    with pytest.raises(SamplesError, match="40x70"):
        msgspec.structs.replace(transform, size=(41, 64)).decode(blob)


@given(
    st.integers(0, 2**32 - 1),
    st.floats(-2, 2, allow_nan=False),
    st.floats(0.01, 3),
    st.floats(0.001, 2),
    st.sampled_from(["NCHW", "NHWC"]),
)
def test_arithmetic_is_correctly_rounded(seed, mean, std, scale, layout):
    transform = ImageTransform(
        size=(3, 5), mean=(mean, 0.0, 1.0), std=(std, 1.0, 2.0), scale=scale, layout=layout
    )
    raw = np.random.default_rng(seed).integers(0, 256, (2, 3, 5, 3), dtype=np.uint8)
    wanted = ((raw.astype(np.float64) * scale - [mean, 0.0, 1.0]) / [std, 1.0, 2.0]).astype(
        np.float32
    )
    got = transform.arithmetic(raw)
    assert got.dtype == np.float32
    assert got.flags.c_contiguous
    assert (got == (wanted.transpose(0, 3, 1, 2) if layout == "NCHW" else wanted)).all()
    assert got.shape[1:] == transform.network_spec().shape[1:]


def test_specs():
    grey = ImageTransform(size=(28, 30), mean=(0.1,), std=(0.3,), channels="L", input="x")
    assert str(grey.raw_spec()) == "x: uint8[batch, 28, 30, 1]"
    assert str(grey.network_spec()) == "x: float32[batch, 1, 28, 30]"


@pytest.mark.parametrize(
    "change",
    [
        {"size": (0, 32)},
        {"size": (32, 100_000)},
        {"resize_short": 0},
        {"resize_short": 32, "stretch": True},
        {"stretch_to": (40, 40)},
        {"stretch": True, "stretch_to": (40, 0)},
        {"mean": (0.5,)},
        {"mean": (0.5, float("nan"), 0.5)},
        {"std": (0.5, 0.0, 0.5)},
        {"std": (0.5, float("inf"), 0.5)},
        {"scale": 0.0},
        {"scale": float("inf")},
        {"input": ""},
        {"reducing_gap": 0.5},
        {"channels": "CMYK"},
        {"channels": "L"},
    ],
)
def test_bounds_are_checked(change):
    with pytest.raises(OptionError, match="image transform"):
        ImageTransform(**{"size": (32, 32), "mean": MEAN, "std": STD, **change})


def test_one_channel_takes_one_number():
    with pytest.raises(OptionError) as caught:
        ImageTransform(size=(8, 8), channels="L", mean=(0.1, 0.2), std=(1.0,))
    assert caught.value.remedy == "Give 1 finite number."


def test_json_is_closed_and_round_trips():
    transform = ImageTransform(size=(224, 224), resize_short=256, mean=MEAN, std=STD)
    text = msgspec.json.encode(transform)
    assert msgspec.json.decode(text, type=Transform) == transform
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.json.decode(text.replace(b'"layout"', b'"lay"'), type=Transform)
    with pytest.raises(OptionError, match="std"):
        msgspec.json.decode(text.replace(b"0.225", b"0.0"), type=Transform)


def test_too_small_a_picture_says_what_to_set(picture):
    transform = ImageTransform(size=(64, 64), mean=MEAN, std=STD)
    with pytest.raises(SamplesError, match=r"48x64.*crop 64x64.*resize_short to at least 64"):
        transform.decode(picture(64, 48))


def test_fit_takes_decoded_pictures(small):
    rng = np.random.default_rng(0)
    exact = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert (small.fit(exact) == exact).all()
    assert small.fit(rng.integers(0, 256, (60, 50), dtype=np.uint8)).shape == (32, 32, 3)
    with pytest.raises(SamplesError, match="float32"):
        small.fit(np.zeros((32, 32, 3), np.float32))


def test_arithmetic_refuses_other_shapes(small):
    with pytest.raises(SamplesError, match=r"uint8\[1, 32, 31, 3\]"):
        small.arithmetic(np.zeros((1, 32, 31, 3), np.uint8))
