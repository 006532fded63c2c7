"""Hostile samples must end in one typed error: no crash, no code run, no memory taken."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import pickle
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from whet.data.image import MAX_BLOB_BYTES, ImageTransform
from whet.data.readers import open_samples
from whet.errors import SamplesError

TRANSFORM = ImageTransform(size=(32, 32), resize_short=32, mean=(0.5,) * 3, std=(0.5,) * 3)


def jpeg(width=64, height=48):
    stream = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(stream, "JPEG")
    return stream.getvalue()


def png_header(width, height):
    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + head
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


def peak_bytes(action):
    """The most bytes of Python objects and arrays that the second call of ``action`` holds.

    The first one imports decoders, which takes more than a refusal may.
    """
    action()
    gc.collect()
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def npz(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def npy(shape, descr="'<f4'", data=b""):
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    body = text.ljust(118 - 1) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(body)) + body + data


class Opener:
    def __reduce__(self):
        return os.mkdir, (os.environ["WHET_ATTACK"],)


@pytest.mark.parametrize(
    "size", [(9_500, 9_500), (60_000, 60_000), (2**31 - 1, 1), (12_000, 12_000)]
)
def test_decompression_bombs_are_refused_before_memory_is_taken(size):
    def decode():
        with pytest.raises(SamplesError, match=r"pixels|damaged"):
            TRANSFORM.decode(png_header(*size))

    assert peak_bytes(decode) < 4 << 20


def test_extreme_aspects_cost_nothing():
    stream = io.BytesIO()
    Image.new("RGB", (1, 20_000)).save(stream, "PNG")
    assert TRANSFORM.decode(stream.getvalue()).shape == (32, 32, 3)


def test_too_many_bytes_are_refused():
    with pytest.raises(SamplesError, match="bytes; at most"):
        TRANSFORM.decode(bytes(MAX_BLOB_BYTES + 1))


def test_formats_outside_the_list_are_refused():
    stream = io.BytesIO()
    Image.new("RGB", (40, 40)).save(stream, "TIFF")
    with pytest.raises(SamplesError, match="no picture in a known format"):
        TRANSFORM.decode(stream.getvalue())


@settings(max_examples=150)
@given(st.data())
def test_damaged_pictures_decode_or_are_refused(data):
    blob = bytearray(data.draw(st.sampled_from([jpeg(), png_header(40, 40), jpeg(600, 500)])))
    for _ in range(data.draw(st.integers(0, 8))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    cut = blob[: data.draw(st.integers(0, len(blob)))]
    with contextlib.suppress(SamplesError):  # the only error allowed
        assert TRANSFORM.decode(bytes(cut)).shape == (32, 32, 3)


@given(st.binary(max_size=300))
def test_random_bytes_are_refused(blob):
    with pytest.raises(SamplesError):
        TRANSFORM.decode(blob)


def test_pickles_in_an_npz_are_never_loaded(tmp_path, monkeypatch):
    mark = tmp_path / "mark"
    monkeypatch.setenv("WHET_ATTACK", str(mark))
    np.savez(tmp_path / "a.npz", x=np.array([Opener()], dtype=object))
    # A header that promises floats before a pickle, and a bare pickle as a member.
    npz(tmp_path / "b.npz", {"x.npy": pickle.dumps(Opener())})
    npz(tmp_path / "c.npz", {"x.npy": npy((4,), "'|O'", pickle.dumps(Opener()))})
    for name in ("a", "b", "c"):
        with pytest.raises(SamplesError, match=r"Python objects|can't be read"):
            list(open_samples(tmp_path / f"{name}.npz").read())
    (tmp_path / "d.npy").write_bytes(npy((4,), "'|O'", pickle.dumps(Opener())))
    with pytest.raises(SamplesError):
        open_samples(tmp_path / "d.npy")
    assert not mark.exists()


@pytest.mark.parametrize(
    "member",
    [
        npy((10**9, 10**6)),
        npy((1, 10**15)),
        npy((-1, 4)),
        npy((2, 2), data=b"\0" * 15),
        npy((2, 2), data=b"\0" * 17),
        npy("__import__('os').getcwd()"),
        npy((4,), "[('a', '<f4'), ('b', '<i4')]", b"\0" * 32),
        npy((4,), "'<c8'", b"\0" * 32),
        npy((4,), "'<U4'", b"\0" * 64),
        b"\x93NUMPY\x03\x00" + b"\xff" * 100,
        b"\x93NUMPY\x01\x00\xff\xff{",
        b"",
    ],
    ids=range(12),
)
def test_lying_headers_are_refused_before_memory_is_taken(tmp_path, member):
    path = npz(tmp_path / "x.npz", {"x.npy": member})

    def read():
        with pytest.raises(SamplesError):
            list(open_samples(path).read())

    assert peak_bytes(read) < 8 << 20


def test_a_row_that_inflates_without_end_is_refused(tmp_path):
    count = (1 << 30) // 4 + 1
    header = npy((1, count))
    path = tmp_path / "bomb.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("x.npy", "w") as out,
    ):
        out.write(header)
        for _ in range(256):
            out.write(bytes(4 << 20))
        out.write(bytes(4))
    with pytest.raises(SamplesError, match="One row of 'x'"):
        open_samples(path)


@settings(max_examples=60)
@given(st.data())
def test_damaged_archives_are_read_or_refused(tmp_path_factory, data):
    stream = io.BytesIO()
    np.savez_compressed(
        stream, x=np.arange(300, dtype=np.float32).reshape(100, 3), y=np.arange(100)
    )
    blob = bytearray(stream.getvalue())
    for _ in range(data.draw(st.integers(1, 6))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("npz") / "x.npz"
    path.write_bytes(blob[: data.draw(st.integers(1, len(blob)))])
    samples = None
    with contextlib.suppress(SamplesError):  # the only error allowed
        samples = list(open_samples(path).read())
    assert samples is None or len(samples) == 100  # checksums let nothing else through


def test_no_code_runs_from_a_name_that_is_no_reference(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text("import pathlib\npathlib.Path('mark').touch()\n")
    for name in (
        "evil.py",
        "evil.py:",
        "evil.py:f()",
        "evil.py:a b",
        "evil:f;g",
        "evil.py:__import__('os')",
    ):
        with pytest.raises(SamplesError):
            open_samples(name)
    assert not (tmp_path / "mark").exists()


def test_links_out_of_a_table_are_not_followed_by_name(tmp_path):
    (tmp_path / "secret.jpg").write_bytes(jpeg())
    folder = tmp_path / "set"
    folder.mkdir()
    for name in ("../secret.jpg", str(tmp_path / "secret.jpg"), "a/../../secret.jpg"):
        (folder / "labels.csv").write_text(f"file,label\n{name},1\n")
        with pytest.raises(SamplesError, match="outside the folder"):
            open_samples(folder, transform=TRANSFORM)
