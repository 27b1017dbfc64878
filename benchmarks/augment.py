"""Augmentation of whole batches: ours beside kornia's, in turns in one run, on one thread.

    pip install kornia; python benchmarks/augment.py

For each operation the milliseconds per batch of clips, and what kornia makes of 8-bit clips and of flow.
"""

import argparse
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor

from lgdnet.augment import flip_some
from lgdnet.augment.colour import colour_jitter, random_blur, random_grey
from lgdnet.modalities import MODALITIES


def kornia() -> Any:
    """Its augmentations. It is no dependency of this project, and `--help` does without."""
    try:
        import kornia.augmentation
    except ImportError:
        sys.exit("this benchmark compares with kornia: pip install kornia")
    return kornia.augmentation


def kornia_on_clips(operation: torch.nn.Module) -> Callable[[Tensor], Tensor]:
    """(N, 3, T, H, W) in and out; the draw of a clip holds for its frames."""
    return kornia().VideoSequential(operation, data_format="BCTHW", same_on_frame=True)


def contestants(seeds: Tensor) -> dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]]:
    """Operation -> ours, kornia's, with the same strengths."""
    frame, K = MODALITIES["frame"], kornia()
    return {
        "mirror": (
            lambda clip: flip_some(clip, seeds, frame, probability=0.5),
            kornia_on_clips(K.RandomHorizontalFlip(p=0.5)),
        ),
        "colour jitter 0.4": (
            lambda clip: colour_jitter(clip, seeds, 0.4),
            kornia_on_clips(K.ColorJiggle(0.4, 0.4, 0.4, 0.1, p=1.0)),
        ),
        "grey": (lambda clip: random_grey(clip, seeds, 0.2), kornia_on_clips(K.RandomGrayscale(p=0.2))),
        "blur": (
            lambda clip: random_blur(clip, seeds, 0.5),
            kornia_on_clips(K.RandomGaussianBlur((5, 5), (0.1, 2.0), p=0.5)),
        ),
    }


def milliseconds(work: Callable[[Tensor], Tensor], clip: Tensor) -> float:
    start = time.perf_counter()
    work(clip)
    return (time.perf_counter() - start) * 1e3


def speed(shape: tuple[int, ...], rounds: int) -> None:
    """Medians of turns."""
    torch.manual_seed(0)
    clip = torch.rand(shape)
    print(f"batches of {'x'.join(map(str, shape))}, float32, milliseconds, medians of {rounds} turns")
    print(f"{'':20s} {'ours':>8s} {'kornia':>8s} {'kornia / ours':>14s}")
    for name, pair in contestants(torch.arange(shape[0])).items():
        with torch.no_grad():
            turns = [[milliseconds(work, clip) for work in pair] for _ in range(rounds + 1)][1:]
        ours, theirs = (median(column) for column in zip(*turns, strict=True))
        print(f"{name:20s} {ours:8.1f} {theirs:8.1f} {theirs / ours:14.2f}")


def behaviour() -> None:
    """What kornia does with 8-bit clips and with flow."""
    K = kornia()
    levels = torch.randint(0, 256, (2, 3, 4, 16, 16), dtype=torch.uint8)
    for name, operation in (
        ("mirror", K.RandomHorizontalFlip(p=1.0)),
        ("colour jitter", K.ColorJiggle(0.4, 0.4, 0.4, 0.1, p=1.0)),
    ):
        try:
            out = kornia_on_clips(operation)(levels)
            print(f"kornia, {name} of uint8 clips: {out.dtype}, values up to {float(out.max()):g}")
        except Exception as error:  # any refusal is an answer
            print(f"kornia, {name} of uint8 clips: {type(error).__name__}: {str(error).splitlines()[0]}")
    moving = torch.ones(1, 2, 4, 16, 16)  # everything goes right and down
    mirrored = kornia_on_clips(K.RandomHorizontalFlip(p=1.0))(moving)
    ours = flip_some(moving, torch.zeros(1, dtype=torch.int64), MODALITIES["flow"], probability=1.0)
    print(
        f"a motion of +1 to the right, mirrored: kornia {float(mirrored[0, 0].mean()):+g}, ours {float(ours[0, 0].mean()):+g}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", type=int, nargs=5, default=[16, 3, 16, 112, 112], help="N C T H W")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    speed(tuple(arguments.shape), arguments.rounds)
    behaviour()


if __name__ == "__main__":
    main()
