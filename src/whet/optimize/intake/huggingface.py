"""A Hugging Face model directory: ``config.json`` and ``*.safetensors``, local files only.

Three kinds are known: picture classifiers, text classifiers and text
encoders. A directory that brings code of its own (``auto_map``), pickled
weights or an adapter is refused; ``trust_remote_code`` is never on.
"""

from __future__ import annotations

import contextlib
import inspect
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whet._optional import require
from whet.core.note import Note
from whet.core.spec import TensorSpec
from whet.data.transform import ImageTransform, TextTransform, Transform
from whet.errors import NetworkError
from whet.optimize.intake.huggingface_classes import class_names
from whet.optimize.intake.huggingface_config import (
    Family,
    Layout,
    read_layout,
)
from whet.optimize.intake.huggingface_pictures import image_transform
from whet.optimize.intake.huggingface_texts import text_transform
from whet.optimize.intake.network import Kind, Network, Task
from whet.optimize.quiet import quiet
from whet.optimize.said import first_line

if TYPE_CHECKING:
    import torch

__all__ = ["describe_directory", "load_directory"]


def describe_directory(folder: Path) -> Network:
    """Everything but the weights.

    The result has no module; it only says what the network takes and gives.

    Raises:
        NetworkError: no model directory, or one that is refused.
    """
    layout = read_layout(folder)
    classifies = layout.family is not Family.TEXT_ENCODER
    transform, notes = _transform(folder, layout)
    classes, said = class_names(layout.config) if classifies else ((), ())
    tokenizer = folder / "tokenizer.json"
    return Network(
        folder.resolve().name,
        Kind.TORCH,
        inputs=_inputs(layout, transform),
        parameters=layout.inputs,
        outputs=("logits",) if classifies else ("embedding",),
        task=Task.CLASSIFIER if classifies else Task.ENCODER,
        transform=transform,
        tokenizer=tokenizer if tokenizer.is_file() else None,
        classes=classes,
        notes=(*layout.notes, *notes, *said),
    )


def load_directory(folder: Path) -> Network:
    """Read a model directory.

    Raises:
        NetworkError: no model directory, damaged, refused, or weights are missing.
    """
    layout = read_layout(folder)
    described = describe_directory(folder)
    model = _model(folder, layout)
    module = _wrapped(model, layout)
    wrappers = require("whet.optimize.intake.modules", "wrap a network")
    return Network(
        described.name,
        Kind.TORCH,
        module=module,
        graph_module=wrappers.WrittenOut(module, model) if _uses_sdpa(model) else None,
        inputs=described.inputs,
        parameters=described.parameters,
        outputs=described.outputs,
        task=described.task,
        transform=described.transform,
        tokenizer=described.tokenizer,
        classes=described.classes,
        notes=described.notes,
    )


def _transform(folder: Path, layout: Layout) -> tuple[Transform | None, tuple[Note, ...]]:
    if layout.family is Family.IMAGE_CLASSIFIER:
        return image_transform(folder, layout)
    return text_transform(folder, layout)


def _inputs(layout: Layout, transform: Transform | None) -> tuple[TensorSpec, ...]:
    if isinstance(transform, ImageTransform):
        return (transform.network_spec(),)
    if isinstance(transform, TextTransform):
        return transform.specs()
    if layout.family is Family.IMAGE_CLASSIFIER:
        channels, height, width = layout.picture
        return (TensorSpec(layout.inputs[0], "float32", ("batch", channels, height, width)),)
    return tuple(TensorSpec(name, "int64", ("batch", "sequence")) for name in layout.inputs)


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """No network and no progress bars while Hugging Face's code runs."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    logs = require("transformers.utils.logging", "read a Hugging Face directory")
    bars, level = logs.is_progress_bar_enabled(), logs.get_verbosity()
    logs.disable_progress_bar()
    logs.set_verbosity_error()
    try:
        with quiet():
            yield
    finally:
        logs.set_verbosity(level)
        if bars:
            logs.enable_progress_bar()


def _model(folder: Path, layout: Layout) -> torch.nn.Module:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    require("torch", "read a Hugging Face directory")
    built = _class_of(folder, layout)
    try:
        with _offline():
            model, info = built.from_pretrained(
                str(folder),
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
                # Stated, because a config may name an implementation to be fetched from a hub.
                attn_implementation="sdpa" if _has_sdpa(built) else "eager",
                dtype="float32",
                **_without_pooler(built, layout),
            )
    except NetworkError:
        raise
    except Exception as error:  # a dozen unrelated types, from many libraries
        raise NetworkError(
            f"The model directory '{folder.name}' can't be read: {first_line(error)}.",
            "Check that config.json and the .safetensors files are complete and belong together.",
        ) from error
    missing = sorted(name for name in info["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise NetworkError(
            f"The weights in '{folder.name}' lack {len(missing)} parameters ({', '.join(missing[:3])}"
            f"{', ...' if len(missing) > 3 else ''}), which would be left at random values.",
            "Give the directory of a model that was trained for this task.",
        )
    evaluated: torch.nn.Module = model.eval()
    return evaluated


def _class_of(folder: Path, layout: Layout) -> Any:
    """The library's class of the name that the directory states."""
    transformers = require("transformers", "read a Hugging Face directory")
    built = getattr(transformers, layout.architecture, None)
    if not isinstance(built, type) or not issubclass(built, transformers.PreTrainedModel):
        raise NetworkError(
            f"The architecture '{layout.architecture}' of '{folder.name}' isn't in transformers"
            f" {transformers.__version__}.",
            "Install the version that the model was saved with, or write a 'file.py:factory'.",
        )
    return built


def _has_sdpa(built: Any) -> bool:
    return bool(getattr(built, "_supports_sdpa", False))


def _uses_sdpa(model: Any) -> bool:
    return getattr(model.config, "_attn_implementation", "") == "sdpa"


def _without_pooler(built: Any, layout: Layout) -> dict[str, bool]:
    # An unused pooler would be carried along into every file.
    if layout.family is not Family.TEXT_ENCODER:
        return {}
    takes = "add_pooling_layer" in inspect.signature(built.__init__).parameters
    return {"add_pooling_layer": False} if takes else {}


def _wrapped(model: torch.nn.Module, layout: Layout) -> torch.nn.Module:
    wrappers = require("whet.optimize.intake.modules", "wrap a network")
    module: torch.nn.Module
    if layout.family is Family.TEXT_ENCODER:
        module = wrappers.Pooled(model, layout.inputs, layout.pooling, normalise=layout.normalise)
    else:
        module = wrappers.Logits(model, layout.inputs)
    return module.eval()
