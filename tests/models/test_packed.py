"""Networks as dump and predict run them: the same numbers up to rounding, whatever comes."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from agreement import relative
from random_weights import randomise

from lgdnet.models import ModelError, build_model, for_inference
from lgdnet.models.folded import HAS_ONEDNN
from lgdnet.models.packed import PackedConv

torch.set_num_threads(1)
pytestmark = pytest.mark.skipif(not HAS_ONEDNN, reason="kernels are packed for oneDNN")

NAMES = ("lgd-p3d-resnet18", "lgd-p3d-resnet50", "lgd-p3d-resnext50-32x4d", "lgd-p3d-se-resnet50", "lgd-p3d-xception",
         "resnet50", "xception")  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_as_near_to_those_in_double_precision_as_the_models(name):
    torch.manual_seed(0)
    model = randomise(build_model(name, in_channels=3, num_classes=5)).eval()
    exactly = copy.deepcopy(model).double()
    clips = [torch.randn(2, 3, 8, 48, 48), torch.randn(3, 3, 4, 35, 61), torch.randn(2, 3, 8, 48, 48)]
    with torch.inference_mode():
        plain = [model(clip) for clip in clips]
        network = for_inference(model)  # packed for the first shape
        for clip, rounded in zip(clips, plain, strict=True):
            for got, theirs, exact in zip(network(clip), rounded, exactly(clip.double()), strict=True):
                if exact is not None:
                    assert relative(got, exact) < max(1e-5, 10 * relative(theirs, exact))


def test_there_is_one_copy_of_the_weights_and_it_is_packed():
    network = for_inference(build_model("lgd-p3d-resnet50", in_channels=3, num_classes=5, width=32).eval())
    convolutions = [module for module in network.modules() if isinstance(module, PackedConv)]
    assert len(convolutions) > 40
    with torch.inference_mode():
        network(torch.randn(1, 3, 4, 32, 32))
    assert all(
        module.packed.layout == torch._mkldnn and module.conv.weight is None for module in convolutions
    )


def test_narrow_1x1x1_kernels_stay_matrix_products():
    network = for_inference(build_model("lgd-p3d-resnet50", in_channels=3, num_classes=5, width=8).eval())
    assert not isinstance(network.stages[0][0].F.conv1, PackedConv)
    assert isinstance(network.stages[3][2].F.conv1, PackedConv)


def test_threads_that_come_first_together_pack_once():
    clip = torch.randn(1, 3, 4, 32, 32)
    for _ in range(5):
        network = for_inference(build_model("lgd-p3d-resnet18", in_channels=3, num_classes=5, width=8).eval())
        with ThreadPoolExecutor(4) as threads:
            outputs = list(threads.map(torch.inference_mode()(network), [clip] * 4))
        assert all(torch.equal(output.logits, outputs[0].logits) for output in outputs)


def test_twice_is_once():
    network = for_inference(build_model("lgd-p3d-resnet18", in_channels=3, num_classes=5, width=8).eval())
    clip = torch.randn(1, 3, 4, 32, 32)
    with torch.inference_mode():
        once = network(clip).logits
        assert torch.equal(for_inference(network)(clip).logits, once)


def test_double_precision_is_fused_only():
    model = build_model("lgd-p3d-resnet18", in_channels=3, num_classes=5, width=8).double().eval()
    clip = torch.randn(1, 3, 4, 32, 32, dtype=torch.float64)
    with torch.inference_mode():
        expected = model(clip).logits
        network = for_inference(model)
        assert not any(isinstance(module, PackedConv) for module in network.modules())
        assert relative(network(clip).logits, expected) < 1e-12


def test_a_model_in_training_is_refused():
    with pytest.raises(
        ModelError, match=r"only a model in evaluation mode can be fused; call \.eval\(\) first"
    ):
        for_inference(build_model("lgd-p3d-resnet18", in_channels=3, num_classes=5, width=4))
