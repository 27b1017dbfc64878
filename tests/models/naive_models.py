"""Independent references for the tests and benchmarks: plain `nn.Conv3d`, `nn.BatchNorm3d`, no tricks.

`NaiveLGDResNet` names its tensors like the authors' release, `NaiveXception` like timm with `_t` for time.
The 2D references take a state dict and compute with functions only. N clips, C channels, T frames, H x W
pixels.
"""

from itertools import pairwise

import torch.nn.functional as F
from torch import nn


def conv(C, C_out, kernel, stride=1, groups=1, padding=None):
    padding = tuple(k // 2 for k in kernel) if padding is None else padding
    return nn.Conv3d(C, C_out, kernel, stride=(1, stride, stride), padding=padding, groups=groups, bias=False)


class Bottleneck(nn.Module):
    def __init__(self, C, C_mid, C_out, stride, kind, groups, order):
        super().__init__()
        self.kind, self.order, r = kind, order, C_out // 16
        self.conv1, self.bn1 = conv(C, C_mid, (1, 1, 1)), nn.BatchNorm3d(C_mid)
        self.conv2 = conv(C_mid, C_mid, (1, 3, 3), stride, groups)
        if kind:
            self.conv2_t = conv(C_mid, C_mid, (3, 1, 1), stride if kind == "B" else 1, groups)
        self.bn2 = nn.BatchNorm3d(C_mid)
        self.conv3, self.bn3 = conv(C_mid, C_out, (1, 1, 1)), nn.BatchNorm3d(C_out)
        if stride > 1 or C_out != C:
            self.downsample = nn.Sequential(conv(C, C_out, (1, 1, 1), stride), nn.BatchNorm3d(C_out))
        if order:
            self.fc1, self.fc2 = nn.Linear(C_out if order == "paper" else C, r), nn.Linear(r, C_out)
            self.fc3, self.fc4 = nn.Linear(C, r), nn.Linear(r, C_out)
            self.fc5, self.fc6 = nn.Linear(C if order == "paper" else C_out, r), nn.Linear(r, C_out)

    def residual(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        if self.kind == "A":
            y = F.relu(self.bn2(self.conv2_t(self.conv2(y))))
        elif self.kind == "B":
            y = F.relu(self.bn2(self.conv2(y) + self.conv2_t(y)))
        else:
            y = F.relu(self.bn2(self.conv2(y)))
            y = F.relu(y + self.conv2_t(y)) if self.kind == "C" else y
        y = self.bn3(self.conv3(y))
        return y + (self.downsample(x) if hasattr(self, "downsample") else x)

    def forward(self, x, g):
        if self.order == "release":
            g = F.relu(self.fc2(self.fc1(x.mean((2, 3, 4)))) + self.fc4(self.fc3(g)))
        x_new = self.residual(x)
        if self.order:
            x_new = x_new + self.fc6(self.fc5(g)).reshape(*x_new.shape[:2], 1, 1, 1)
        x_new = F.relu(x_new)
        if self.order == "paper":
            g = F.relu(self.fc2(self.fc1(x_new.mean((2, 3, 4)))) + self.fc4(self.fc3(g)))
        return x_new, g


class NaiveLGDResNet(nn.Module):
    """Bottleneck networks with the "sum" head; order None is P3D without LGD."""

    def __init__(
        self, blocks=(3, 4, 6, 3), *, num_classes, order, width=64, in_channels=3, groups=1, group_width=64
    ):
        super().__init__()
        self.order = order
        self.conv1 = nn.Conv3d(in_channels, width, (4, 7, 7), stride=(4, 2, 2), padding=(0, 3, 3), bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.pool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))
        C, count = width, 0
        for i, num_blocks in enumerate(blocks):
            C_mid, C_out, layer = width * 2**i * group_width // 64 * groups, 4 * width * 2**i, nn.ModuleList()
            for j in range(num_blocks):
                kind = "ABC"[count % 3]
                layer.append(Bottleneck(C, C_mid, C_out, 2 if i and not j else 1, kind, groups, order))
                C, count = C_out, count + 1
            setattr(self, f"layer{i + 1}", layer)
        self.fc = nn.Linear(C, num_classes)
        if order:
            self.fc_g = nn.Linear(C, num_classes)

    def forward(self, clip):
        x = self.pool(F.relu(self.bn1(self.conv1(clip))))
        g = x.mean((2, 3, 4))
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in layer:
                x, g = block(x, g)
        local = self.fc(x.mean((2, 3, 4)))
        return (local + self.fc_g(g)) / 2 if self.order else local


class Separable(nn.Module):
    def __init__(self, C, C_out, kind):
        super().__init__()
        self.kind = kind
        self.conv1 = conv(C, C, (1, 3, 3), groups=C)
        self.conv1_t = conv(C, C, (3, 1, 1), groups=C)
        self.pointwise = conv(C, C_out, (1, 1, 1))

    def forward(self, x):
        s = self.conv1(x)
        if self.kind == "A":
            return self.pointwise(self.conv1_t(s))
        return self.pointwise(s + self.conv1_t(x if self.kind == "B" else s))


class NaiveXception(nn.Module):
    """LGD-P3D-Xception with the "sum" head in order "paper", or without LGD."""

    def __init__(self, *, num_classes, lgd, in_channels=3, width=64):
        super().__init__()
        self.lgd = lgd
        w = lambda C: C * width // 64  # noqa: E731
        self.conv1 = nn.Conv3d(in_channels, w(32), (4, 3, 3), stride=(4, 2, 2), bias=False)
        self.bn1 = nn.BatchNorm3d(w(32))
        self.conv2 = nn.Conv3d(w(32), w(64), (1, 3, 3), bias=False)
        self.bn2 = nn.BatchNorm3d(w(64))
        middle = [(728, (728, 728, 728), 1)] * 8
        blocks = [
            (64, (128,) * 2, 2),
            (128, (256,) * 2, 2),
            (256, (728,) * 2, 2),
            *middle,
            (728, (728, 1024), 2),
        ]
        widths = [w(64)]
        for i, (C, channels, stride) in enumerate(blocks):
            rep, kind, C_in = [], "ABC"[i % 3], w(C)
            for C_out in map(w, channels):
                rep += [nn.ReLU(), Separable(C_in, C_out, kind), nn.BatchNorm3d(C_out)]
                C_in = C_out
            rep += [nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))] if stride == 2 else []
            block = nn.Module()
            block.rep = nn.Sequential(*(rep[1:] if i == 0 else rep))
            if stride == 2:
                block.skip, block.skipbn = conv(w(C), C_in, (1, 1, 1), 2), nn.BatchNorm3d(C_in)
            setattr(self, f"block{i + 1}", block)
            widths.append(C_in)
        self.conv3, self.bn3 = Separable(w(1024), w(1536), "A"), nn.BatchNorm3d(w(1536))
        self.conv4, self.bn4 = Separable(w(1536), w(2048), "A"), nn.BatchNorm3d(w(2048))
        widths.append(w(2048))
        self.fc = nn.Linear(w(2048), num_classes)
        if lgd:
            self.fc_g = nn.Linear(w(2048), num_classes)
            pairs = list(pairwise(widths))
            self.W_xg, self.W_gx, self.W_gg = (
                nn.ModuleList(nn.Sequential(nn.Linear(A, B // 16), nn.Linear(B // 16, B)) for A, B in each)
                for each in (pairs, [(B, B) for _, B in pairs], pairs)
            )

    def transform(self, i, x):
        if i == 13:
            return self.bn4(self.conv4(F.relu(self.bn3(self.conv3(x)))))
        block = getattr(self, f"block{i}")
        return block.rep(x) + (block.skipbn(block.skip(x)) if hasattr(block, "skip") else x)

    def forward(self, clip):
        x = F.relu(self.bn1(self.conv1(clip)))
        x = F.relu(self.bn2(self.conv2(x)))
        g = x.mean((2, 3, 4))
        for i in range(13):
            x = self.transform(i + 1, x)
            if self.lgd:
                x = x + self.W_xg[i](g)[:, :, None, None, None]
                g = F.relu(self.W_gx[i](F.relu(x).mean((2, 3, 4))) + self.W_gg[i](g))
        local = self.fc(F.relu(x).mean((2, 3, 4)))
        return (local + self.fc_g(g)) / 2 if self.lgd else local
