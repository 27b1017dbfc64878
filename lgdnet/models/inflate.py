"""Weights of other networks into ours: 2D kernels become 3D, RGB stems flow stems, and every tensor is
accounted for.

Layouts are the names that a state dict uses:
  torchvision   ResNet, ResNeXt, wide ResNet
  timm          timm or Cadene: Xception, ResNet, SE-ResNet, SE-ResNeXt
  release       the LGD and P3D networks of the authors' code of 2022
  lgdnet        ours: another clip length, other classes, the same network without LGD or without time
A source is a state dict or a local file; nothing is downloaded and nothing is unpickled.
"""

import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from lgdnet.artefact import file_digest
from lgdnet.errors import InputError
from lgdnet.models.layouts import Layout, is_cadenes_senet, one_spelling, source_name

STEM_FRAME = 2  # of the stem's 4 frames, the one that gets the 2D kernel; authors' code of 2022


class WeightsError(InputError):
    """A file that holds no weights, or the weights of another network."""


@dataclass
class Report:
    """What became of every tensor. Names are the model's; those of `left_over` are the source's."""

    loaded: list[str] = field(default_factory=list)  # copied as they are
    inflated: list[str] = field(default_factory=list)  # 2D kernel to 3D, or stem to other input channels
    reinitialised: list[str] = field(default_factory=list)  # the source has none, or other classes
    left_over: list[str] = field(default_factory=list)  # of the source's classifier

    def __str__(self) -> str:
        """`108 inflated: stem.conv1.weight, ...`, one line for each kind that occurs."""
        lines = []
        for kind, names in vars(self).items():
            if names:
                first = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
                lines.append(f"{len(names)} {kind.replace('_', ' ')}: {first}")
        return "\n".join(lines)


def load_weights(
    model: nn.Module,
    source: Path | str | Mapping[str, Any],
    layout: Layout = "lgdnet",
    *,
    sha256: str | None = None,
) -> Report:
    """Fill a model of `build_model` from a file or a state dict, in place, and tell what became of each
    tensor.

    A missing, surplus or misshapen tensor is a WeightsError that leaves the model as it was. Exceptions: the
    classifier, which is loaded only from LGD networks (ours, the authors') with the same classes; temporal
    kernels, if the source has none: they become the identity in unit A and zero in B and C; LGD maps, if the
    source has none: they stay as built, with zero diffusion. So a 2D network, inflated and shown a static
    clip, gives its own pooled features.
    """
    if layout not in get_args(Layout):
        raise WeightsError(f"no layout {layout!r}; there are {', '.join(get_args(Layout))}")
    where = "the state dict" if isinstance(source, Mapping) else str(source)
    contents = source if isinstance(source, Mapping) else read_weights(Path(source), sha256=sha256)
    contents = state_dict_in(contents, where)
    weights = one_spelling(contents, layout)
    if layout == "release" and model.order == "paper" and "layer1.0.fc1.weight" in weights:
        raise WeightsError(f"{where} holds LGD maps of order 'release'; build the model with order='release'")
    if layout == "timm" and getattr(model.stem, "ceil_pool", False) != is_cadenes_senet(contents):
        raise WeightsError(
            f"{where}: SE networks of Cadene ('layer0.' in their names) fit the models 'caffe-se-...', those of "
            "timm the models 'se-...': strides and pooling differ"
        )
    report, new, problems = match(model, weights, layout)
    if problems:
        raise WeightsError(
            f"{where} does not fit the model in layout {layout!r}; {len(problems)} tensors differ, first: "
            + "; ".join(problems[:3])
        )
    with torch.no_grad():
        for name, target in model.state_dict().items():
            if name in new:
                target.copy_(new[name])
    return report


def read_weights(path: Path, *, sha256: str | None = None) -> Mapping[str, Any]:
    """The contents of a safetensors file, or of a file of `torch.save` that holds nothing but tensors."""
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; weights are local files, nothing is downloaded")
    if sha256 is not None and (found := file_digest(path)) != sha256.lower():
        raise WeightsError(f"{path}: expected sha256 {sha256}, found {found}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise WeightsError(f"{path}: no safetensors file ({error})") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise WeightsError(
            f"{path}: no state dict, or one that would need unpickling, which can run code; save it again as "
            f"safetensors ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
        ) from error


