"""The table of models: sizes as published, outputs as promised, choices checked."""

import pytest
import torch
from random_weights import randomise
from torch import nn

from lgdnet.models import HEADS, MODELS, ModelError, build_model, count_gflops, count_parameters
from lgdnet.models.measure import parameters_by_role
from lgdnet.models.resnet import SqueezeExcite

torch.set_num_threads(1)


def on_meta(name: str, num_classes: int, **choices) -> nn.Module:
    """A model without storage: enough to count."""
    with torch.device("meta"):
        return build_model(name, in_channels=3, num_classes=num_classes, **choices)


@pytest.mark.parametrize(
    ("name", "order", "parameters"),
    [
        ("lgd-p3d-resnet50", "paper", 37_420_040),
        ("lgd-p3d-resnet50", "release", 37_420_040),
        ("lgd-p3d-resnet101", "paper", 66_494_664),
        ("lgd-p3d-resnet101", "release", 66_494_664),
        ("p3d-resnet50", "paper", 28_742_972),
    ],
)
def test_parameters_with_700_classes_are_exactly_those_of_the_specification(name, order, parameters):
    assert count_parameters(on_meta(name, 700, order=order)) == parameters


@pytest.mark.parametrize(
    ("name", "parameters"),
    [  # as printed in the documentation of torchvision and of the SENet authors' PyTorch port
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
        ("resnet50", 25_557_032),
        ("resnet101", 44_549_160),
        ("resnet152", 60_192_808),
        ("resnext50-32x4d", 25_028_904),
        ("resnext101-32x8d", 88_791_336),
        ("wide-resnet50", 68_883_240),
        ("wide-resnet101", 126_886_696),
        ("se-resnet50", 28_088_024),
        ("se-resnet101", 49_326_872),
        ("se-resnet152", 66_821_848),
        ("se-resnext50-32x4d", 27_559_896),
        ("se-resnext101-32x4d", 48_955_416),
        ("caffe-se-resnet50", 28_088_024),
        ("xception", 22_855_952),
    ],
)
def test_the_2d_controls_have_the_published_number_of_parameters(name, parameters):
    assert count_parameters(on_meta(name, 1000)) == parameters


def test_lgd_and_time_add_to_xception_what_the_specification_says_or_documents():
    roles = parameters_by_role(on_meta("lgd-p3d-xception", 700))
    assert roles.lgd == pytest.approx(3.45e6, abs=5e3)
    assert roles.temporal == 3 * (64 + 128 + 128 + 256 + 256 + 728 * 27 + 1024 + 1536)  # one T for each S


@pytest.mark.parametrize(
    ("name", "T", "gflops"),
    [
        ("lgd-p3d-resnet50", 16, 20.2),
        ("lgd-p3d-resnet101", 16, 37.7),
        ("lgd-p3d-resnet50", 128, 161.9),
        ("lgd-p3d-resnet101", 128, 301.6),
    ],
)
def test_multiply_adds_are_those_of_the_specification(name, T, gflops):
    assert count_gflops(on_meta(name, 700), (1, 3, T, 224, 224)) == pytest.approx(gflops, abs=0.05)


@pytest.mark.parametrize("head", HEADS)
def test_multiply_adds_are_counted_whatever_the_head(head):
    shape = (1, 3, 8, 32, 32)
    body = count_gflops(on_meta("p3d-resnet18", 5, width=8), shape)
    model = build_model("lgd-p3d-resnet18", in_channels=3, num_classes=5, width=8, head=head)
    assert body < count_gflops(model, shape) < body + 1e-3


def test_lgd_adds_under_a_two_thousandth_of_the_multiply_adds():
    shape = (1, 3, 16, 224, 224)
    plain = count_gflops(on_meta("p3d-resnet50", 700), shape)
    assert plain < count_gflops(on_meta("lgd-p3d-resnet50", 700, head="local"), shape) < 1.0005 * plain


