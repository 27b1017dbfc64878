"""From both paths to class scores, and the loss of two-classifier training.

N clips, C channels, T frames, H x W pixels, K classes; D the width of the global path, d of a sketch.
`x` is the local path's last feature map (N, C, T, H, W), `g` the global path's last vector (N, D), or None in
a network without LGD.
"""

from contextlib import nullcontext
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgdnet.models.folded import average


class Output(NamedTuple):
    """What a network says about N clips. Logits are before softmax; features are what the head pooled."""

    logits: Tensor  # (N, K), of the head as chosen
    features_local: Tensor  # (N, C): P(x)
    features_global: Tensor | None  # (N, D): g; None in a network without LGD
    logits_local: Tensor | None = None  # (N, K) of the local classifier, where the head has one
    logits_global: Tensor | None = None  # (N, K) of the global classifier, where the head has one


class Classifier(nn.Sequential):
    """Dropout, then one linear map to the classes."""

    def __init__(self, C: int, num_classes: int, dropout: float) -> None:
        super().__init__(nn.Dropout(dropout), nn.Linear(C, num_classes))


class LocalHead(nn.Module):
    """One classifier on the local path; what the authors' code of 2022 tests with."""

    def __init__(self, C: int, D: int | None, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.local = Classifier(C, num_classes, dropout)

    def forward(self, x: Tensor, g: Tensor | None) -> Output:
        features = average(x)
        logits = self.local(features)
        return Output(logits, features, g, logits_local=logits)


class GlobalHead(nn.Module):
    """One classifier on the global path."""

    def __init__(self, C: int, D: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.global_ = Classifier(D, num_classes, dropout)

    def forward(self, x: Tensor, g: Tensor) -> Output:
        logits = self.global_(g)
        return Output(logits, average(x), g, logits_global=logits)


class SumHead(nn.Module):
    """Two classifiers, each trained with its own loss (authors' code of 2022); at test the mean of logits."""

    def __init__(self, C: int, D: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.local = Classifier(C, num_classes, dropout)
        self.global_ = Classifier(D, num_classes, dropout)

    def forward(self, x: Tensor, g: Tensor) -> Output:
        features = average(x)
        logits_local, logits_global = self.local(features), self.global_(g)
        return Output((logits_local + logits_global) / 2, features, g, logits_local, logits_global)


class ConcatHead(nn.Module):
    """One classifier on the features of both paths side by side."""

    def __init__(self, C: int, D: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.both = Classifier(C + D, num_classes, dropout)

    def forward(self, x: Tensor, g: Tensor) -> Output:
        features = average(x)
        return Output(self.both(torch.cat([features, g], dim=1)), features, g)


class TensorSketch(nn.Module):
    """phi with E<phi(a), phi(b)> = <a, b>^2: Pham and Pagh, KDD 2013. (..., C) -> (..., d)

    Two count sketches, convolved by FFT, in float32 or wider whatever the autocast. The hashes are drawn from
    `seed` and stored with the weights.
    """

    hash: Tensor  # (2, C) int64: the entry of each channel, for both count sketches
    sign: Tensor  # (2, C) +-1

    def __init__(self, C: int, d: int, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.d = d
        self.register_buffer("hash", torch.randint(d, (2, C), generator=generator))
        self.register_buffer("sign", torch.randint(2, (2, C), generator=generator).float() * 2 - 1)

    def forward(self, a: Tensor) -> Tensor:
        return torch.fft.irfft(self.spectrum(a), n=self.d)

    def spectrum(self, a: Tensor) -> Tensor:
        """FFT of the sketch; linear steps such as a mean over positions are cheaper before the inverse."""
        kind = a.device.type  # "meta" computes nothing and knows no autocast
        with nullcontext() if kind == "meta" else torch.autocast(kind, enabled=False):
            a = a if a.dtype == torch.float64 else a.float()
            one, two = (torch.fft.rfft(self.count_sketch(a, i)) for i in range(2))
            return one * two

    def count_sketch(self, a: Tensor, i: int) -> Tensor:
        """Channel c is added, with its sign, to the entry that its hash names. (..., C) -> (..., d)"""
        sketch = a.new_zeros(*a.shape[:-1], self.d)
        return sketch.index_add(-1, self.hash[i], a * self.sign[i].to(a.dtype))


class KernelHead(nn.Module):
    """Kernelized classifier on both paths: the LGD paper's idea; these details are our choice.

    A second-order polynomial kernel on either path, made explicit by Tensor Sketch; the local sketch is
    averaged over positions. Then signed square root, L2, dropout, linear.
    """

    def __init__(self, C: int, D: int | None, num_classes: int, dropout: float, *, d: int = 8192) -> None:
        super().__init__()
        self.sketch_local = TensorSketch(C, d, seed=1)
        self.sketch_global = TensorSketch(D, d, seed=2) if D else None
        self.both = Classifier(d * (2 if D else 1), num_classes, dropout)

    def forward(self, x: Tensor, g: Tensor | None) -> Output:
        positions = x.flatten(2).transpose(1, 2)  # (N, T * H * W, C)
        phi = torch.fft.irfft(self.sketch_local.spectrum(positions).mean(1), n=self.sketch_local.d)  # (N, d)
        if self.sketch_global is not None:
            phi = torch.cat([phi, self.sketch_global(g)], dim=1)  # (N, 2 d)
        phi = F.normalize(signed_sqrt(phi))
        return Output(self.both(phi), average(x), g)


def signed_sqrt(a: Tensor) -> Tensor:
    """sign(a) sqrt(|a|), with a finite slope at 0."""
    return a * (a.abs() + 1e-6).rsqrt()


HEADS: dict[str, type[nn.Module]] = {
    "local": LocalHead,
    "global": GlobalHead,
    "sum": SumHead,
    "concat": ConcatHead,
    "kernel": KernelHead,
}
NEEDS_GLOBAL = frozenset({"global", "concat"})  # heads that mean nothing without LGD; "sum" is then "local"


def training_loss(output: Output, target: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """CE(local) + CE(global) where the head has two classifiers, else CE of its logits; a mean over clips.

    `target` is (N,) int64, or (N, K) probabilities (MixUp, CutMix).
    """
    if output.logits_local is None or output.logits_global is None:
        return F.cross_entropy(output.logits, target, label_smoothing=label_smoothing)
    local = F.cross_entropy(output.logits_local, target, label_smoothing=label_smoothing)
    return local + F.cross_entropy(output.logits_global, target, label_smoothing=label_smoothing)
