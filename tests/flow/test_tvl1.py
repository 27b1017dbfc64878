"""TV-L1 in PyTorch: the parts against the obvious ways to write them, batches, devices, and what was compiled."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lgdnet.flow.algorithms import batches_of
from lgdnet.flow.parameters import TVL1Parameters
from lgdnet.flow.tvl1 import Plane, edges, scales, tvl1
from lgdnet.flow.tvl1_steps import EAGER, can_compile, median_5x5, update_duals, update_flow
from tests.flow.pictures import shifted

torch.set_num_threads(1)


def test_the_median_network_equals_sorting():
    image = torch.rand(2, 21, 33, generator=torch.Generator().manual_seed(0))
    windows = F.unfold(F.pad(image[:, None], (2, 2, 2, 2), mode="replicate"), 5)
    assert torch.equal(median_5x5(image, EAGER), windows.median(1).values.view(2, 21, 33))


def test_a_step_on_planes_equals_the_equations_on_single_images():
    """Neighbours as views of one plane, for a batch, against slices of each image alone with explicit borders."""
    N, H, W = 3, 18, 20
    generator = torch.Generator().manual_seed(1)
    u_0, data, theta, reach, step = torch.randn(N, 2, H, W, generator=generator), [], 0.3, 0.045, 0.8
    data = [torch.randn(N * H, W, generator=generator) for _ in range(4)]
    u, p = [Plane(N, H, W, u_0.device) for _ in range(2)], [Plane(N, H, W, u_0.device) for _ in range(4)]
    for component in range(2):
        u[component].images().copy_(u_0[:, component])
    for _ in range(3):
        backward = tuple((x.at(), x.at(dx=-1), y.at(), y.at(dy=-1)) for x, y in (p[:2], p[2:]))
        update_flow((u[0].at(), u[1].at()), backward, tuple(data), theta, reach)
        forward = tuple((c.at(), c.at(dx=1), c.at(dy=1)) for c in u)
        update_duals(
            forward, tuple((x.at(), y.at()) for x, y in (p[:2], p[2:])), edges(N, H, W, u_0.device), step
        )
    for n in range(N):
        alone = iterate_alone(u_0[n], [d.view(N, H, W)[n] for d in data], theta, reach, step)
        torch.testing.assert_close(torch.stack([c.images()[n] for c in u]), alone)


def iterate_alone(u, data, theta, reach, step):
    """Three iterations of SPEC's equations on one image. (2, H, W)"""
    I_x, I_y, rho_0, minus_inverse = data
    gradient, p = torch.stack((I_x, I_y)), torch.zeros(2, 2, *u.shape[1:])
    for _ in range(3):
        s = ((rho_0 + (gradient * u).sum(0)) * minus_inverse).clamp(-reach, reach)
        divergence = (
            p[:, 0] - F.pad(p[:, 0], (1, 0))[..., :-1] + p[:, 1] - F.pad(p[:, 1], (0, 0, 1, 0))[:, :-1]
        )
        u = u + s * gradient + theta * divergence
        g = torch.stack((F.pad(u.diff(dim=2), (0, 1)), F.pad(u.diff(dim=1), (0, 0, 0, 1))), 1)
        p = (p + step * g) / (1 + step * g.norm(dim=1, keepdim=True))
    return u


def test_a_batch_gives_what_single_pairs_give():
    frames = torch.from_numpy(shifted(4, 40, 52, dx=1.5, dy=0.5))
    together = tvl1(frames[:-1], frames[1:], compiled=False)
    alone = torch.cat([tvl1(frames[i : i + 1], frames[i + 1 : i + 2], compiled=False) for i in range(3)])
    torch.testing.assert_close(together, alone)


def test_scales_end_before_pictures_get_too_small():
    sizes = [tuple(image.shape[1:]) for image in scales(torch.zeros(1, 30, 40), TVL1Parameters())]
    assert sizes == [(30, 40), (24, 32), (19, 26)]


def test_two_batches_of_different_shape_are_refused():
    with pytest.raises(ValueError, match=r"two batches of grey images \(N, H, W\) are needed"):
        tvl1(torch.zeros(1, 20, 20), torch.zeros(1, 20, 21))


def test_pairs_are_cut_into_equal_batches():
    parts = [range(10)[part] for part in batches_of((10, 100, 100), 35_000)]
    assert [len(part) for part in parts] == [3, 3, 4] and [i for part in parts for i in part] == list(
        range(10)
    )
    assert [len(range(2)[part]) for part in batches_of((2, 100, 100), 5_000)] == [0, 1, 0, 1]


def test_without_a_compiler_it_says_so_once_and_goes_on(monkeypatch, capsys):
    def failing(function):
        raise RuntimeError("No working C++ compiler found\nlong explanation")

    monkeypatch.setattr(torch, "compile", failing)
    can_compile.cache_clear()
    try:
        assert not can_compile("cpu") and not can_compile("cpu")
        said = capsys.readouterr().err
        assert said.count("TV-L1 runs uncompiled") == 1
        assert "needs a C++ compiler, fails here (No working C++ compiler found)" in said
        frames = torch.from_numpy(shifted(2, 32, 32, dx=1, dy=0))
        assert tvl1(frames[:1], frames[1:]).shape == (1, 2, 32, 32)
    finally:
        can_compile.cache_clear()


@pytest.mark.slow
def test_compiled_equals_uncompiled():
    if not can_compile("cpu"):
        pytest.skip("no C++ compiler")
    frames = torch.from_numpy(shifted(3, 64, 80, dx=2, dy=1))
    plain, fused = (tvl1(frames[:-1], frames[1:], compiled=compiled) for compiled in (False, True))
    assert (plain - fused).square().sum(1).sqrt().mean() < 1e-2


@pytest.mark.gpu
def test_gpu_equals_cpu():
    frames = torch.from_numpy(shifted(3, 64, 80, dx=2, dy=1))
    on_cpu = tvl1(frames[:-1], frames[1:], compiled=False)
    on_gpu = tvl1(frames[:-1].cuda(), frames[1:].cuda()).cpu()
    assert (on_cpu - on_gpu).square().sum(1).sqrt().mean() < 1e-2
    assert np.isfinite(on_gpu.numpy()).all()
