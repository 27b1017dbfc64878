"""P3D-ResNet and its 2D control: He 2016, Xie 2017 (ResNeXt), Hu 2018 (SE), with P3D units.

Spatial stride 2 at stages 2, 3, 4; time is reduced once, by the stem.
N clips, C channels, T frames, H x W pixels.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import relu

from lgdnet.models.folded import (
    BatchNorm,
    SpatialConv,
    add_,
    average,
    broadcast,
    fold,
    max_pool,
    relu_,
    unfold,
)
from lgdnet.models.lgd import Backbone, Stem
from lgdnet.models.p3d import Kind, P3DUnit, kinds


@dataclass(frozen=True)
class Size:
    """One row of the family's table."""

    blocks: tuple[int, int, int, int]  # residual blocks of each stage
    bottleneck: bool = True
    groups: int = 1
    group_width: int = 64  # channels of a group at stage 1, where `width` is 64
    deep_stem: bool = False
    squeeze: bool = False  # SE
    eps: float = 1e-5  # of batch norm
    stride_first: bool = False  # stride in the first 1x1x1 instead of the P3D unit
    ceil_pool: bool = False  # max-pool without padding


RESNETS = {
    "resnet18": Size((2, 2, 2, 2), bottleneck=False),
    "resnet34": Size((3, 4, 6, 3), bottleneck=False),
    "resnet50": Size((3, 4, 6, 3)),
    "resnet101": Size((3, 4, 23, 3)),
    "resnet103": Size((3, 4, 23, 3), deep_stem=True, eps=2e-5),
    "resnet152": Size((3, 8, 36, 3)),
    "resnext50-32x4d": Size((3, 4, 6, 3), groups=32, group_width=4),
    "resnext101-32x8d": Size((3, 4, 23, 3), groups=32, group_width=8),
    "wide-resnet50": Size((3, 4, 6, 3), group_width=128),
    "wide-resnet101": Size((3, 4, 23, 3), group_width=128),
    "se-resnet50": Size((3, 4, 6, 3), squeeze=True),
    "se-resnet101": Size((3, 4, 23, 3), squeeze=True),
    "se-resnet152": Size((3, 8, 36, 3), squeeze=True),
    "se-resnext50-32x4d": Size((3, 4, 6, 3), groups=32, group_width=4, squeeze=True),
    "se-resnext101-32x4d": Size((3, 4, 23, 3), groups=32, group_width=4, squeeze=True),
    # As the SENet authors trained them in Caffe, and as Cadene ported them.
    "caffe-se-resnet50": Size((3, 4, 6, 3), squeeze=True, stride_first=True, ceil_pool=True),
    "caffe-se-resnet101": Size((3, 4, 23, 3), squeeze=True, stride_first=True, ceil_pool=True),
    "caffe-se-resnet152": Size((3, 8, 36, 3), squeeze=True, stride_first=True, ceil_pool=True),
    "caffe-se-resnext50-32x4d": Size((3, 4, 6, 3), groups=32, group_width=4, squeeze=True, ceil_pool=True),
    "caffe-se-resnext101-32x4d": Size((3, 4, 23, 3), groups=32, group_width=4, squeeze=True, ceil_pool=True),
}


class PlainStem(Stem):
    """conv (t,7,7)/(t,2,2), BN, ReLU, max-pool. (N, in_channels, T, H, W) -> (N, C, T/t, H/4, W/4)

    `t` is the early stride: 4 in P3D networks, 1 without time.
    """

    def __init__(self, in_channels: int, C: int, *, t: int, size: Size) -> None:
        super().__init__(in_channels, early_stride=t, min_pixels=3 if size.ceil_pool else 1)
        self.ceil_pool = size.ceil_pool
        self.conv1 = SpatialConv(in_channels, C, 7, t=t, stride=2)
        self.bn1 = BatchNorm(C, eps=size.eps)

    def forward(self, clip: Tensor) -> Tensor:
        return max_pool(relu_(self.bn1(self.conv1(clip))), ceil=self.ceil_pool)


class DeepStem(Stem):
    """Three 3x3 convolutions instead of one 7x7, the last one twice as wide (ResNet-103)."""

    def __init__(self, in_channels: int, C: int, *, t: int, size: Size) -> None:
        super().__init__(in_channels, early_stride=t)
        eps = size.eps
        self.conv1 = SpatialConv(in_channels, C, 3, t=t, stride=2)
        self.bn1 = BatchNorm(C, eps=eps)
        self.conv2 = SpatialConv(C, C, 3)
        self.bn2 = BatchNorm(C, eps=eps)
        self.conv3 = SpatialConv(C, 2 * C, 3)
        self.bn3 = BatchNorm(2 * C, eps=eps)

    def forward(self, clip: Tensor) -> Tensor:
        x = relu_(self.bn1(self.conv1(clip)))
        x = relu_(self.bn2(self.conv2(x)))
        return max_pool(relu_(self.bn3(self.conv3(x))))