def test_stages_have_the_shapes_of_the_specification():
    model = on_meta("lgd-p3d-resnet50", 700)
    trace = model.trace(torch.empty(1, 3, 16, 224, 224, device="meta"))
    shapes = {name: tuple(value.shape[1:]) for name, value in trace.items()}
    assert shapes == {
        "stem.x": (64, 4, 56, 56),
        "stem.g": (64,),
        "stage1.x": (256, 4, 56, 56),
        "stage1.g": (256,),
        "stage2.x": (512, 4, 28, 28),
        "stage2.g": (512,),
        "stage3.x": (1024, 4, 14, 14),
        "stage3.g": (1024,),
        "stage4.x": (2048, 4, 7, 7),
        "stage4.g": (2048,),
        "logits": (700,),
        "features_local": (2048,),
        "features_global": (2048,),
        "logits_local": (700,),
        "logits_global": (700,),
    }


def test_roles_add_up_to_the_difference_between_models():
    lgd, p3d, flat = (
        parameters_by_role(on_meta(f"{prefix}resnet50", 700)) for prefix in ("lgd-p3d-", "p3d-", "")
    )
    classifier = 2049 * 700
    assert lgd.total - lgd.lgd - classifier == p3d.total
    assert p3d.total - p3d.temporal - 3 * 7 * 7 * 64 * 3 == flat.total  # the stem sees 4 frames, not 1
    assert (flat.lgd, flat.temporal) == (0, 0)


DEEP = ("101", "103", "152")


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] if any(d in n for d in DEEP) else [], id=n) for n in MODELS],
)
def test_every_model_of_the_table_turns_a_clip_into_logits(name):
    model = build_model(name, in_channels=2, num_classes=5, width=8).eval()
    with torch.no_grad():
        output = model(torch.zeros(2, 2, 4, 32, 32))
    assert output.logits.shape == (2, 5)
    assert (output.features_global is None) == (not MODELS[name].lgd)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=[pytest.mark.slow] if any(d in n for d in DEEP) else [], id=n)
        for n in MODELS
        if not MODELS[n].time
    ],
)
def test_a_network_without_time_is_the_mean_over_single_frames(name):
    model = randomise(build_model(name, in_channels=3, num_classes=5, width=16)).eval().double()
    clip = torch.randn(2, 3, 3, 40, 40, dtype=torch.float64)
    with torch.no_grad():
        frames = torch.stack([model(clip[:, :, t]).features_local for t in range(3)]).mean(0)
        torch.testing.assert_close(model(clip).features_local, frames, rtol=1e-5, atol=1e-6)


def test_a_network_with_time_gates_its_channels_by_the_whole_clip():
    se = randomise(SqueezeExcite(32, per_frame=False))
    x = torch.randn(2, 32, 4, 5, 6)
    with torch.no_grad():
        inner = torch.relu(x.mean((2, 3, 4)) @ se.fc1.weight.T + se.fc1.bias)
        gate = torch.sigmoid(inner @ se.fc2.weight.T + se.fc2.bias)
        torch.testing.assert_close(se(x), x * gate[:, :, None, None, None])
    model = build_model("p3d-se-resnet50", in_channels=3, num_classes=5, width=4)
    assert {m.per_frame for m in model.modules() if isinstance(m, SqueezeExcite)} == {False}


def test_a_clip_of_the_wrong_shape_says_what_was_expected_and_what_came():
    model = build_model("lgd-p3d-resnet18", in_channels=2, num_classes=5, width=4)
    with pytest.raises(ModelError, match=r"C = 2 channels; \(N, C, T, H, W\) = \(1, 3, 8, 32, 32\) came"):
        model(torch.zeros(1, 3, 8, 32, 32))
    with pytest.raises(
        ModelError, match=r"T to be a multiple of the early stride 4; .* = \(1, 2, 6, 32, 32\)"
    ):
        model(torch.zeros(1, 2, 6, 32, 32))
    with pytest.raises(ModelError, match=r"five axes, \(N, C, T, H, W\); \(2, 8, 32, 32\) came"):
        model(torch.zeros(2, 8, 32, 32))
    with pytest.raises(
        ModelError, match=r"T to be a multiple of the early stride 4; .* = \(1, 2, 0, 32, 32\)"
    ):
        model(torch.zeros(1, 2, 0, 32, 32))
    flat = build_model("resnet18", in_channels=2, num_classes=5, width=4)
    with pytest.raises(ModelError, match=r"C = 2 channels; \(N, C, H, W\) = \(1, 3, 32, 32\) came"):
        flat(torch.zeros(1, 3, 32, 32))
    with pytest.raises(ModelError, match=r"five axes, .*, or four, \(N, C, H, W\); \(2, 32, 32\) came"):
        flat(torch.zeros(2, 32, 32))


