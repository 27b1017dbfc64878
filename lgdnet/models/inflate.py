"""Weights of other networks into ours: 2D kernels become 3D, RGB stems flow stems, and every tensor is
accounted for.

Layouts are the names that a state dict uses:
  torchvision   ResNet, ResNeXt, wide ResNet
  timm          timm or Cadene: Xception, ResNet, SE-ResNet, SE-ResNeXt
  release       the LGD and P3D networks of the authors' code of 2022
  lgdnet        ours: another clip length, other classes, the same network without LGD or without time
A source is a state dict or a local file; nothing is downloaded and nothing is unpickled.
"""

import json
import re
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, get_args

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from lgdnet.artefact import METADATA_KEY, file_digest
from lgdnet.errors import InputError
from lgdnet.models.folded import BatchNorm
from lgdnet.models.layouts import (
    Layout,
    has_gates,
    is_cadenes_senet,
    is_classifier,
    likely_layout,
    one_spelling,
    source_name,
)
from lgdnet.models.lgd import FORM_KEY, TwoPathNetwork
from lgdnet.models.resnet import Basic

OUR_CLASSIFIERS = ("release", "lgdnet")  # layouts whose classifiers are of LGD networks
EPS_2D = 1e-5  # of batch norm in torchvision, timm and Cadene's networks
STEM_FRAME = 2  # of the stem's 4 frames, the one that gets the 2D kernel; authors' code of 2022


class WeightsError(InputError):
    """A file that holds no weights, or the weights of another network."""


@dataclass
class Report:
    """What became of every tensor. Names are the model's; those of `left_over` are the source's."""

    loaded: list[str] = field(default_factory=list)  # copied; variances shifted where eps differs
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
    path_or_state_dict: Path | str | Mapping[str, Any],
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
    if not isinstance(model, TwoPathNetwork):
        raise WeightsError(f"expected a model of build_model to fill, found {type(model).__name__}")
    where, contents = contents_of(path_or_state_dict, sha256=sha256)
    contents = state_dict_in(contents, where)
    check_form(model, contents, layout, where)
    spelled = one_spelling(contents, layout)
    weights = {spelled[name]: tensor for name, tensor in contents.items()}
    if len(weights) < len(contents):
        twice = next(name for name, count in Counter(spelled.values()).items() if count > 1)
        both = [repr(name) for name in contents if spelled[name] == twice]
        raise WeightsError(f"{where} holds one tensor twice, as {' and as '.join(both)}; remove one of them")
    report, new, problems = match(model, weights, layout)
    if problems:
        raise WeightsError(
            f"{where} does not fit the model in layout {layout!r}; {len(problems)} tensors differ, first: "
            + "; ".join(problems[:3])
            + hint(contents, layout, problems)
        )
    with torch.no_grad():
        for name, target in model.state_dict().items():
            if name in new:
                target.copy_(new[name])
    return report


def contents_of(path_or_state_dict: object, *, sha256: str | None) -> tuple[str, Mapping[str, Any]]:
    """What to call a source in messages, and what it holds."""
    if isinstance(path_or_state_dict, str | Path):
        return str(path_or_state_dict), read_weights(Path(path_or_state_dict), sha256=sha256)
    if not isinstance(path_or_state_dict, Mapping):
        raise WeightsError(f"expected a path or a state dict, found {type(path_or_state_dict).__name__}")
    if sha256 is not None:
        raise WeightsError(
            "a sha256 is that of a file, but a state dict came; give the path or drop the sha256"
        )
    return "the state dict", path_or_state_dict


