"""Other forms of the same network: fused, compiled, in bfloat16, on a GPU."""

import copy

import pytest
import torch
from agreement import relative, same_as_conv3d
from random_weights import randomise

from lgdnet.models import ModelError, build_model, fused, training_loss
from lgdnet.models.folded import BatchNorm, SpatialConv, TemporalConv, average

torch.set_num_threads(1)

NAMES = ("lgd-p3d-resnet18", "lgd-p3d-resnet50", "lgd-p3d-resnet103", "lgd-p3d-resnext50-32x4d", "lgd-p3d-se-resnet50",
         "lgd-p3d-xception", "resnet50", "xception")  # fmt: skip


@pytest.mark.parametrize(
    ("k", "options"),
    [
        (7, {"t": 4, "stride": 2}),
        (3, {"t": 4, "stride": 2, "pad": 0}),
        (3, {"stride": 2, "groups": 2}),
        (3, {"groups": 6}),
        (1, {}),
        (1, {"stride": 2}),
    ],
)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last_3d])
def test_a_folded_spatial_convolution_is_conv3d(k, options, memory_format):
    conv = SpatialConv(6, 12, k, **options).double()
    same_as_conv3d(conv, clip_of_six_channels(memory_format))


@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"groups": 6}, {"groups": 3, "stride": 2}])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last_3d])
def test_a_folded_temporal_convolution_is_conv3d(options, memory_format):
    same_as_conv3d(TemporalConv(6, 12, **options).double(), clip_of_six_channels(memory_format))


def clip_of_six_channels(memory_format: torch.memory_format) -> torch.Tensor:
    x = torch.randn(2, 6, 8, 9, 11, dtype=torch.float64)
    return x.contiguous(memory_format=memory_format).requires_grad_()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_average_of_128_frames_fits_into_half_precision(dtype):
    x = torch.rand(1, 4, 32, 112, 112, generator=torch.Generator().manual_seed(0)).to(dtype)
    assert average(x).dtype == dtype
    torch.testing.assert_close(average(x).double(), x.double().mean((2, 3, 4)), rtol=4e-3, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_fusing_batch_norm_changes_nothing_but_the_rounding(name):
    model = randomise(build_model(name, in_channels=3, num_classes=5, width=8)).double().eval()
    clip = torch.randn(2, 3, 8, 32, 32, dtype=torch.float64)
    without_norm = fused(model)
    assert not any(isinstance(module, BatchNorm) for module in without_norm.modules())
    assert any(isinstance(module, BatchNorm) for module in model.modules())  # a copy
    with torch.no_grad():
        assert relative(without_norm(clip).logits, model(clip).logits) < 1e-12


def test_fusing_twice_is_fusing_once():
    model = randomise(build_model("lgd-p3d-resnet18", in_channels=3, num_classes=5, width=8)).eval()
    clip = torch.randn(2, 3, 8, 32, 32)
    once = fused(model)
    assert torch.equal(fused(once)(clip).logits, once(clip).logits)


def test_a_model_in_training_is_not_fused():
    with pytest.raises(
        ModelError, match=r"only a model in evaluation mode can be fused; call \.eval\(\) first"
    ):
        fused(build_model("lgd-p3d-resnet18", in_channels=3, num_classes=5, width=4))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "checkpointing", "form"),
    [
        ("xception", False, "whole"),
        ("lgd-p3d-xception", False, "blocks"),
        ("lgd-p3d-resnet18", True, "blocks"),
        *(
            pytest.param(name, checkpointing, form, marks=pytest.mark.long)
            for name, checkpointing, form in [
                ("lgd-p3d-xception", False, "whole"),
                ("lgd-p3d-resnet18", True, "whole"),
                ("lgd-p3d-resnet18", False, "whole"),
                ("lgd-p3d-resnet18", False, "blocks"),
                ("lgd-p3d-se-resnet50", False, "blocks"),
            ]
        ),
    ],
)
def test_a_training_step_compiles_without_a_graph_break(name, checkpointing, form):
    torch.compiler.reset()
    choices = {"in_channels": 3, "num_classes": 5, "width": 8, "dropout": 0.0}
    model = randomise(build_model(name, checkpointing=checkpointing, **choices))
    statistics = [buffer.clone() for buffer in model.buffers()]
    clip, label = torch.randn(2, 3, 8, 32, 32), torch.tensor([0, 3])
    expected = training_loss(model(clip), label)
    expected.backward()
    gradients = [p.grad for p in model.parameters()]
    model.zero_grad()
    expected_statistics = [buffer.clone() for buffer in model.buffers()]
    for buffer, before in zip(model.buffers(), statistics, strict=True):
        buffer.copy_(before)
    compiled = model
    if form == "whole":
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)  # a break is an error
    else:
        model.compile_blocks(backend="aot_eager")
    loss = training_loss(compiled(clip), label)
    loss.backward()
    torch.testing.assert_close(loss, expected)
    for (parameter_name, p), gradient in zip(model.named_parameters(), gradients, strict=True):
        assert torch.allclose(p.grad, gradient, rtol=1e-3, atol=1e-5 * gradient.abs().max()), parameter_name
    for (buffer_name, buffer), after in zip(model.named_buffers(), expected_statistics, strict=True):
        torch.testing.assert_close(buffer, after, msg=buffer_name)
    model.eval()
    with torch.no_grad():
        assert relative(compiled(clip).logits, model(clip).logits) < 1e-5