class SqueezeExcite(nn.Module):
    """x * sigmoid(W2 ReLU(W1 P(x))): one gate per channel, from the whole clip.

    A network without time knows single frames only (`per_frame`): each has gates of its own.
    """

    def __init__(self, C: int, *, per_frame: bool) -> None:
        super().__init__()
        self.per_frame = per_frame
        self.fc1 = nn.Linear(C, max(C // 16, 1))
        self.fc2 = nn.Linear(max(C // 16, 1), C)

    def forward(self, x: Tensor) -> Tensor:
        if self.per_frame:
            return unfold(self.gated(fold(x).unsqueeze(2)).squeeze(2), x.shape[2])
        return self.gated(x)

    def gated(self, x: Tensor) -> Tensor:
        return x * broadcast(self.fc2(relu(self.fc1(average(x)))).sigmoid())


class Shortcut(nn.Sequential):
    """1x1x1 convolution and BN where channels or resolution change."""

    def __init__(self, C: int, C_out: int, *, stride: int, eps: float) -> None:
        super().__init__(SpatialConv(C, C_out, 1, stride=stride), BatchNorm(C_out, eps=eps))


class Residual(nn.Module):
    """F of a residual network, its shortcut included and its last ReLU not: LGD adds to it first."""

    expansion: int

    def __init__(self, C: int, C_out: int, *, stride: int, kind: Kind, size: Size) -> None:
        super().__init__()
        if stride > 1 or C_out != C:
            self.downsample: nn.Module = Shortcut(C, C_out, stride=stride, eps=size.eps)
        else:
            self.downsample = nn.Identity()
        self.se = SqueezeExcite(C_out, per_frame=kind == "2D") if size.squeeze else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return add_(self.se(self.body(x)), self.downsample(x))  # the body's result is nobody else's

    def body(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class Basic(Residual):
    """Two P3D units (ResNet-18 and -34)."""

    expansion = 1

    def __init__(self, C: int, planes: int, *, stride: int, kind: Kind, size: Size) -> None:
        super().__init__(C, planes, stride=stride, kind=kind, size=size)
        self.unit1 = P3DUnit(C, planes, kind=kind, stride=stride, eps=size.eps)
        self.unit2 = P3DUnit(planes, planes, kind=kind, eps=size.eps, relu=False)

    def body(self, x: Tensor) -> Tensor:
        return self.unit2(self.unit1(x))


class Bottleneck(Residual):
    """1x1x1 to fewer channels, a P3D unit, 1x1x1 to more (ResNet-50 and deeper)."""

    expansion = 4

    def __init__(self, C: int, planes: int, *, stride: int, kind: Kind, size: Size) -> None:
        C_out = planes * self.expansion
        super().__init__(C, C_out, stride=stride, kind=kind, size=size)
        C_mid = max(planes * size.group_width // 64, 1) * size.groups
        first, second = (stride, 1) if size.stride_first else (1, stride)
        self.conv1 = SpatialConv(C, C_mid, 1, stride=first)
        self.bn1 = BatchNorm(C_mid, eps=size.eps)
        self.unit = P3DUnit(C_mid, C_mid, kind=kind, stride=second, groups=size.groups, eps=size.eps)
        self.conv3 = SpatialConv(C_mid, C_out, 1)
        self.bn3 = BatchNorm(C_out, eps=size.eps)

    def body(self, x: Tensor) -> Tensor:
        x = relu_(self.bn1(self.conv1(x)))
        return self.bn3(self.conv3(self.unit(x)))


def resnet(
    size: Size, *, in_channels: int, width: int = 64, units: str = "ABC", early_stride: int = 4
) -> Backbone:
    """The backbone of a row of the table; `units="2D"`, `early_stride=1` for a network on single frames."""
    stem = (DeepStem if size.deep_stem else PlainStem)(in_channels, width, t=early_stride, size=size)
    block = Bottleneck if size.bottleneck else Basic
    kind = kinds(units)
    C = 2 * width if size.deep_stem else width
    stages = []
    for i, num_blocks in enumerate(size.blocks):
        planes = width * 2**i
        stage = []
        for j in range(num_blocks):
            stride = 2 if i > 0 and j == 0 else 1
            F = block(C, planes, stride=stride, kind=next(kind), size=size)
            stage.append((F, C, planes * block.expansion))
            C = planes * block.expansion
        stages.append(stage)
    return Backbone(stem, stages, fresh=True)