def state_dict_in(contents: Any, where: str) -> Mapping[str, Tensor]:
    """The tensors by name: `contents`, or what lies in it under "state_dict" or "model"."""
    for key in ("state_dict", "model"):
        if isinstance(contents, Mapping) and isinstance(contents.get(key), Mapping):
            contents = contents[key]
    if not isinstance(contents, Mapping) or not contents:
        raise WeightsError(f"{where}: expected tensors by name, found {type(contents).__name__}")
    other = [str(name) for name, tensor in contents.items() if not isinstance(tensor, Tensor)]
    if other:
        raise WeightsError(f"{where}: expected tensors by name; {other[0]!r} is none")
    return contents


def match(
    model: nn.Module, weights: Mapping[str, Tensor], layout: Layout
) -> tuple[Report, dict[str, Tensor], list[str]]:
    """Pair the model's tensors with the source's: a report, new values, and in words what does not fit."""
    report, new, problems = Report(), dict[str, Tensor](), list[str]()
    theirs = {name: source_name(name, model, layout) for name in model.state_dict()}
    present = {role_of(name) for name in theirs if theirs[name] in weights}
    for name, target in model.state_dict().items():
        tensor, role = weights.get(theirs[name]), role_of(name)
        if role == "classifier" and not classifier_fits(tensor, target, layout):
            report.reinitialised.append(name)
        elif tensor is None and (role == "count" or (role in ("T", "W") and role not in present)):
            report.reinitialised.append(name)
            if role == "T":
                new[name] = neutral_T(target, identity=unit_of(model, name).kind == "A")
        elif tensor is None:
            problems.append(f"{theirs[name]!r} is missing")
        elif (shaped := inflated(tensor, target, stem=name == "stem.conv1.weight")) is None:
            problems.append(f"{theirs[name]!r} is {tuple(tensor.shape)}, expected {tuple(target.shape)}")
        else:
            new[name] = shaped
            (report.loaded if tensor.shape == target.shape else report.inflated).append(name)
    used = {theirs[name] for name in (*report.loaded, *report.inflated)}
    for name in sorted(set(weights) - used):
        if re.match(r"(head|fc|fc_g)\.", name):
            report.left_over.append(name)
        else:
            problems.append(f"{name!r} is surplus")
    return report, new, problems


def role_of(name: str) -> str:
    """What one of our tensors is for: "classifier", "T", "W" (LGD), "count" (batches seen) or "2D"."""
    if name.startswith("head."):
        return "classifier"
    if name.endswith("num_batches_tracked"):
        return "count"
    if ".W_" in name:
        return "W"
    return "T" if ".T." in name else "2D"


def classifier_fits(tensor: Tensor | None, target: Tensor, layout: Layout) -> bool:
    """Whether to take the source's classifier: not ImageNet's, even where the number of classes agrees."""
    return layout in ("release", "lgdnet") and tensor is not None and tensor.shape == target.shape


def unit_of(model: nn.Module, name: str) -> Any:
    """The P3D unit (or separable convolution) that a tensor `...T.weight` belongs to."""
    return model.get_submodule(name.removesuffix(".T.weight"))


def inflated(tensor: Tensor, target: Tensor, *, stem: bool) -> Tensor | None:
    """The source's tensor in the target's shape, or None if it is of another network.

    A 2D kernel gains a time axis of length 1; in the stem it becomes frame 2 of 4 and the others are zero.
    Where the stem's input channels differ (flow), each gets the mean of the source's kernel over its
    channels.
    """
    if target.dim() == 5 and tensor.dim() in (2, 4):  # some old files hold 1x1 kernels with two axes
        tensor = tensor.reshape(*tensor.shape[:2], 1, *(tensor.shape[2:] or (1, 1)))
    elif target.dim() == 2 and tensor.shape[2:] == (1, 1):
        tensor = tensor.flatten(1)  # SE gates held as 1x1 convolutions
    if stem and tensor.dim() == 5:
        if tensor.shape[1] != target.shape[1]:
            tensor = tensor.mean(1, keepdim=True).repeat(1, target.shape[1], 1, 1, 1)
        if tensor.shape[2] == 1 and target.shape[2] > STEM_FRAME:
            kernel = tensor.new_zeros(*tensor.shape[:2], target.shape[2], *tensor.shape[3:])
            kernel[:, :, STEM_FRAME] = tensor[:, :, 0]
            tensor = kernel
    return tensor if tensor.shape == target.shape else None


def neutral_T(target: Tensor, *, identity: bool) -> Tensor:
    """A temporal kernel (C, C / groups, 3, 1, 1) without effect: identity in series, zero in parallel."""
    T = torch.zeros_like(target)
    if identity:
        C, C_group = target.shape[:2]
        channel = torch.arange(C, device=target.device)
        T[channel, channel % C_group, 1] = 1
    return T