def test_autocast_to_bfloat16_trains_and_stays_near_float32():
    torch.manual_seed(0)
    model = build_model(
        "lgd-p3d-resnet18", in_channels=3, num_classes=5, width=16, head="kernel", dropout=0.0
    )
    clip, label = torch.randn(2, 3, 8, 32, 32), torch.tensor([0, 3])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = training_loss(model(clip), label)
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    model.eval()
    with torch.no_grad():
        exact = model(clip)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = model(clip)
    assert rough.features_local.dtype == torch.bfloat16
    assert relative(rough.features_local.float(), exact.features_local) < 0.05
    assert relative(rough.logits.float(), exact.logits) < 0.05


@pytest.mark.slow
def test_compiled_blocks_of_one_form_share_a_graph():
    torch.compiler.reset()
    model = build_model("lgd-p3d-resnet101", in_channels=3, num_classes=5, width=4)
    model.compile_blocks(backend="eager")
    torch._dynamo.utils.counters.clear()
    model(torch.randn(2, 3, 8, 32, 32))
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert graphs <= 1 + 4 * (1 + 3)  # the stem; in each stage the first block and units A, B, C


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_the_gpu_agrees_with_the_cpu(name, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    model = randomise(build_model(name, in_channels=3, num_classes=5, width=16)).eval()
    clip = torch.randn(2, 3, 8, 64, 64)
    with torch.no_grad():
        expected = model(clip).logits
        model.cuda()
        exact = model(clip.cuda()).logits.cpu()
        with torch.autocast("cuda", dtype=torch.bfloat16):
            rough = model(clip.cuda()).logits.float().cpu()
    assert relative(exact, expected) < 1e-3
    assert relative(rough, expected) < 0.1


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_a_training_step_on_the_gpu_is_that_of_the_cpu(name):
    # In float32 a ReLU that flips at rounding moves single gradients of a small network by percents.
    on_cpu = (
        randomise(build_model(name, in_channels=3, num_classes=5, width=16, dropout=0.0)).double().train()
    )
    on_gpu = copy.deepcopy(on_cpu).cuda()
    clip, label = torch.randn(4, 3, 8, 64, 64).double(), torch.tensor([0, 3, 1, 2])
    training_loss(on_cpu(clip), label).backward()
    training_loss(on_gpu(clip.cuda()), label.cuda()).backward()
    for (key, expected), (_, got) in zip(on_cpu.named_parameters(), on_gpu.named_parameters(), strict=True):
        if expected.grad is not None:
            assert relative(got.grad.cpu(), expected.grad) < 1e-6, key
    for (key, expected), (_, got) in zip(on_cpu.named_buffers(), on_gpu.named_buffers(), strict=True):
        assert torch.allclose(got.cpu(), expected, rtol=1e-6, atol=1e-9), key
