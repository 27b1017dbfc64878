"""Local and global diffusion: a network of two paths over any backbone that exposes its stages.

Qiu et al., "Learning Spatio-Temporal Representation with Local and Global Diffusion", CVPR 2019
(arXiv 1906.05571). N clips, C channels, T frames, H x W pixels, K classes; D the width of the global path.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import relu
from torch.utils.checkpoint import checkpoint

from lgdnet.errors import InputError
from lgdnet.models.folded import add_, average, broadcast, relu_
from lgdnet.models.heads import Output

Order = Literal["paper", "release"]


class ModelError(InputError):
    """A model that does not exist, or an input that does not fit it."""


class LowRank(nn.Sequential):
    """W: a linear map C -> D through D // 16 channels; two Linear layers with bias and nothing between."""

    def __init__(self, C: int, D: int) -> None:
        super().__init__(nn.Linear(C, max(D // 16, 1)), nn.Linear(max(D // 16, 1), D))


class PlainBlock(nn.Module):
    """x' = ReLU(F(x)): a block of the backbone alone. The global path is absent (`g` passes through)."""

    def __init__(self, F: nn.Module, *, activate: bool, fresh: bool = False) -> None:
        super().__init__()
        self.F = F
        self.activate = activate
        self.fresh = fresh

    def forward(self, x: Tensor, g: Tensor | None) -> tuple[Tensor, Tensor | None]:
        x = self.F(x)
        return ((relu_(x) if self.fresh else relu(x)) if self.activate else x), g


class LGDBlock(nn.Module):
    """One block of both paths, LGD paper, section 3.2.

    Order "paper":    x' = ReLU(F(x) + US(W_xg g));    g' = ReLU(W_gx P(x') + W_gg g).
    Order "release":  g' = ReLU(W_gx P(x) + W_gg g);   x' = ReLU(F(x) + US(W_xg g')), as the authors' code of
    2022 does: the same recurrence, cut half a block later.

    W_xg starts at zero, so at first the local path is exactly the backbone without LGD. A backbone whose
    blocks end before a ReLU (`activate=False`: Xception) gets US(W_xg g) added there, and P sees ReLU(x).
    `fresh`: F's result is no one else's, so that the sum is written over it.
    """

    def __init__(
        self, F: nn.Module, C: int, C_out: int, *, order: Order, activate: bool, fresh: bool = False
    ) -> None:
        super().__init__()
        self.F = F
        self.order = order
        self.activate = activate
        self.fresh = fresh
        paper = order == "paper"
        self.W_xg = LowRank(C if paper else C_out, C_out)
        self.W_gx = LowRank(C_out if paper else C, C_out)
        self.W_gg = LowRank(C, C_out)
        for parameter in self.W_xg[1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        if self.order == "paper":
            x = self.local(x, g)
            return x, self.diffuse(x, g)
        g = self.diffuse(x, g)
        return self.local(x, g), g

    def local(self, x: Tensor, g: Tensor) -> Tensor:
        """Global to local: ReLU(F(x) + US(W_xg g)). (N, C, T, H, W) -> (N, C_out, T, H', W')"""
        x, from_global = self.F(x), broadcast(self.W_xg(g))
        x = add_(x, from_global) if self.fresh else x + from_global
        return relu_(x) if self.activate else x  # the sum is this block's own

    def diffuse(self, x: Tensor, g: Tensor) -> Tensor:
        """Local to global: ReLU(W_gx P(x) + W_gg g). (N, D) -> (N, C_out)"""
        return relu(self.W_gx(average(x if self.activate else relu(x))) + self.W_gg(g))


class Stem(nn.Module):
    """The first layers of a backbone. (N, in_channels, T, H, W) -> (N, C, T / early_stride, H', W')

    Frames must have `min_pixels` on either side.
    """

    def __init__(self, in_channels: int, early_stride: int, min_pixels: int = 1) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.early_stride = early_stride
        self.min_pixels = min_pixels


@dataclass(frozen=True)
class Backbone:
    """What a family hands over: a stem, and stages of blocks, each block an F from C to C_out channels."""

    stem: Stem
    stages: Sequence[Sequence[tuple[nn.Module, int, int]]]  # F, C, C_out
    activate: bool = True  # False: blocks end before a ReLU
    fresh: bool = False  # True: no F returns its input, or what its own backward pass needs; saves a copy

    @property
    def C_out(self) -> int:
        """Channels of the last block."""
        return self.stages[-1][-1][2]


FORM_KEY = "form"
MOST_FORMS = (
    256  # graphs of one network: stem, units A, B, C in four stages, with and without shortcut; modes, sizes
)


class Stage(nn.ModuleList):
    """Blocks of one resolution."""


class TwoPathNetwork(nn.Module):
    """Local features x (N, C, T, H, W) and global ones g (N, D), updated side by side in every block.

    Without LGD (`order=None`) it is the backbone alone. `checkpointing` recomputes each block in the backward
    pass instead of keeping its inner activations. `form` is what the shapes of the weights do not say of the
    function, by name; it goes with the state dict (not among its tensors), so that `load_weights` can compare.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: nn.Module,
        *,
        order: Order | None,
        checkpointing: bool = False,
        form: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        if order is not None and order not in get_args(Order):
            raise ModelError(f"no order {order!r}; there are {', '.join(get_args(Order))}")
        self.order = order
        self.form = dict(form or {})
        self.register_state_dict_post_hook(note_form)
        self.activate = backbone.activate
        self.checkpointing = checkpointing
        self.stem = backbone.stem
        self.stages = nn.ModuleList(
            Stage(wrap(F, C, C_out, order, backbone) for F, C, C_out in stage) for stage in backbone.stages
        )
        self.head = head
        self.run = run_part

    def compile_blocks(self, backend: str = "inductor") -> None:
        """Compile stem and blocks one by one, each as one graph; blocks of one form share theirs.

        So compiling does not grow with depth. Numbers, names of weights and recomputing stay. Our choice; torch
        calls it regional compilation.
        """
        dynamo = torch._dynamo.config
        dynamo.recompile_limit = max(dynamo.recompile_limit, MOST_FORMS)
        dynamo.accumulated_recompile_limit = max(dynamo.accumulated_recompile_limit, MOST_FORMS)
        self.run = torch.compile(run_part, backend=backend, fullgraph=True, dynamic=False)

    def forward(self, clip: Tensor) -> Output:
        """(N, C, T, H, W), or (N, C, H, W) for a network without time -> logits and features."""
        x, g = self.paths(clip)
        return self.head(x, g)

    def paths(self, clip: Tensor, keep: dict[str, Tensor] | None = None) -> tuple[Tensor, Tensor | None]:
        """Both paths after the last block: (N, C, T, H, W) and (N, D), or None without LGD.

        `keep` is filled with the stages' results by name: "stem.x", "stem.g", "stage1.x", ...
        """
        x = self.run(self.stem, self.checked(clip))
        g = average(x) if self.order else None  # g_0
        note(keep, "stem", x, g)
        for i, stage in enumerate(self.stages, 1):
            for block in cast(Stage, stage):
                if self.checkpointing and self.training and torch.is_grad_enabled():
                    x, g = recomputed(block, x, g, self.run)
                else:
                    x, g = self.run(block, x, g)
            note(keep, f"stage{i}", x, g)
        return (x if self.activate else relu(x)), g

    def trace(self, clip: Tensor) -> dict[str, Tensor]:
        """Every stage's results by name, in order: "stem.x", "stem.g", "stage1.x", ..., "logits", ...

        The x of a backbone whose blocks end before a ReLU (Xception) is the sum before it.
        """
        results: dict[str, Tensor] = {}
        x, g = self.paths(clip, keep=results)
        output: Output = self.head(x, g)
        results.update((name, value) for name, value in output._asdict().items() if value is not None)
        return results

    def checked(self, clip: Tensor) -> Tensor:
        """The clip with five axes, or a ModelError that says what was expected and what came."""
        C, t, smallest = self.stem.in_channels, self.stem.early_stride, self.stem.min_pixels
        came = f"(N, C, {'H, W' if clip.dim() == 4 else 'T, H, W'}) = {tuple(clip.shape)} came"
        if clip.dim() == 4 and t == 1:
            clip = clip.unsqueeze(2)  # an image or a log-mel segment is a clip of one frame
        if clip.dim() != 5:
            expected = "five axes, (N, C, T, H, W)" + (", or four, (N, C, H, W)" if t == 1 else "")
            raise ModelError(f"expected a clip of {expected}; {tuple(clip.shape)} came")
        if clip.shape[1] != C:
            raise ModelError(f"expected a clip with C = {C} channels; {came}")
        if clip.shape[2] == 0 or clip.shape[2] % t:
            raise ModelError(f"expected T to be a multiple of the early stride {t}; {came}")
        if min(clip.shape[3:]) < smallest:
            raise ModelError(f"expected frames of at least {smallest} x {smallest} pixels; {came}")
        self.check_dtype(clip)
        return clip

    def check_dtype(self, clip: Tensor) -> None:
        """ModelError for a clip that is not normalised, or of another precision than the weights."""
        if not clip.is_floating_point():
            raise ModelError(f"expected a normalised clip, of floating point; {clip.dtype} came")
        weights = next(self.stem.parameters(), clip).dtype
        if clip.dtype != weights and (clip.is_meta or not torch.is_autocast_enabled(clip.device.type)):
            raise ModelError(f"expected a clip of {weights} as the weights are; {clip.dtype} came")


def note_form(
    model: "TwoPathNetwork", state: Mapping[str, Tensor], prefix: str, about: dict[str, object]
) -> None:
    """Write the form of a network where torch keeps the versions of its modules: `state_dict()._metadata`."""
    about[FORM_KEY] = dict(model.form)


def wrap(F: nn.Module, C: int, C_out: int, order: Order | None, backbone: Backbone) -> nn.Module:
    """The backbone's F as a block of two paths, or of one."""
    if order is None:
        return PlainBlock(F, activate=backbone.activate, fresh=backbone.fresh)
    return LGDBlock(F, C, C_out, order=order, activate=backbone.activate, fresh=backbone.fresh)


def run_part(part: nn.Module, *inputs: Tensor | None) -> Any:
    """part(*inputs): the stem of a network, or one of its blocks."""
    return part(*inputs)


def recomputed(
    block: nn.Module, x: Tensor, g: Tensor | None, run: Callable[..., Any]
) -> tuple[Tensor, Tensor | None]:
    """run(block, x, g), of which only the inputs are kept for the backward pass; statistics are counted once."""

    if torch.compiler.is_compiling():  # a compiled graph writes statistics once whatever it recomputes
        return checkpoint(run, block, x, g, use_reentrant=False)

    def contexts() -> tuple[AbstractContextManager, AbstractContextManager]:
        return nullcontext(), without_statistics(block)

    return checkpoint(run, block, x, g, use_reentrant=False, context_fn=contexts)


@contextmanager
def without_statistics(block: nn.Module) -> Iterator[None]:
    """Batch norm that normalises as in training but leaves its running statistics alone."""
    norms = [module for module in block.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, kept, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count


def note(keep: dict[str, Tensor] | None, name: str, x: Tensor, g: Tensor | None) -> None:
    """Remember a stage's result where someone asked for it. A copy: the next block may work in place."""
    if keep is not None:
        keep[f"{name}.x"] = x.clone()
        if g is not None:
            keep[f"{name}.g"] = g
