"""How other code names the tensors of these networks: a table of replacements for each family.

Our names read `stages.1.0.F.unit.S.weight`, `stages.1.0.W_xg.0.weight`. Those of torchvision and of the
authors' release read `layer2.0.conv2.weight`, `layer2.0.fc5.weight`; timm's and Cadene's Xception
`block4.rep.1.conv1.weight`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from torch import nn

from lgdnet.models.xception import XceptionStem

Layout = Literal["torchvision", "timm", "release", "lgdnet"]
Replacement = tuple[str, str | Callable[[re.Match[str]], str]]

FIRST_FC = {"W_gx": 1, "W_gg": 3, "W_xg": 5}  # first of the two Linear layers of each map

# Ours -> torchvision's, and the authors' for what torchvision lacks (T, the LGD maps, the global classifier).
RESNET_NAMES: list[Replacement] = [
    (r"^stem\.", ""),
    (r"^stages\.(\d+)\.(\d+)\.(?:F\.)?", lambda m: f"layer{int(m[1]) + 1}.{m[2]}."),
    (r"\.unit(\d?)\.S\.", lambda m: f".conv{m[1] or 2}."),
    (r"\.unit(\d?)\.T\.", lambda m: f".conv{m[1] or 2}_t."),
    (r"\.unit(\d?)\.bn\.", lambda m: f".bn{m[1] or 2}."),
    (r"\.(W_gx|W_gg|W_xg)\.([01])\.", lambda m: f".fc{FIRST_FC[m[1]] + int(m[2])}."),
    (r"^head\.local\.1\.", "fc."),
    (r"^head\.global_\.1\.", "fc_g."),
]

# Ours -> timm's. The ReLU in front of a block, which only the first block lacks, counts as rep.0.
XCEPTION_NAMES: list[Replacement] = [
    (r"^stem\.", ""),
    (r"^stages\.2\.1\.F\.", ""),  # the exit pair stands outside of the blocks
    (r"^stages\.(\d)\.(\d)\.F\.", lambda m: f"block{(1, 4, 12)[int(m[1])] + int(m[2])}."),
    (r"^(block\d+)\.separable\.(\d)\.", lambda m: f"{m[1]}.rep.{rep(m[1], m[2])}."),
    (r"^(block\d+)\.bn\.(\d)\.", lambda m: f"{m[1]}.rep.{rep(m[1], m[2]) + 1}."),
    (r"\.S\.", ".conv1."),
    (r"^head\.local\.1\.", "fc."),
]

# Theirs -> one spelling: Cadene's SENet and Xception, timm's SE and deep stem.
TIMM_SPELLINGS: list[Replacement] = [
    (r"^layer0\.", ""),
    (r"\.se_module\.", ".se."),
    (r"^last_linear\.", "fc."),
]
DEEP_STEM_OF_TIMM = {
    "conv1.0": "conv1",
    "conv1.1": "bn1",
    "conv1.3": "conv2",
    "conv1.4": "bn2",
    "conv1.6": "conv3",
    "bn1": "bn3",
}


def rep(block: str, i: str) -> int:
    """Position of the i-th separable convolution in `rep`: each brings a ReLU and a BN."""
    return 3 * int(i) + (block != "block1")


def source_name(name: str, model: nn.Module, layout: Layout) -> str:
    """What the source calls one of our tensors."""
    if layout == "lgdnet":
        return name
    return replaced(name, XCEPTION_NAMES if isinstance(model.stem, XceptionStem) else RESNET_NAMES)


def one_spelling(names: Iterable[str], layout: Layout) -> dict[str, str]:
    """For each name of a source that of `source_name`: without wrappers, in one spelling."""
    named = {name: name.removeprefix("module.") for name in names}
    if layout != "timm":
        return named
    if "conv1.0.weight" in named.values():
        named = {name: rename_module(bare, DEEP_STEM_OF_TIMM) for name, bare in named.items()}
    return {name: replaced(bare, TIMM_SPELLINGS) for name, bare in named.items()}


def is_classifier(name: str, layout: Layout) -> bool:
    """Whether a tensor of a source, in one spelling, is of a classifier: the one thing that may be left over."""
    ours = r"head\.((local|global_|both)\.1\.(weight|bias)|sketch_(local|global)\.(hash|sign))"
    return re.fullmatch(ours if layout == "lgdnet" else r"fc(_g)?\.(weight|bias)", name) is not None


def is_cadenes_senet(names: Iterable[str]) -> bool:
    """Whether these are the SENet authors' networks, whose strides and pooling are Caffe's."""
    return any(name.removeprefix("module.").startswith("layer0.") for name in names)


def has_gates(names: Iterable[str]) -> bool:
    """Whether these are networks with squeeze and excitation."""
    return any(".se." in name or ".se_module." in name for name in names)


def likely_layout(names: Iterable[str]) -> Layout | None:
    """The layout that these names look like."""
    bare = [name.removeprefix("module.") for name in names]
    marks: list[tuple[Layout, str]] = [
        ("lgdnet", r"(stem|stages\.\d+\.\d+)\."),
        ("timm", r"layer0\.|block\d+\.|conv1\.0\.|.*\.se(_module)?\."),
        ("release", r"layer\d\.\d+\.(conv\d_t|fc\d)\."),
        ("torchvision", r"layer\d\.\d+\."),
    ]
    return next((layout for layout, mark in marks if any(re.match(mark, name) for name in bare)), None)


def replaced(name: str, replacements: Iterable[Replacement]) -> str:
    """All replacements, one after the other."""
    for pattern, new in replacements:
        name = re.sub(pattern, new, name)
    return name


def rename_module(name: str, modules: Mapping[str, str]) -> str:
    """`conv1.0.weight` -> `conv1.weight` where the table says so."""
    module, _, leaf = name.rpartition(".")
    return f"{modules.get(module, module)}.{leaf}"
