"""Pictures: decode, resize, crop (bytes to uint8) and the arithmetic (uint8 to float).

The two halves are apart on purpose. `ImageTransform.decode` ends in a uint8
picture; that is what stores hold and engines take. `ImageTransform.arithmetic`
is the rest, ``(x * scale - mean) / std``; the optimiser folds it into the graph.
On uint8 it has 256 values a channel, so it is a table: each entry is computed
in float64 and rounded once, which makes it the exact reference for the fold.

Decoding follows what training pipelines do: the short side goes to
``resize_short`` with the long side rounded down, then a centre crop whose
offset is rounded half to even (or down). Orientation tags (EXIF) are ignored, because
the usual training loaders ignore them too; set ``orient`` to honour them.
Alpha is dropped, palettes and CMYK become RGB, 16-bit grey keeps its high byte.

A JPEG much larger than needed is decoded at 1/2, 1/4 or 1/8 inside the inverse
DCT. That is done only while the result stays at least ``reducing_gap`` times
the size after the resize, which keeps it next to indistinguishable from full
decoding; 0 turns it off.
"""

from __future__ import annotations

import io
import math
from contextlib import closing
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from whet._optional import require
from whet.core.spec import TensorSpec
from whet.errors import OptionError, SamplesError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["FORMATS", "MAX_BLOB_BYTES", "MAX_PIXELS", "ImageTransform"]

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "PPM")
MAX_BLOB_BYTES = 64 << 20
MAX_PIXELS = 89_000_000  # just below the size at which Pillow itself begins to warn
_MAX_SIDE = 8192

Channels = Literal["RGB", "BGR", "L"]
CropOffset = Literal["rounded", "floor"]
Resample = Literal["bilinear", "bicubic", "nearest"]