def check_form(model: TwoPathNetwork, contents: Mapping[str, Tensor], layout: Layout, where: str) -> None:
    """WeightsError where names and shapes may agree but the functions do not."""
    theirs = form_of(contents)
    for key, ours in model.form.items():
        if theirs.get(key, ours) != ours:
            raise WeightsError(
                f"{where} is of a network with {key} {theirs[key]!r}, the model's is {ours!r}; build the model "
                f"with {theirs[key]!r}"
            )
    if layout == "lgdnet":
        return
    if layout != "timm" and has_gates(contents):
        raise WeightsError(f"{where} holds an SE network; those are of layout 'timm', not {layout!r}")
    if getattr(model.stem, "ceil_pool", False) != is_cadenes_senet(contents):
        raise WeightsError(
            f"{where}: SE networks of Cadene ('layer0.' in their names) fit the models 'caffe-se-...', those of "
            "timm the models 'se-...': strides and pooling differ"
        )
    if layout != "release":
        return
    if any(isinstance(module, Basic) and module.unit2.kind != "2D" for module in model.modules()):
        raise WeightsError(
            f"{where}: the authors' basic blocks with time are not ours, so layout 'release' is for bottleneck "
            "networks; start ResNet-18 and -34 from 2D weights, layout 'torchvision'"
        )
    if model.order == "paper" and any(name.endswith("layer1.0.fc1.weight") for name in contents):
        raise WeightsError(f"{where} holds LGD maps of order 'release'; build the model with order='release'")


def form_of(contents: Mapping[str, Tensor]) -> Mapping[str, str]:
    """The `form` of the network that a state dict was taken from, as far as it says."""
    notes = getattr(
        contents, "_metadata", {}
    ).values()  # where torch keeps what a module notes beside its tensors
    return next((note[FORM_KEY] for note in notes if FORM_KEY in note), {})


def hint(contents: Mapping[str, Tensor], layout: Layout, problems: list[str]) -> str:
    """What else the source may be, where nothing says so."""
    likely = likely_layout(contents)
    if likely not in (None, layout) and not (likely == "torchvision" and layout == "timm"):
        return f". Its names look like layout {likely!r}"
    if layout == "lgdnet" and all(".W_" in problem for problem in problems):
        return ". Only LGD maps differ: is the source of the other order, 'paper' or 'release'?"
    return ""


