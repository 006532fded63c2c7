"""Another network in the place of the original, which is to learn to answer as it does.

Theory of operation. What a design is good at on a machine shows before any training: latency doesn't
depend on what the weights say. So a student is picked from the zoo by its speed, with random weights,
and put in the place of the network's body (`whet.optimize.network.students.body`); `distill` then teaches it
what the original gives (Hinton et al. 2015), on the scores themselves, whose squared distance teaches
no less than a divergence of probabilities does (Kim et al. 2021). Nothing of the original is left in
it but the arithmetic around its layers, so this is a substitution and no compression: it is labelled
as such, and needs many more samples and steps than a network that was narrowed.

Batch norms begin with the statistics of samples: without them the values of a network of random
weights grow or die from layer to layer, and its first steps teach nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, final

from torch import nn

from whet.core.context import Context
from whet.core.note import Note
from whet.core.passes import Pass, PassResult, Stage
from whet.core.reach import Kind, readable
from whet.errors import OptionError, PostconditionError, RequirementError
from whet.optimize.intake.weights import read_weights
from whet.optimize.network.fitting.batch_norm import with_new_statistics
from whet.optimize.network.structure.blocks import Blocks
from whet.optimize.network.structure.layers import with_layers
from whet.optimize.network.structure.net import Net, batches_of, samples_of
from whet.optimize.network.structure.walk import Walk
from whet.optimize.network.students.architectures import backbone_of, made
from whet.optimize.network.students.body import Body, body_of, exchanged
from whet.optimize.network.students.zoo import FAMILIES, Student
from whet.optimize.quiet import quiet
from whet.optimize.tracing import trace

__all__ = ["Substitute", "substituted"]

_ROWS, _BATCH = 256, 32  # samples that batch norms begin with
_EXAMPLE_ROWS = 4
_MOST = 4.0  # times the size that a family is known by
_FILE = "model.safetensors"
_UNUSED = "num_batches_tracked"


@final
@dataclass(frozen=True)
class Substitute(Pass[Net, Net]):
    """Put a student in the network's place.

    Attributes:
        family: of the zoo: ``"resnet"``, ``"resnet-bottleneck"``, ``"mobilenet-v1"``,
            ``"mobilenet-v2"``, ``"efficientnet"`` or ``"bert"``.
        width: of its layers, as a share of the size that the family is known by.
        depth: the same of its blocks; MobileNets have one depth.
        resolution: share of a picture's side that it looks at.
        weights: a directory with ``model.safetensors`` of this very architecture, as transformers
            saves it, to begin with instead of random weights; its head is left out.

    Raises:
        OptionError: there is no such family, or no such size.
    """

    name: ClassVar[str] = "substitute"
    takes: ClassVar[Stage] = Stage.NETWORK
    gives: ClassVar[Stage] = Stage.NETWORK
    family: str
    width: float = 1.0
    depth: float = 1.0
    resolution: float = 1.0
    weights: str = ""

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise OptionError(
                f"There is no family '{self.family}'.", f"The families are {', '.join(FAMILIES)}."
            )
        own = FAMILIES[self.family]
        if not (0 < self.width <= _MOST and 0 < self.depth <= _MOST and 0 < self.resolution <= 1):
            raise OptionError(
                f"A width of {self.width:g}, a depth of {self.depth:g} and a resolution of"
                f" {self.resolution:g} make no student.",
                f"Give a width and a depth above 0 up to {_MOST}, and a resolution up to 1.",
            )
        for what, value, all_ in (
            ("depth", self.depth, own.depths),
            ("resolution", self.resolution, own.resolutions),
        ):
            if value != 1 and all_ == (1.0,):
                raise OptionError(
                    f"Of '{self.family}' there is one {what}.", f"Leave the {what} out."
                )

    def requires(self, model: Net, ctx: Context) -> None:
        samples_of(ctx)
        if model.module is not model.original:
            raise RequirementError(
                "What was done to the network before would be lost with its layers.",
                "Put 'substitute' first.",
            )
        body_of(model.original, model.signature)

    def apply(self, model: Net, ctx: Context) -> PassResult[Net]:
        student = Student(self.family, self.width, self.depth, self.resolution)
        body = body_of(model.original, model.signature)
        module = made(student, body, ctx.seed)
        if self.weights:
            _fill(module, Path(self.weights))
        found = substituted(model, body, module, ctx)
        if not self.weights:
            batches = batches_of(ctx, model.signature, size=_BATCH, most=_ROWS)
            found = replace(found, module=with_new_statistics(found.module, batches))
        note = Note(self.name, "Another network, taught to answer as the original does.")
        return PassResult(found, True, (note,))

    def ensures(self, model: Net, ctx: Context) -> None:  # noqa: ARG002  # the graph says it
        names = {node.name for node in model.module.graph.nodes}
        lost = [b.span.exit for b in model.cut.blocks if b.span.exit not in names]
        if lost:
            raise PostconditionError(f"The network gives no '{lost[0]}' any more.", "Report this.")


def substituted(net: Net, body: Body, student: nn.Module, ctx: Context) -> Net:
    """The network with a student in the place of its body; the student's layers are taken over.

    It is one block to the passes that come after it, which gives what the original's body gives.

    Args:
        net: the original; it stays as it is.
        body: of it.
        student: takes and gives what the body does.
        ctx: with samples.

    Raises:
        ExportError: the student can't be traced.
    """
    names = body.block.inputs
    batches = batches_of(ctx, net.signature, size=_EXAMPLE_ROWS, most=_EXAMPLE_ROWS)
    (values,) = Walk(net.original, batches).together(names)
    example = {name: value.numpy() for name, value in zip(names, values, strict=True)}
    limits = {} if body.text is None else {str(body.inputs[0].shape[1]): body.text.longest}
    traced = trace("the student", student, body.inputs, example, limits=limits, fixed_batch=1)
    with quiet():
        module = exchanged(net.original, body, with_layers(traced.program))
    return replace(net, module=module, cut=Blocks((body.block,), ()), substituted=True)


def _fill(student: nn.Module, folder: Path) -> None:
    """Put weights that the user has into a student, all but its head's.

    Raises:
        RequirementError: there are none, or they are of another architecture.
        NetworkError: the file can't be read.
    """
    file = folder / _FILE
    if readable(file, RequirementError) is not Kind.FILE:
        raise RequirementError(
            f"There is no '{_FILE}' in '{folder}'.",
            "Name a directory as transformers' save_pretrained writes it.",
        )
    backbone = backbone_of(student)
    found, own = read_weights(file), backbone.state_dict()
    prefix = f"{getattr(backbone, 'base_model_prefix', '')}."  # of a file with a head
    given = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
    for name, tensor in own.items():
        other = given.get(name)
        if (other is None or other.shape != tensor.shape) and not name.endswith(_UNUSED):
            has = "isn't there" if other is None else f"is {tuple(other.shape)}"
            raise RequirementError(
                f"The weights in '{folder}' are of another architecture: '{name}' should be"
                f" {tuple(tensor.shape)} and {has}.",
                "Give the family, width and depth that they were trained in.",
            )
    backbone.load_state_dict({n: given[n] for n in own if n in given}, strict=False)
