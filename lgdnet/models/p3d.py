"""Pseudo-3D units: a spatial 1x3x3 convolution S and a temporal 3x1x1 convolution T, combined in three ways.

Qiu et al., "Learning Spatio-Temporal Representation with Pseudo-3D Residual Networks", ICCV 2017
(arXiv 1711.10305), section 3.2; where BN and ReLU stand follows the authors' code of 2022.
N clips, C channels, T frames, H x W pixels.
"""

from collections.abc import Iterator
from itertools import cycle
from typing import Literal, get_args

from torch import Tensor, nn

from lgdnet.models.folded import BatchNorm, SpatialConv, TemporalConv, relu_

Kind = Literal["A", "B", "C", "2D"]


def kinds(units: str) -> Iterator[Kind]:
    """The kind of each residual block, counted over the whole network: "ABC" cycles, "A" is a P3D-A network.

    "2D" is a network without time.
    """
    for kind in cycle([units] if units == "2D" else units):
        if kind not in get_args(Kind):
            raise ValueError(f"no P3D unit {kind!r}; there are A, B, C")
        yield kind  # type: ignore[misc]


class P3DUnit(nn.Module):
    """S, T and one BN. `relu` says whether the unit ends with a ReLU.

    A, in series:    BN(T(S(x)))                     S carries the spatial stride
    B, in parallel:  BN(S(x) + T(x))                 both carry it
    C, in both:      a + T(a),  a = ReLU(BN(S(x)))   T has no BN; a is without ReLU where the unit is
    2D:              BN(S(x))
    """

    def __init__(
        self,
        C: int,
        C_out: int,
        *,
        kind: Kind,
        stride: int = 1,
        groups: int = 1,
        eps: float = 1e-5,
        relu: bool = True,
    ) -> None:
        super().__init__()
        self.kind = kind
        self.relu = relu
        self.S = SpatialConv(C, C_out, 3, stride=stride, groups=groups)
        if kind == "B":
            self.T = TemporalConv(C, C_out, stride=stride, groups=groups)
        elif kind in ("A", "C"):
            self.T = TemporalConv(C_out, C_out, groups=groups)
        self.bn = BatchNorm(C_out, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "A":
            x = self.bn(self.T(self.S(x)))
        elif self.kind == "B":
            x = self.bn(self.S(x) + self.T(x))
        elif self.kind == "C":
            a = self.activate(self.bn(self.S(x)))
            x = a + self.T(a)
        else:
            x = self.bn(self.S(x))
        return self.activate(x)

    def activate(self, x: Tensor) -> Tensor:
        return relu_(x) if self.relu else x
