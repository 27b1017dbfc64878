"""The model family: LGD-P3D-ResNet, LGD-P3D-Xception and their controls without LGD or without time.

    model = build_model("lgd-p3d-resnet50", in_channels=3, num_classes=700)
    output = model(clip)  # (N, C, T, H, W) -> .logits (N, K), .features_local (N, C), .features_global (N, C)

"resnet50" is the 2D network on single frames, averaged over time; "p3d-resnet50" has time, "lgd-p3d-resnet50"
has both paths.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast, get_args

from torch import nn

from lgdnet.models.fuse import fused
from lgdnet.models.heads import HEADS, NEEDS_GLOBAL, LocalHead, Output, training_loss
from lgdnet.models.inflate import Report, WeightsError, form_of, load_weights
from lgdnet.models.lgd import FORM_KEY, Backbone, LGDBlock, ModelError, Order, Stem, TwoPathNetwork
from lgdnet.models.measure import count_gflops, count_parameters
from lgdnet.models.packed import for_inference
from lgdnet.models.resnet import RESNETS, resnet
from lgdnet.models.xception import xception

BACKBONES: dict[str, Callable[..., Backbone]] = {
    **{name: partial(resnet, size) for name, size in RESNETS.items()},
    "xception": xception,
}


@dataclass(frozen=True)
class Variant:
    """One model of the table: a backbone, with or without time, with or without LGD."""

    backbone: str
    time: bool
    lgd: bool


MODELS = {
    **{f"lgd-p3d-{name}": Variant(name, time=True, lgd=True) for name in BACKBONES},
    **{f"p3d-{name}": Variant(name, time=True, lgd=False) for name in BACKBONES},
    **{name: Variant(name, time=False, lgd=False) for name in BACKBONES},
}


def build_model(
    name: str,
    *,
    in_channels: int,
    num_classes: int,
    order: Order = "paper",
    head: str = "sum",
    width: int = 64,
    dropout: float = 0.5,
    units: str = "ABC",
    checkpointing: bool = False,
) -> TwoPathNetwork:
    """A model of the table by name, with fresh weights.

    `width`: channels of the first stage, 64 in the papers. `units`: P3D kinds in the order in which blocks
    cycle through them; "A", "B" or "C" alone are the ablations of the P3D paper. `checkpointing`: recompute
    blocks in the backward pass to save memory. Without LGD the head "sum" has the local classifier only.
    """
    if name not in MODELS:
        raise ModelError(f"no model {name!r}; did you mean {nearest(name)!r}? `lgdnet models` lists all")
    variant = MODELS[name]
    check_choices(name, order=order, head=head, units=units)
    check_sizes(in_channels=in_channels, num_classes=num_classes, width=width)
    if not 0 <= dropout <= 1:
        raise ModelError(f"dropout {dropout}: expected a fraction in [0, 1]")
    time = {"units": units, "early_stride": 4} if variant.time else {"units": "2D", "early_stride": 1}
    backbone = BACKBONES[variant.backbone](in_channels=in_channels, width=width, **time)
    if variant.lgd:
        C = backbone.C_out
        classifier = HEADS[head](C, C, num_classes, dropout)
    else:
        classifier = (LocalHead if head == "sum" else HEADS[head])(backbone.C_out, None, num_classes, dropout)
    form = {"backbone": variant.backbone}
    if variant.time:
        form["units"] = shortest_cycle(units)
    if variant.lgd:
        form["order"] = order
    model = TwoPathNetwork(
        backbone, classifier, order=order if variant.lgd else None, checkpointing=checkpointing, form=form
    )
    for module in model.modules():
        if isinstance(module, nn.Conv3d):
            kaiming_fan_out(module)
    if variant.lgd:
        freeze_unreachable(model, head)
    return model


def freeze_unreachable(model: TwoPathNetwork, head: str) -> None:
    """A head on one path leaves half of the last block without a gradient: say so, or DDP waits for it."""
    last = cast(LGDBlock, cast(nn.ModuleList, model.stages[-1])[-1])
    if (head, model.order) == ("local", "paper"):
        last.W_gx.requires_grad_(False)
        last.W_gg.requires_grad_(False)
    if (head, model.order) == ("global", "release"):
        last.F.requires_grad_(False)
        last.W_xg.requires_grad_(False)


def kaiming_fan_out(conv: nn.Conv3d) -> None:
    """N(0, 2 / fan_out), a group's own fan-out: torch's takes all groups, and starves depthwise kernels."""
    fan_out = conv.out_channels // conv.groups * math.prod(conv.kernel_size)
    nn.init.normal_(conv.weight, std=math.sqrt(2 / fan_out))


def check_choices(name: str, *, order: str, head: str, units: str) -> None:
    """ModelError where a choice does not exist or does not fit the model."""
    if order not in get_args(Order):
        raise ModelError(f"no order {order!r}; there are {', '.join(get_args(Order))}")
    if head not in HEADS:
        raise ModelError(f"no head {head!r}; there are {', '.join(HEADS)}")
    if not units or set(units) - set("ABC"):
        raise ModelError(f"units {units!r}: expected letters of A, B, C, such as 'ABC' or 'A'")
    if head in NEEDS_GLOBAL and not MODELS[name].lgd:
        raise ModelError(
            f"head {head!r} needs the global path, which {name!r} lacks; use head 'local' or 'lgd-' in front"
        )
    if order != "paper" and not MODELS[name].lgd:
        raise ModelError(
            f"order {order!r} is of LGD, which {name!r} lacks; leave it out or use 'lgd-' in front"
        )
    if units != "ABC" and not MODELS[name].time:
        raise ModelError(
            f"units {units!r} are of time, which {name!r} lacks; leave them out or use 'p3d-' in front"
        )


def check_sizes(**sizes: int) -> None:
    """ModelError where a size is no positive whole number."""
    for name, size in sizes.items():
        if not isinstance(size, int) or size < 1:
            raise ModelError(f"{name} {size!r}: expected a positive whole number")


def shortest_cycle(units: str) -> str:
    """ "ABAB" -> "AB": the same network."""
    return next(units[:i] for i in range(1, len(units) + 1) if units[:i] * (len(units) // i) == units)


def nearest(name: str) -> str:
    """The model whose name is most like `name`."""
    from difflib import get_close_matches

    return get_close_matches(name, MODELS, n=1, cutoff=0.0)[0]


__all__ = [
    "BACKBONES",
    "FORM_KEY",
    "HEADS",
    "MODELS",
    "Backbone",
    "ModelError",
    "Output",
    "Report",
    "Stem",
    "TwoPathNetwork",
    "WeightsError",
    "build_model",
    "count_gflops",
    "count_parameters",
    "for_inference",
    "form_of",
    "fused",
    "load_weights",
    "training_loss",
]