@pytest.mark.parametrize(("name", "pixels"), [("xception", 7), ("caffe-se-resnet50", 3), ("resnet103", 1)])
def test_frames_may_be_small_and_too_small_ones_are_named(name, pixels):
    model = build_model(name, in_channels=3, num_classes=5, width=4).eval()
    assert model(torch.zeros(1, 3, pixels, pixels)).logits.shape == (1, 5)
    with pytest.raises(ModelError, match=f"frames of at least {pixels} x {pixels} pixels; .* came"):
        model(torch.zeros(1, 3, 40, pixels - 1))


def test_a_clip_of_the_wrong_precision_says_what_was_expected_and_what_came():
    model = build_model("lgd-p3d-resnet18", in_channels=3, num_classes=5, width=4)
    clip = torch.zeros(2, 3, 4, 32, 32)
    with pytest.raises(ModelError, match=r"a normalised clip, of floating point; torch\.uint8 came"):
        model(clip.byte())
    with pytest.raises(ModelError, match=r"a clip of torch\.float32 as the weights are; torch\.float64 came"):
        model(clip.double())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model(clip.bfloat16()).logits.shape == (2, 5)
    assert model.double()(clip.double()).logits.dtype == torch.float64
    assert count_gflops(model, (1, 3, 4, 32, 32)) > 0


def test_initial_values_are_normal_with_the_fan_out_of_one_group():
    model = build_model("p3d-resnext50-32x4d", in_channels=3, num_classes=5)
    for conv, fan_out in (
        (model.stem.conv1, 64 * 4 * 7 * 7),
        (model.stages[2][0].F.unit.S, 16 * 9),
        (model.stages[2][0].F.unit.T, 16 * 3),
        (model.stages[2][0].F.conv3, 1024),
    ):
        assert conv.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.02)
    xception = build_model("xception", in_channels=3, num_classes=5)
    assert xception.stages[1][0].F.separable[0].S.weight.std().item() == pytest.approx(
        (2 / 9) ** 0.5, rel=0.02
    )


@pytest.mark.parametrize(("name", "eps"), [("resnet103", 2e-5), ("resnet101", 1e-5), ("xception", 1e-5)])
def test_batch_norm_has_the_eps_of_the_published_network(name, eps):
    norms = [m for m in on_meta(f"lgd-p3d-{name}", 5).modules() if isinstance(m, nn.BatchNorm3d)]
    assert {norm.eps for norm in norms} == {eps}


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"name": "lgd-p3d-resnet51"}, "no model 'lgd-p3d-resnet51'; did you mean 'lgd-p3d-resnet50'"),
        ({"order": "papers"}, "no order 'papers'; there are paper, release"),
        ({"head": "mean"}, "no head 'mean'; there are local, global, sum, concat, kernel"),
        ({"units": "ABD"}, "units 'ABD': expected letters of A, B, C"),
        (
            {"name": "p3d-resnet18", "head": "concat"},
            "head 'concat' needs the global path, which 'p3d-resnet18' lacks",
        ),
        (
            {"name": "p3d-resnet18", "order": "release"},
            "order 'release' is of LGD, which 'p3d-resnet18' lacks",
        ),
        ({"name": "resnet18", "units": "A"}, "units 'A' are of time, which 'resnet18' lacks"),
        ({"width": 0}, "width 0: expected a positive whole number"),
        ({"width": -8}, "width -8: expected"),
        ({"in_channels": 0}, "in_channels 0: expected"),
        ({"num_classes": 0}, "num_classes 0: expected"),
        ({"dropout": 1.5}, r"dropout 1\.5: expected a fraction in \[0, 1\]"),
    ],
)
def test_a_choice_that_does_not_exist_is_named(choices, message):
    with pytest.raises(ModelError, match=message):
        build_model(**{"name": "lgd-p3d-resnet18", "in_channels": 3, "num_classes": 5, **choices})
