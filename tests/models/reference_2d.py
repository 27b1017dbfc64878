"""Small 2D networks with the tensor names of torchvision and of timm, written independently of lgdnet."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn


def conv(C, C_out, k, stride=1, groups=1, padding=None):
    return nn.Conv2d(C, C_out, k, stride, k // 2 if padding is None else padding, groups=groups, bias=False)


class ResidualBlock(nn.Module):
    def __init__(self, C, planes, stride, bottleneck, groups, base_width, squeeze, stride_first):
        super().__init__()
        C_out, C_mid = (planes * 4, planes * base_width // 64 * groups) if bottleneck else (planes, planes)
        self.bottleneck = bottleneck
        if bottleneck:
            first, second = (stride, 1) if stride_first else (1, stride)
            self.conv1, self.bn1 = conv(C, C_mid, 1, first), nn.BatchNorm2d(C_mid)
            self.conv2, self.bn2 = conv(C_mid, C_mid, 3, second, groups), nn.BatchNorm2d(C_mid)
            self.conv3, self.bn3 = conv(C_mid, C_out, 1), nn.BatchNorm2d(C_out)
        else:
            self.conv1, self.bn1 = conv(C, planes, 3, stride), nn.BatchNorm2d(planes)
            self.conv2, self.bn2 = conv(planes, planes, 3), nn.BatchNorm2d(planes)
        if squeeze:
            self.se = nn.Module()
            self.se.fc1, self.se.fc2 = nn.Conv2d(C_out, C_out // 16, 1), nn.Conv2d(C_out // 16, C_out, 1)
        self.downsample = None
        if stride > 1 or C_out != C:
            self.downsample = nn.Sequential(conv(C, C_out, 1, stride), nn.BatchNorm2d(C_out))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.bottleneck:
            y = self.bn3(self.conv3(F.relu(y)))
        if hasattr(self, "se"):
            y = y * self.se.fc2(F.relu(self.se.fc1(y.mean((2, 3), keepdim=True)))).sigmoid()
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """torchvision's names; returns pooled features. `caffe`: None, "resnet" or "resnext", the SENet authors' forms."""

    def __init__(
        self, blocks, *, bottleneck=True, width=64, groups=1, base_width=64, squeeze=False, caffe=None
    ):
        super().__init__()
        self.caffe = caffe
        self.conv1, self.bn1 = conv(3, width, 7, 2), nn.BatchNorm2d(width)
        C, form = width, (bottleneck, groups, base_width, squeeze, caffe == "resnet")
        for i, num_blocks in enumerate(blocks):
            layer = []
            for j in range(num_blocks):
                layer.append(ResidualBlock(C, width * 2**i, 2 if i > 0 and j == 0 else 1, *form))
                C = width * 2**i * (4 if bottleneck else 1)
            setattr(self, f"layer{i + 1}", nn.Sequential(*layer))
        self.fc = nn.Linear(C, 1000)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.max_pool2d(x, 3, 2, ceil_mode=True) if self.caffe else F.max_pool2d(x, 3, 2, 1)
        return self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean((2, 3))


class SeparableConv2d(nn.Module):
    def __init__(self, C, C_out):
        super().__init__()
        self.conv1, self.pointwise = conv(C, C, 3, groups=C), conv(C, C_out, 1)

    def forward(self, x):
        return self.pointwise(self.conv1(x))


class Xception(nn.Module):
    """timm's names; returns pooled features."""

    def __init__(self, width=64):
        super().__init__()
        w = lambda C: C * width // 64  # noqa: E731
        self.conv1, self.bn1 = conv(3, w(32), 3, 2, padding=0), nn.BatchNorm2d(w(32))
        self.conv2, self.bn2 = conv(w(32), w(64), 3, padding=0), nn.BatchNorm2d(w(64))
        sizes = [(64, 128, 128), (128, 256, 256), (256, 728, 728)] + [(728,) * 4] * 8 + [(728, 728, 1024)]
        for i, channels in enumerate(sizes, 1):
            block, rep = nn.Module(), []
            for C, C_out in pairwise(channels):
                rep += [nn.ReLU(), SeparableConv2d(w(C), w(C_out)), nn.BatchNorm2d(w(C_out))]
            if len(channels) == 3:
                rep.append(nn.MaxPool2d(3, 2, 1))
                block.skip, block.skipbn = (
                    conv(w(channels[0]), w(channels[-1]), 1, 2),
                    nn.BatchNorm2d(w(channels[-1])),
                )
            block.rep = nn.Sequential(*(rep[1:] if i == 1 else rep))
            setattr(self, f"block{i}", block)
        self.conv3, self.bn3 = SeparableConv2d(w(1024), w(1536)), nn.BatchNorm2d(w(1536))
        self.conv4, self.bn4 = SeparableConv2d(w(1536), w(2048)), nn.BatchNorm2d(w(2048))
        self.fc = nn.Linear(w(2048), 1000)

    def forward(self, x):
        x = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        for i in range(1, 13):
            block = getattr(self, f"block{i}")
            x = block.rep(x) + (block.skipbn(block.skip(x)) if hasattr(block, "skip") else x)
        x = F.relu(self.bn3(self.conv3(x)))
        return F.relu(self.bn4(self.conv4(x))).mean((2, 3))


def cadenes(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Names of timm -> names of Cadene's SENet."""
    renamed = {}
    for name, tensor in state.items():
        name = name.replace(".se.", ".se_module.")
        name = name.replace("fc.", "last_linear.") if name.startswith("fc.") else name
        renamed[name if name.startswith(("layer", "last_linear")) else f"layer0.{name}"] = tensor
    return renamed
