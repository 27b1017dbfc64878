"""P3D-Xception and its 2D control: Chollet 2017 with P3D depthwise convolutions.

The challenge's slides name LGD-P3D-Xception; how it becomes 3D is our choice. Layers, paddings and state-dict
order of the 2D network follow Cadene's port of the published weights, so that these fit exactly.
N clips, C channels, T frames, H x W pixels.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import relu

from lgdnet.models.folded import BatchNorm, SpatialConv, TemporalConv, add_, max_pool, relu_
from lgdnet.models.lgd import Backbone, Stem
from lgdnet.models.p3d import Kind, kinds

STEM = (32, 64)
# Output channels of the separable convolutions of each block, and whether a max-pool follows.
ENTRY = (((128, 128), True), ((256, 256), True), ((728, 728), True))
MIDDLE = (((728, 728, 728), False),) * 8
EXIT = (((728, 1024), True),)
EXIT_PAIR = (1536, 2048)


class Separable(nn.Module):
    """Depthwise S (1x3x3) and T (3x1x1) combined as a P3D unit, then a pointwise 1x1x1 that both share.

    A: T(S(x));  B: S(x) + T(x);  C: S(x) + T(S(x));  2D: S(x).
    """

    def __init__(self, C: int, C_out: int, *, kind: Kind) -> None:
        super().__init__()
        self.kind = kind
        self.S = SpatialConv(C, C, 3, groups=C)
        if kind != "2D":
            self.T = TemporalConv(C, C, groups=C)
        self.pointwise = SpatialConv(C, C_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x))

    def depthwise(self, x: Tensor) -> Tensor:
        s = self.S(x)
        if self.kind == "A":
            return self.T(s)
        if self.kind == "B":
            return s + self.T(x)
        if self.kind == "C":
            return s + self.T(s)
        return s


class XceptionStem(Stem):
    """conv (t,3,3)/(t,2,2), conv (1,3,3), no padding. (N, in_channels, T, H, W) -> (N, C, T/t, H/2, W/2)"""

    def __init__(self, in_channels: int, C_mid: int, C: int, *, t: int) -> None:
        super().__init__(in_channels, early_stride=t, min_pixels=7)
        self.conv1 = SpatialConv(in_channels, C_mid, 3, t=t, stride=2, pad=0)
        self.bn1 = BatchNorm(C_mid)
        self.conv2 = SpatialConv(C_mid, C, 3, pad=0)
        self.bn2 = BatchNorm(C)

    def forward(self, clip: Tensor) -> Tensor:
        x = relu_(self.bn1(self.conv1(clip)))
        return relu_(self.bn2(self.conv2(x)))


class Block(nn.Module):
    """F of Xception: two or three separable convolutions, a max-pool where resolution falls, and a shortcut.

    Each convolution has its ReLU in front and its BN behind, so a block ends before a ReLU. The first block
    of the network has no ReLU in front: the stem ends with one.
    """

    def __init__(
        self, C: int, widths: Sequence[int], *, kind: Kind, pool: bool, relu_first: bool = True
    ) -> None:
        super().__init__()
        self.relu_first = relu_first
        self.pool = pool
        inputs = [C, *widths[:-1]]
        self.separable = nn.ModuleList(
            Separable(C_in, C_out, kind=kind) for C_in, C_out in zip(inputs, widths, strict=True)
        )
        self.bn = nn.ModuleList(BatchNorm(C_out) for C_out in widths)
        if pool or widths[-1] != C:
            self.skip: nn.Module = SpatialConv(C, widths[-1], 1, stride=2 if pool else 1)
            self.skipbn: nn.Module = BatchNorm(widths[-1])
        else:
            self.skip = self.skipbn = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.skipbn(self.skip(x))
        for i, (separable, bn) in enumerate(zip(self.separable, self.bn, strict=True)):
            if i > 0:
                x = relu_(x)  # x is this block's own
            elif self.relu_first:
                x = relu(x)
            x = bn(separable(x))
        return max_pool(x) + shortcut if self.pool else add_(x, shortcut)  # x is this block's own


class ExitPair(nn.Module):
    """F of the last two separable convolutions, without a shortcut; it ends before a ReLU too."""

    def __init__(self, C: int, widths: tuple[int, int], *, kind: Kind) -> None:
        super().__init__()
        self.conv3 = Separable(C, widths[0], kind=kind)
        self.bn3 = BatchNorm(widths[0])
        self.conv4 = Separable(widths[0], widths[1], kind=kind)
        self.bn4 = BatchNorm(widths[1])

    def forward(self, x: Tensor) -> Tensor:
        return self.bn4(self.conv4(relu_(self.bn3(self.conv3(x)))))


def xception(*, in_channels: int, width: int = 64, units: str = "ABC", early_stride: int = 4) -> Backbone:
    """Stages: entry (3 blocks), middle (8), exit (1 and the exit pair). `width` 64 is the paper's size."""

    def scaled(channels: Sequence[int]) -> list[int]:
        return [max(C * width // 64, 1) for C in channels]

    kind = kinds(units)
    C_mid, C = scaled(STEM)
    stem = XceptionStem(in_channels, C_mid, C, t=early_stride)
    stages: list[list[tuple[nn.Module, int, int]]] = []
    for i, stage in enumerate((ENTRY, MIDDLE, EXIT)):
        stages.append([])
        for j, (channels, pool) in enumerate(stage):
            widths = scaled(channels)
            F = Block(C, widths, kind=next(kind), pool=pool, relu_first=(i, j) != (0, 0))
            stages[-1].append((F, C, widths[-1]))
            C = widths[-1]
    C_3, C_4 = scaled(EXIT_PAIR)
    stages[-1].append((ExitPair(C, (C_3, C_4), kind=next(kind)), C, C_4))
    return Backbone(stem, stages, activate=False, fresh=True)
