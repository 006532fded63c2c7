"""What Hugging Face's picture processors do where a directory's file leaves it open.

Files of older versions state few fields, and which processor reads them decides the rest: the
same integer ``size`` is a square for one family and the short side for another. The facts are
those of ``transformers``' ``image_processing_*.py``; a test holds each row to the real one.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["PROCESSORS", "Processor", "Steps", "processor_name"]

_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_HALF = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
_CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_BILINEAR, _BICUBIC = 2, 3


class Steps(enum.Enum):
    """Which steps a processor takes beside, or instead of, resize, crop, rescale and normalise."""

    COMMON = enum.auto()
    CONVNEXT = enum.auto()  # resizes to size / crop_pct and crops to size; stretches from 384 on
    LEVIT = enum.auto()  # resizes to size * 256 / 224
    POOLFORMER = enum.auto()  # resizes to size / crop_pct
    EFFICIENTNET = enum.auto()  # may shift by one, and divides by std twice
    MOBILEVIT = enum.auto()  # turns the order of channels, never normalises


@dataclass(frozen=True)
class Processor:
    """One family's steps, and the fields that hold where none is stated.

    Attributes:
        size: the short side, or height and width.
        square: an integer ``size`` that is stated means a square, not the short side.
        resample: Pillow's number of the filter.
        moments: mean and std, one a channel.
        crops: cuts from the centre.
        crop_size: side of the square that is cut.
        crop_pct: share of the resized short side that is kept.
    """

    size: int | tuple[int, int]
    square: bool
    resample: int = _BICUBIC
    moments: tuple[tuple[float, ...], tuple[float, ...]] = _HALF
    crops: bool = False
    crop_size: int | None = None
    crop_pct: float | None = None
    steps: Steps = Steps.COMMON


# By their names without "ImageProcessor".
PROCESSORS: Mapping[str, Processor] = {
    "Beit": Processor((224, 224), square=True, crop_size=224),
    "Bit": Processor(224, square=False, moments=_CLIP, crops=True, crop_size=224),
    "CLIP": Processor(224, square=False, moments=_CLIP, crops=True, crop_size=224),
    "ConvNext": Processor(384, square=False, crop_pct=224 / 256, steps=Steps.CONVNEXT),
    "DeiT": Processor((256, 256), square=True, crops=True, crop_size=224),
    "EfficientNet": Processor((346, 346), square=True, crop_size=289, steps=Steps.EFFICIENTNET),
    "Levit": Processor(
        224, square=False, moments=_IMAGENET, crops=True, crop_size=224, steps=Steps.LEVIT
    ),
    "MobileNetV1": Processor(256, square=False, resample=_BILINEAR, crops=True, crop_size=224),
    "MobileNetV2": Processor(256, square=False, resample=_BILINEAR, crops=True, crop_size=224),
    "MobileViT": Processor(224, square=False, crops=True, crop_size=256, steps=Steps.MOBILEVIT),
    "PoolFormer": Processor(
        224,
        square=False,
        moments=_IMAGENET,
        crops=True,
        crop_size=224,
        crop_pct=0.9,
        steps=Steps.POOLFORMER,
    ),
    "Pvt": Processor((224, 224), square=True, moments=_IMAGENET),
    "Segformer": Processor((512, 512), square=True, resample=_BILINEAR, moments=_IMAGENET),
    "Siglip": Processor((224, 224), square=False),
    "ViT": Processor((224, 224), square=True, resample=_BILINEAR),
}
# Which of them reads a file that names none, by the network's `model_type`.
_OF_MODEL: Mapping[str, str] = {
    "beit": "Beit",
    "bit": "Bit",
    "clip": "CLIP",
    "convnext": "ConvNext",
    "convnextv2": "ConvNext",
    "cvt": "ConvNext",
    "data2vec-vision": "Beit",
    "deit": "DeiT",
    "dinat": "ViT",
    "dinov2": "Bit",
    "efficientnet": "EfficientNet",
    "focalnet": "Bit",
    "hiera": "Bit",
    "ijepa": "ViT",
    "levit": "Levit",
    "metaclip_2": "CLIP",
    "mobilenet_v1": "MobileNetV1",
    "mobilenet_v2": "MobileNetV2",
    "mobilevit": "MobileViT",
    "mobilevitv2": "MobileViT",
    "poolformer": "PoolFormer",
    "pvt": "Pvt",
    "pvt_v2": "Pvt",
    "regnet": "ConvNext",
    "resnet": "ConvNext",
    "segformer": "Segformer",
    "siglip": "Siglip",
    "swiftformer": "ViT",
    "swin": "ViT",
    "swinv2": "ViT",
    "vit": "ViT",
    "vit_msn": "ViT",
}


def processor_name(preprocessor: Mapping[str, object], config: Mapping[str, object]) -> str:
    """The processor that reads a file, without its ending; empty where nothing says.

    Args:
        preprocessor: the fields of ``preprocessor_config.json``. Older ones call the processor
            a feature extractor, and the oldest name none.
        config: the fields of the network's ``config.json``.
    """
    named = preprocessor.get("image_processor_type") or preprocessor.get("feature_extractor_type")
    if not isinstance(named, str):
        return _OF_MODEL.get(str(config.get("model_type", "")), "")
    for ending in ("Fast", "Pil", "ImageProcessor", "FeatureExtractor"):
        named = named.removesuffix(ending)
    return named