class ImageTransform(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="image"
):
    """From the bytes of a picture to one input of a network.

    Attributes:
        input: name of the network's input.
        size: height and width after the crop.
        resize_short: the short side is resized to this before the crop;
            ``None`` crops the picture as it is.
        stretch: resize without keeping the aspect, to ``stretch_to``.
        stretch_to: height and width before the crop; ``None`` is ``size``, so nothing is cropped.
        crop_offset: half pixels of the crop's place go to the even side as in torchvision,
            or down as in Hugging Face's processors.
        resample: filter of the resize.
        scale, mean, std: the arithmetic ``(x * scale - mean) / std``; one mean
            and std a channel.
        layout: order of the axes that the network takes.
        channels: order of the channels that the network takes.
        reducing_gap: see the top of the file.
        orient: turn the picture as its orientation tag says.

    Raises:
        OptionError: a field is out of its bounds.
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    input: str = "input"
    resize_short: int | None = None
    stretch: bool = False
    stretch_to: tuple[int, int] | None = None
    crop_offset: CropOffset = "rounded"
    resample: Resample = "bilinear"
    scale: float = 1 / 255
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    channels: Channels = "RGB"
    reducing_gap: float = 3.0
    orient: bool = False

    def __post_init__(self) -> None:
        depth = self.depth
        numbers = f"{depth} finite number{'s' if depth > 1 else ''}"
        checks = (
            (bool(self.input), "input", "a name"),
            (all(1 <= side <= _MAX_SIDE for side in self.size), "size", f"sides in 1-{_MAX_SIDE}"),
            (
                self.resize_short is None or 1 <= self.resize_short <= _MAX_SIDE,
                "resize_short",
                f"1-{_MAX_SIDE} or nothing",
            ),
            (not (self.stretch and self.resize_short), "stretch", "it without resize_short"),
            (
                self.stretch_to is None
                or (self.stretch and all(1 <= side <= _MAX_SIDE for side in self.stretch_to)),
                "stretch_to",
                f"sides in 1-{_MAX_SIDE}, with stretch",
            ),
            (
                self.resample in ("bilinear", "bicubic", "nearest"),
                "resample",
                "bilinear, bicubic or nearest",
            ),
            (self.crop_offset in ("rounded", "floor"), "crop_offset", "rounded or floor"),
            (self.channels in ("RGB", "BGR", "L"), "channels", "RGB, BGR or L"),
            (self.layout in ("NCHW", "NHWC"), "layout", "NCHW or NHWC"),
            (math.isfinite(self.scale) and self.scale != 0, "scale", "a finite number, not 0"),
            (len(self.mean) == depth and all(map(math.isfinite, self.mean)), "mean", numbers),
            (
                len(self.std) == depth and all(math.isfinite(s) and s > 0 for s in self.std),
                "std",
                f"{numbers} above 0",
            ),
            (
                self.reducing_gap == 0 or 1 <= self.reducing_gap <= 100,
                "reducing_gap",
                "0 (off) or 1-100",
            ),
        )
        for holds, field, wanted in checks:
            if not holds:
                raise OptionError(
                    f"The image transform's {field} is {getattr(self, field)!r}.", f"Give {wanted}."
                )

    @property
    def depth(self) -> int:
        """Number of channels."""
        return 1 if self.channels == "L" else 3

    def raw_spec(self) -> TensorSpec:
        """What `decode` gives and a store holds: uint8 (batch, height, width, channels)."""
        return TensorSpec(self.input, "uint8", ("batch", *self.size, self.depth))

    def network_spec(self) -> TensorSpec:
        """What `arithmetic` gives and the untouched network takes."""
        height, width = self.size
        nchw = ("batch", self.depth, height, width)
        nhwc = ("batch", height, width, self.depth)
        return TensorSpec(self.input, "float32", nchw if self.layout == "NCHW" else nhwc)

    def decode(self, blob: bytes) -> NDArray[np.uint8]:
        """Decode, resize and crop one picture to (height, width, channels).

        Raises:
            SamplesError: not a picture, damaged, too large or smaller than the crop.
            MissingExtraError: Pillow isn't installed.
        """
        image = require("PIL.Image", "decode pictures")
        if len(blob) > MAX_BLOB_BYTES:
            raise SamplesError(
                f"The picture takes {len(blob):,} bytes; at most {MAX_BLOB_BYTES:,} are decoded.",
                "Scale it down first.",
            )
        try:
            with closing(image.open(io.BytesIO(blob), formats=FORMATS)) as picture:
                return self._decode(picture)
        except SamplesError:
            raise
        except (image.DecompressionBombError, image.DecompressionBombWarning) as error:
            raise _too_large() from error
        except image.UnidentifiedImageError as error:
            raise SamplesError(
                "These bytes are no picture in a known format.", f"Known are {', '.join(FORMATS)}."
            ) from error
        except Exception as error:  # a decoder fed with hostile bytes may raise anything
            raise SamplesError(
                f"The picture is damaged ({error}).", "Replace it or leave it out."
            ) from error

    def fit(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resize and crop a decoded picture, (h, w) or (h, w, channels) in RGB order or grey.

        Raises:
            SamplesError: not uint8, of another rank or depth, or smaller than the crop.
        """
        depth = 1 if picture.ndim == 2 else picture.shape[-1]
        if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or depth not in (1, 3):
            raise SamplesError(
                f"A picture is given as {picture.dtype}{list(picture.shape)}.",
                "Give uint8 with shape (height, width) or (height, width, 1 or 3).",
            )
        if depth == self.depth and picture.shape[:2] == self.size:
            return self._ordered(picture.reshape(*self.size, depth))
        image = require("PIL.Image", "resize pictures")
        flat = picture.reshape(picture.shape[:2]) if depth == 1 else picture
        opened: Image = image.fromarray(np.ascontiguousarray(flat))
        return self._cropped(self._converted(opened), opened.size)

    def arithmetic(self, raw: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``(raw * scale - mean) / std`` in the network's layout, correctly rounded to float32.

        Args:
            raw: uint8 (n, height, width, channels).

        Raises:
            SamplesError: another dtype or shape.
        """
        if raw.dtype != np.uint8 or raw.ndim != 4 or raw.shape[1:] != (*self.size, self.depth):
            raise SamplesError(
                f"The pictures are {raw.dtype}{list(raw.shape)}, the transform takes {self.raw_spec()}.",
                "Give what `decode` returns, stacked.",
            )
        values = np.arange(256, dtype=np.float64)[:, None] * self.scale
        table = ((values - np.array(self.mean)) / np.array(self.std)).astype(np.float32)
        planes = [table[:, c][raw[..., c]] for c in range(self.depth)]
        return np.stack(planes, axis=1 if self.layout == "NCHW" else 3)

    def _decode(self, picture: Image) -> NDArray[np.uint8]:
        width, height = picture.size
        if width * height > MAX_PIXELS:
            raise _too_large()
        target = self._resized(width, height)
        if self.reducing_gap:
            wanted = (
                math.ceil(target[0] * self.reducing_gap),
                math.ceil(target[1] * self.reducing_gap),
            )
            picture.draft(picture.mode, wanted)  # only JPEG acts on it
        if self.orient:
            ops = require("PIL.ImageOps", "turn pictures")
            turned: Image = ops.exif_transpose(picture)
            swapped = (turned.size[0] < turned.size[1]) != (picture.size[0] < picture.size[1])
            return self._cropped(
                self._converted(turned), (height, width) if swapped else (width, height)
            )
        return self._cropped(self._converted(picture), (width, height))

    def _converted(self, picture: Image) -> Image:
        image = require("PIL.Image", "decode pictures")
        if picture.mode.startswith("I"):  # 16-bit grey; a plain convert() would clip it to white
            high = (np.asarray(picture).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
            picture = image.fromarray(high)
        if picture.mode == "P":  # through RGBA: transparency of a palette may be a byte string
            picture = picture.convert("RGBA")
        return picture.convert("L" if self.channels == "L" else "RGB")

    def _resized(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the whole picture after the resize, before the crop."""
        if self.stretch:
            full_height, full_width = self.stretch_to or self.size
            return full_width, full_height
        if self.resize_short is None:
            return width, height
        short = self.resize_short
        if width <= height:
            return short, int(short * height / width)
        return int(short * width / height), short

    def _cropped(self, picture: Image, original: tuple[int, int]) -> NDArray[np.uint8]:
        """Resize and crop in one step: only the part that is kept is computed.

        ``original`` is the size before a scaled decode, on which the geometry is based.
        """
        crop_h, crop_w = self.size
        full_w, full_h = self._resized(*original)
        if full_w < crop_w or full_h < crop_h:
            raise SamplesError(
                f"The picture is {full_h}x{full_w} (height x width), the crop {crop_h}x{crop_w}.",
                f"Set {'stretch_to' if self.stretch else 'resize_short'} to at least"
                f" {max(self.size)} in the transform.",
            )
        place = math.floor if self.crop_offset == "floor" else round
        left, top = place((full_w - crop_w) / 2), place((full_h - crop_h) / 2)
        width, height = picture.size
        if (width, height) == (full_w, full_h):
            part = picture.crop((left, top, left + crop_w, top + crop_h))
        else:
            sx, sy = width / full_w, height / full_h
            box = (
                left * sx,
                top * sy,
                min((left + crop_w) * sx, width),
                min((top + crop_h) * sy, height),
            )
            resampling = require("PIL.Image", "resize pictures").Resampling
            part = picture.resize((crop_w, crop_h), resampling[self.resample.upper()], box=box)
        return self._ordered(np.asarray(part, dtype=np.uint8).reshape(crop_h, crop_w, self.depth))

    def _ordered(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.array(picture[..., ::-1] if self.channels == "BGR" else picture, order="C")


def _too_large() -> SamplesError:
    return SamplesError(
        f"The picture has more than {MAX_PIXELS:,} pixels and isn't decoded.",
        "Scale it down first.",
    )