def read_weights(path: Path, *, sha256: str | None = None) -> Mapping[str, Any]:
    """The contents of a safetensors file, or of a file of `torch.save` that holds nothing but tensors."""
    if path.is_dir():
        raise WeightsError(f"{path}: a folder; name the file of weights in it")
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; weights are local files, nothing is downloaded")
    if sha256 is not None and (found := file_digest(path)) != sha256.lower():
        raise WeightsError(f"{path}: expected sha256 {sha256}, found {found}")
    try:
        if path.suffix == ".safetensors":
            return read_safetensors(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise WeightsError(f"{path}: no safetensors file ({error})") from error
    except Exception as error:  # bytes that are no state dict can raise whatever the unpickler can
        raise WeightsError(
            f"{path}: no state dict, or one that would need unpickling, which can run code; save it again as "
            f"safetensors{unpickler_said(error)}"
        ) from error


def unpickler_said(error: Exception) -> str:
    """What a user can make something of: what the file would call, or why it is no archive."""
    called = re.search(r"GLOBAL (\S+)", str(error))
    if called is not None:
        return f" (it calls {called[1]})"
    if isinstance(error, RuntimeError) and not isinstance(error, NotImplementedError) and str(error):
        return f" ({str(error).splitlines()[0]})"
    return ""


def read_safetensors(path: Path) -> Mapping[str, Tensor]:
    """Its tensors, with the form of their network where the file says it, as `state_dict()` has it."""
    with safe_open(path, framework="pt") as file:
        contents = OrderedDict((name, file.get_tensor(name)) for name in file.keys())  # noqa: SIM118  (not a dict)
        about = json.loads((file.metadata() or {}).get(METADATA_KEY, "{}"))
    if FORM_KEY in about:
        contents._metadata = {"": {FORM_KEY: json.loads(about[FORM_KEY])}}  # type: ignore[attr-defined]
    return contents


def state_dict_in(contents: Any, where: str) -> Mapping[str, Tensor]:
    """The tensors by name: `contents`, or what lies in it under "state_dict" or "model"."""
    for key in ("state_dict", "model"):
        if isinstance(contents, Mapping) and isinstance(contents.get(key), Mapping):
            contents = contents[key]
    if not isinstance(contents, Mapping):
        raise WeightsError(f"{where}: expected tensors by name, found {type(contents).__name__}")
    if not contents:
        raise WeightsError(f"{where}: expected tensors by name, found nothing")
    for name, tensor in contents.items():
        if not isinstance(name, str):
            raise WeightsError(f"{where}: expected tensors by name; {name!r} is no name")
        if not isinstance(tensor, Tensor):
            raise WeightsError(f"{where}: expected tensors by name; {name!r} is none")
        if tensor.layout != torch.strided:
            raise WeightsError(
                f"{where}: expected plain tensors; {name!r} is {tensor.layout}; save its to_dense()"
            )
    return contents


def match(
    model: TwoPathNetwork, weights: Mapping[str, Tensor], layout: Layout
) -> tuple[Report, dict[str, Tensor], list[str]]:
    """Pair the model's tensors with the source's: a report, new values, and in words what does not fit."""
    report, new, problems = Report(), dict[str, Tensor](), list[str]()
    theirs = {name: source_name(name, model, layout) for name in model.state_dict()}
    used = set()
    present = {role_of(name) for name in theirs if theirs[name] in weights}
    for name, target in model.state_dict().items():
        tensor, role = weights.get(theirs[name]), role_of(name)
        if role == "classifier" and not classifier_fits(name, model, theirs, weights, layout):
            report.reinitialised.append(name)
            if tensor is None and twin(theirs[name]) in weights and layout in OUR_CLASSIFIERS:
                problems.append(f"{theirs[name]!r} is missing beside {twin(theirs[name])!r}")
        elif tensor is None and (role == "count" or (role in ("T", "W") and role not in present)):
            report.reinitialised.append(name)
            if role == "T":
                new[name] = neutral_T(target, identity=unit_of(model, name).kind == "A")
        elif tensor is None:
            problems.append(f"{theirs[name]!r} is missing")
        else:
            used.add(theirs[name])
            shaped = inflated(tensor, target, stem=name == "stem.conv1.weight")
            if shaped is None:
                problems.append(f"{theirs[name]!r} is {tuple(tensor.shape)}, expected {tuple(target.shape)}")
            elif flaw := flaw_of(tensor, target):
                problems.append(f"{theirs[name]!r} {flaw}")
            else:
                new[name] = of_our_eps(shaped, name, model, layout)
                (report.loaded if tensor.shape == target.shape else report.inflated).append(name)
    for name in sorted(set(weights) - used):
        if is_classifier(name, layout):
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


def classifier_fits(
    name: str, model: nn.Module, theirs: Mapping[str, str], weights: Mapping[str, Tensor], layout: Layout
) -> bool:
    """Whether to take the source's classifier that `name` is part of: all of it or nothing.

    Not ImageNet's, even where the number of classes agrees.
    """
    if layout not in OUR_CLASSIFIERS:
        return False
    single = name.startswith(("head.local.", "head.global_."))  # else with sketches beside it
    part = ".".join(name.split(".")[:2]) + "." if single else "head."
    return all(
        theirs[other] in weights and weights[theirs[other]].shape == target.shape
        for other, target in model.state_dict().items()
        if other.startswith(part)
    )


def twin(name: str) -> str:
    """The bias that belongs to a weight, the weight that belongs to a bias."""
    module, _, leaf = name.rpartition(".")
    return f"{module}.{'bias' if leaf == 'weight' else 'weight'}"


def flaw_of(tensor: Tensor, target: Tensor) -> str:
    """What makes a tensor useless as a value of `target`, in words; nothing if it is well."""
    if tensor.is_complex() or (target.is_floating_point() and not tensor.is_floating_point()):
        return f"is {str(tensor.dtype).removeprefix('torch.')}, expected real numbers"
    if target.is_floating_point() and not tensor.to(target.dtype).isfinite().all():
        return "holds NaN or infinity"
    return ""


def of_our_eps(tensor: Tensor, name: str, model: nn.Module, layout: Layout) -> Tensor:
    """A running variance such that var + our eps is what the 2D network divides by (ResNet-103: 2e-5 here)."""
    if layout not in ("torchvision", "timm") or not name.endswith(".running_var"):
        return tensor
    eps = cast(BatchNorm, model.get_submodule(name.removesuffix(".running_var"))).eps
    return tensor if eps == EPS_2D else tensor + (EPS_2D - eps)


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
