"""The inner loops of TV-L1: what is worth compiling. The equations are in `tvl1`.

Everything here is arithmetic on images or planes of pixels, in place where it can be, so that each function
becomes one pass over memory when compiled, and runs as it is when not.
"""

# N frame pairs, H x W pixels, R = N * H rows
from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lgdnet.log import warn


def update_flow(
    u: tuple[Tensor, Tensor],
    p: tuple[tuple[Tensor, Tensor, Tensor, Tensor], ...],
    data: tuple[Tensor, Tensor, Tensor, Tensor],
    theta: float,
    reach: float,
) -> None:
    """One step of u (two planes), in place.

    p: of each flow component, the dual planes (px, px one left, py, py one up). data: warped gradient x and y,
    constant part of rho, -1 / |gradient|^2. reach = lambda theta.
    """
    u1, u2 = u
    I_x, I_y, rho_0, minus_inverse = data
    s = ((rho_0 + I_x * u1 + I_y * u2) * minus_inverse).clamp(-reach, reach)
    (p11, p11_left, p12, p12_up), (p21, p21_left, p22, p22_up) = p
    new_u1 = u1 + s * I_x + theta * (p11 - p11_left + p12 - p12_up)
    new_u2 = u2 + s * I_y + theta * (p21 - p21_left + p22 - p22_up)
    u1.copy_(new_u1)
    u2.copy_(new_u2)


def update_duals(
    u: tuple[tuple[Tensor, Tensor, Tensor], ...],
    p: tuple[tuple[Tensor, Tensor], ...],
    inside: tuple[Tensor, Tensor],
    step: float,
) -> None:
    """One step of the dual variables, in place.

    u: of each flow component, the planes (here, one right, one down). inside: 0 where there is no pixel to the
    right (W,), or below (R, 1), else 1. step = tau / theta.
    """
    has_right, has_below = inside
    for (here, right, below), (px, py) in zip(u, p, strict=True):
        g_x = (right - here) * has_right
        g_y = (below - here) * has_below
        shrink = 1 / (1 + step * torch.sqrt(g_x * g_x + g_y * g_y))
        new_px = (px + step * g_x) * shrink
        new_py = (py + step * g_y) * shrink
        px.copy_(new_px)
        py.copy_(new_py)


def sort_pairs(values: list[Tensor], pairs: tuple[tuple[int, int], ...]) -> list[Tensor]:
    """The values after the compare-exchanges `pairs` (smaller first)."""
    values = list(values)
    for i, j in pairs:
        values[i], values[j] = torch.minimum(values[i], values[j]), torch.maximum(values[i], values[j])
    return values


def data_term(
    I0: Tensor, u1: Tensor, u2: Tensor, I1: Tensor, I_x: Tensor, I_y: Tensor, inside: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradient x and y, the constant part of rho, and -1 / |gradient|^2, each (R, W); all given as (N, H, W).

    Where the flow points outside the image the gradient is zero: there only the smoothness acts.
    """
    N, H, W = I0.shape
    I_x, I_y = I_x * inside, I_y * inside
    rho_0 = I1 - I_x * u1 - I_y * u2 - I0
    minus_inverse = -1 / (I_x * I_x + I_y * I_y).clamp_min(1e-10)
    I_x, I_y, rho_0, minus_inverse = (part.reshape(N * H, W) for part in (I_x, I_y, rho_0, minus_inverse))
    return I_x, I_y, rho_0, minus_inverse


SORT_FIVE = ((0, 3), (1, 4), (0, 2), (1, 3), (0, 1), (2, 4), (1, 2), (3, 4), (2, 3))  # a sorting network


def median_5x5(image: Tensor, steps: "Steps") -> Tensor:
    """Median over 5 x 5 pixels with the border repeated. (N, H, W)"""
    H, W = image.shape[1:]
    padded = F.pad(image.unsqueeze(1), (2, 2, 2, 2), mode="replicate").squeeze(1)
    return steps.median_of_columns(steps.sort_columns(padded, H), W)


def sort_columns(padded: Tensor, H: int) -> list[Tensor]:
    """Each pixel with the four below it, sorted: five images, shared by the five windows they are part of.

    (N, H + 4, W + 4) -> 5 x (N, H, W + 4)
    """
    return sort_pairs([padded[:, i : i + H] for i in range(5)], SORT_FIVE)


def median_of_columns(columns: list[Tensor], W: int) -> Tensor:
    """Median of five neighbouring sorted columns, by minima and maxima alone. 5 x (N, H, W + 4) -> (N, H, W)

    After sorting the columns of the window and then its rows, an element with 13 others certainly above or
    certainly below it cannot be the median: 6 and 6 drop out. Of the 13 left, the smallest and largest of any
    8 cannot be either, and so on with one more value each time.
    """
    rows = [sort_pairs([column[:, :, j : j + W] for j in range(5)], SORT_FIVE) for column in columns]
    left = [
        rows[i][j] for i in range(5) for j in range(5) if (i + 1) * (j + 1) < 14 and (5 - i) * (5 - j) < 14
    ]
    kept = left[:7]
    for value in left[7:]:
        kept = drop_extremes([*kept, value])
    return kept[0]


def drop_extremes(values: list[Tensor]) -> list[Tensor]:
    """The values without their smallest and largest, in no order."""
    half = len(values) // 2
    values = sort_pairs(
        values, tuple((i, len(values) - 1 - i) for i in range(half))
    )  # small half, large half
    smallest_from = half + len(values) % 2  # of an odd number the middle one belongs to both halves
    values = sort_pairs(values, tuple((0, i) for i in range(1, smallest_from)))
    values = sort_pairs(values, tuple((i, len(values) - 1) for i in range(half, len(values) - 1)))
    return values[1:-1]


class Steps(NamedTuple):
    """The parts that are worth compiling."""

    update_flow: Callable[..., None]
    update_duals: Callable[..., None]
    data_term: Callable[..., tuple[Tensor, Tensor, Tensor, Tensor]]
    sort_columns: Callable[[Tensor, int], list[Tensor]]
    median_of_columns: Callable[[list[Tensor], int], Tensor]


EAGER = Steps(update_flow, update_duals, data_term, sort_columns, median_of_columns)


@cache
def compiled_steps() -> Steps:
    """The same functions through torch.compile, for any shape; compiled at their first call and cached on disk."""
    fuse = partial(torch.compile, dynamic=True, fullgraph=True, options={"max_fusion_size": 1000})
    return Steps(
        fuse(update_flow),
        fuse(update_duals),
        fuse(data_term),
        fuse(sort_columns),
        fuse(median_of_columns),  # 160 minima and maxima: one loop only with that option
    )


@cache
def can_compile(device_type: str) -> bool:
    """Whether torch.compile works here: it needs a C++ compiler on a CPU, Triton on a GPU. Says so once if not."""
    try:
        torch.compile(one_more)(torch.zeros(64, device=device_type))
    except Exception as error:  # whatever is missing or broken: the same code runs uncompiled
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        needs = "a C++ compiler" if device_type == "cpu" else "Triton"
        warn(
            f"TV-L1 runs uncompiled, several times slower: torch.compile, which needs {needs}, fails here ({reason})"
        )
        return False
    return True


def one_more(x: Tensor) -> Tensor:
    """Something small to compile."""
    return x + 1
