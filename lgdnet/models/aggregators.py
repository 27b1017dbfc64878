"""From the views of a video to one row of scores: pooling, and networks over the features of its clips.

Scores stay logarithms, so that a confident network keeps the order of all its classes.

N videos, V views (clips in order of time; times crops), T clips, S streams, D channels, K classes.
Features are (N, T, D): a 1x1 convolution over time is then a plain linear layer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from lgdnet.softmax import log_mean, log_softmax

Pooled = Literal["scores", "logits"]


def average_pool(logits: np.ndarray, *, of: Pooled = "scores") -> np.ndarray:
    """AP of the slides: the mean of the clips. (N, V, K) logits -> (N, K) log-scores.

    `scores` averages after softmax (the slides), `logits` before (the authors' released script). Averaging
    features and classifying once is the same as `logits` for every linear classifier.
    """
    if of == "logits":
        return log_softmax(logits.mean(axis=1))
    N, V = logits.shape[:2]
    return log_mean(log_softmax(logits).swapaxes(0, 1), np.full((V, N), 1 / V))


def max_pool(logits: np.ndarray) -> np.ndarray:
    """Control: the best moment of each class decides. (N, V, K) logits -> (N, K) log-scores."""
    return log_softmax(logits.max(axis=1))


class TemporalConv(nn.Conv1d):
    """Conv1d of kernel 3 over (N, T, D), as one matrix product: the form that is fastest on a CPU."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, kernel_size=3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        padded = nn.functional.pad(x, (0, 0, 1, 1))  # (N, T + 2, D)
        windows = torch.cat([padded[:, :-2], padded[:, 1:-1], padded[:, 2:]], dim=2)  # (N, T, 3 D)
        return nn.functional.linear(windows, self.weight.permute(0, 2, 1).flatten(1))


class Norm(nn.BatchNorm1d):
    """Batch normalisation of each channel of (N, T, D), over videos and time."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(0, -2)).view(x.shape)


class InputNorm(Norm):
    """Of features from a file: without scale and shift, which the linear layer behind it has anyway.

    So there is nothing to send gradients to, which halves the time of a small TCP on a CPU.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.contiguous())


class Unit(nn.Module):
    """Residual unit of two k=3 temporal convolutions. It starts as the identity (last norm zero, our choice)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = TemporalConv(width), Norm(width)
        self.conv2, self.norm2 = TemporalConv(width), Norm(width)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(x + self.norm2(self.conv2(y)))


class Trunk(nn.Module):
    """1x1 convolution to `width`, two residual units, mean over time, dropout, K: (N, T, D) -> (N, K)."""

    def __init__(self, in_width: int, num_classes: int, *, width: int, dropout: float) -> None:
        super().__init__()
        self.project = nn.Linear(in_width, width, bias=False)
        self.norm = Norm(width)
        self.units = nn.Sequential(Unit(width), Unit(width))
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.units(torch.relu(self.norm(self.project(x))))  # (N, T, width)
        return self.classifier(self.dropout(x.mean(dim=1)))


class TCP(nn.Module):
    """Temporal convolutional pooling over one stream: a normalisation and the trunk."""

    def __init__(
        self, widths: Sequence[int], num_classes: int, *, width: int = 1024, dropout: float = 0.5, **_: float
    ) -> None:
        super().__init__()
        (in_width,) = widths
        self.in_width = in_width
        self.norm = InputNorm(in_width)
        self.trunk = Trunk(in_width, num_classes, width=width, dropout=dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, D + 1) features and presence -> (N, K) logits."""
        return self.trunk(self.norm(x[..., : self.in_width]))


class MultiStreamTCP(nn.Module):
    """TCP over several streams with aligned clips: one projection each, joined at every position.

    The input holds the streams' features side by side and last one channel per stream that is 1 where the
    video has the stream. Missing streams take no part in normalisation and count as zero after it; the others
    are scaled up for them. In training whole streams are dropped at random, never all of a video.
    """

    def __init__(
        self,
        widths: Sequence[int],
        num_classes: int,
        *,
        width: int = 1024,
        dropout: float = 0.5,
        stream_width: int = 512,
        stream_dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.widths = list(widths)
        self.stream_dropout = stream_dropout
        self.norms = nn.ModuleList(InputNorm(w) for w in widths)
        self.stream_width = stream_width
        self.projections = nn.ModuleList(nn.Linear(w, stream_width) for w in widths)
        self.trunk = Trunk(stream_width * len(widths), num_classes, width=width, dropout=dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, sum of D + S) features and presence -> (N, K) logits."""
        *features, presence = x.split([*self.widths, len(self.widths)], dim=2)
        present = presence[:, 0] > 0  # (N, S)
        kept = self.keep_some(present) if self.training else present
        scale = len(self.widths) / kept.sum(dim=1).clamp(min=1)  # (N,)
        joined = []
        for s, (norm, project) in enumerate(zip(self.norms, self.projections, strict=True)):
            projected = x.new_zeros(*x.shape[:2], self.stream_width)  # (N, T, stream_width)
            rows = present[:, s].nonzero()[:, 0]
            if len(rows):
                projected = projected.index_copy(0, rows, torch.relu(project(norm(features[s][rows]))))
            joined.append(projected * (kept[:, s] * scale)[:, None, None])
        return self.trunk(torch.cat(joined, dim=2))

    def keep_some(self, present: Tensor) -> Tensor:
        """Which of the present streams take part in this step; at least one of each video. (N, S) bool"""
        chance = torch.rand(present.shape, device=present.device).masked_fill(~present, -1.0)
        best = chance == chance.amax(dim=1, keepdim=True)
        return present & ((chance >= self.stream_dropout) | best)


class AttentionPool(nn.Module):
    """Control: a learned weight per clip, and a linear classifier on the weighted mean."""

    def __init__(
        self, widths: Sequence[int], num_classes: int, *, width: int = 1024, dropout: float = 0.5, **_: float
    ) -> None:
        super().__init__()
        (self.in_width,) = widths
        self.norm = InputNorm(self.in_width)
        hidden = max(width // 8, 1)
        self.attention = nn.Sequential(nn.Linear(self.in_width, hidden), nn.Tanh(), nn.Linear(hidden, 1))
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(self.in_width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, D + 1) -> (N, K)."""
        x = self.norm(x[..., : self.in_width])
        weights = self.attention(x).softmax(dim=1)  # (N, T, 1)
        return self.classifier(self.dropout((weights * x).sum(dim=1)))


class LinearOnMean(nn.Module):
    """Control: a linear classifier on the mean of the clips' features. It sees no order in time."""

    def __init__(self, widths: Sequence[int], num_classes: int, *, dropout: float = 0.5, **_: float) -> None:
        super().__init__()
        (self.in_width,) = widths
        self.norm = InputNorm(self.in_width)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(self.in_width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, D + 1) -> (N, K)."""
        return self.classifier(self.dropout(self.norm(x[..., : self.in_width].mean(dim=1))))


@dataclass(frozen=True)
class Aggregator:
    """One way from views to a video: a pool of the network's own logits, or a network over features."""

    pool: Callable[..., np.ndarray] | None = None
    network: Callable[..., nn.Module] | None = None
    many_streams: bool = False


AGGREGATORS = {
    "average_pool": Aggregator(pool=average_pool),
    "max_pool": Aggregator(pool=max_pool),
    "tcp": Aggregator(network=TCP),
    "attention_pool": Aggregator(network=AttentionPool),
    "linear": Aggregator(network=LinearOnMean),
    "multi_stream_tcp": Aggregator(network=MultiStreamTCP, many_streams=True),
}
