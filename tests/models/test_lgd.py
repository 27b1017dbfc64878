"""The block of two paths: zero diffusion, both orders, gradients, memory saved by recomputing."""

import pytest
import torch
from random_weights import randomise
from torch import nn
from torch.autograd import gradcheck

from lgdnet.models import HEADS, MODELS, Backbone, Stem, TwoPathNetwork, build_model, training_loss
from lgdnet.models.heads import KernelHead
from lgdnet.models.lgd import LGDBlock, LowRank
from lgdnet.models.resnet import Bottleneck, Size
from lgdnet.models.xception import Block

torch.set_num_threads(1)

FAMILIES = (
    "resnet18",
    "resnet50",
    "resnet103",
    "resnext50-32x4d",
    "wide-resnet50",
    "se-resnet50",
    "xception",
)
FAST = ("resnet18", "xception")


def families(prefix: str, slow: bool = True) -> list:
    """One member of each family; all but two are slow tests."""
    names = FAMILIES if slow else FAST
    return [
        pytest.param(prefix + n, marks=[] if n in FAST else pytest.mark.slow, id=prefix + n) for n in names
    ]


@pytest.mark.parametrize("order", ["paper", "release"])
@pytest.mark.parametrize("name", families("lgd-p3d-"))
def test_zero_diffusion_is_the_backbone_bit_for_bit(name, order):
    lgd = build_model(name, in_channels=3, num_classes=5, width=8, order=order).eval()
    plain = build_model(name.removeprefix("lgd-"), in_channels=3, num_classes=5, width=8).eval()
    lgd.load_state_dict(randomise(plain).state_dict(), strict=False)
    clip = torch.randn(2, 3, 8, 32, 32)
    with torch.no_grad():
        assert torch.equal(lgd(clip).features_local, plain(clip).features_local)
        assert torch.equal(lgd(clip).logits_local, plain(clip).logits)
        assert lgd(clip).features_global.std() > 0


def blocks(order: str, C: int = 16) -> list[LGDBlock]:
    size = Size((1, 1, 1, 1))
    made = [Bottleneck(C, C // 4, stride=1, kind=kind, size=size) for kind in ("A", "B", "C")]
    return [LGDBlock(F, C, C, order=order, activate=True) for F in made]


def test_release_is_the_papers_recurrence_cut_half_a_block_later():
    paper = randomise(nn.ModuleList(blocks("paper"))).eval()
    release = nn.ModuleList(blocks("release")).eval()
    for i in range(3):  # the release's block i + 1 begins with what the paper's block i ends with
        release[i].F.load_state_dict(paper[i].F.state_dict())
        release[i].W_xg.load_state_dict(paper[i].W_xg.state_dict())
        release[(i + 1) % 3].W_gx.load_state_dict(paper[i].W_gx.state_dict())
        release[(i + 1) % 3].W_gg.load_state_dict(paper[i].W_gg.state_dict())
    x = x_paper = torch.randn(2, 16, 4, 5, 5)
    g = g_paper = torch.rand(2, 16)
    for block in paper:
        x_paper, g_paper = block(x_paper, g_paper)
    x = release[0].local(x, g)
    for block in release[1:]:
        x, g = block(x, g)
    assert torch.equal(x, x_paper)
    assert torch.equal(release[0].diffuse(x, g), g_paper)
    assert not torch.equal(g, g_paper)


class AnyStem(Stem):
    """One ordinary convolution."""

    def __init__(self):
        super().__init__(in_channels=3, early_stride=1)
        self.conv = nn.Conv3d(3, 8, 3, padding=1)

    def forward(self, clip):
        return self.conv(clip)


@pytest.mark.parametrize("order", ["paper", "release", None])
@pytest.mark.parametrize(
    "make",
    [nn.Identity, nn.Sigmoid, lambda: nn.Sequential(nn.Conv3d(8, 8, 1), nn.ReLU())],
    ids=["identity", "sigmoid", "conv-relu"],
)
def test_any_backbone_that_exposes_its_stages_gets_two_paths(make, order):
    backbone = Backbone(AnyStem(), [[(make(), 8, 8)], [(make(), 8, 8)]])
    head = HEADS["sum" if order else "local"](8, 8, 4, 0.0)
    model = randomise(TwoPathNetwork(backbone, head, order=order).double())
    clip = torch.randn(2, 3, 2, 5, 5, dtype=torch.float64)
    names, values = zip(*model.named_parameters(), strict=True)

    def function(*values):
        return torch.func.functional_call(model, dict(zip(names, values, strict=True)), (clip,)).logits

    assert gradcheck(function, values, eps=1e-6, atol=1e-5, fast_mode=True)
    trace = model.trace(clip)
    torch.testing.assert_close(trace["stem.x"], model.stem(clip))


@pytest.mark.parametrize("name", families("lgd-p3d-", slow=False))
def test_our_families_write_the_sum_over_what_is_fresh_and_nothing_changes(name):
    model = randomise(build_model(name, in_channels=3, num_classes=5, width=8, dropout=0.0))
    clip, label = torch.randn(2, 3, 8, 32, 32), torch.tensor([1, 4])
    gradients = []
    for fresh in (True, False):
        for stage in model.stages:
            for block in stage:
                assert gradients or block.fresh
                block.fresh = fresh
        model.zero_grad()
        training_loss(model(clip), label).backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_low_rank_maps_are_a_sixteenth_wide_and_keep_a_channel_in_narrow_networks():
    assert [tuple(p.shape) for p in LowRank(64, 256).parameters()] == [(16, 64), (16,), (256, 16), (256,)]
    assert LowRank(8, 8)[0].weight.shape == (1, 8)


@pytest.mark.parametrize("order", ["paper", "release"])
@pytest.mark.parametrize("kind", ["A", "B", "C"])
@pytest.mark.parametrize("family", ["resnet", "xception"])
def test_a_blocks_gradients_agree_with_finite_differences(family, kind, order):
    if family == "resnet":
        F: nn.Module = Bottleneck(4, 2, stride=2, kind=kind, size=Size((1, 1, 1, 1), squeeze=True))
        C_out, activate = 8, True
    else:
        F, C_out, activate = Block(4, (3, 6), kind=kind, pool=True), 6, False
    block = randomise(LGDBlock(F, 4, C_out, order=order, activate=activate).double(), seed=3)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 4, 3, 3, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    g = torch.rand(2, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    names, values = zip(*block.named_parameters(), strict=True)

    def function(x, g, *values):
        return torch.func.functional_call(block, dict(zip(names, values, strict=True)), (x, g))

    assert gradcheck(function, (x, g, *values), eps=1e-6, atol=1e-5, fast_mode=True)


@pytest.mark.parametrize("head", HEADS)
def test_a_heads_gradients_agree_with_finite_differences(head):
    choices = {"d": 32} if head == "kernel" else {}
    module = randomise(HEADS[head](6, 6, 3, 0.0, **choices).double())
    x = torch.rand(2, 6, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    g = torch.rand(2, 6, dtype=torch.float64, requires_grad=True)
    label = torch.tensor([0, 2])
    names, values = zip(*module.named_parameters(), strict=True)

    def loss(x, g, *values):
        return training_loss(
            torch.func.functional_call(module, dict(zip(names, values, strict=True)), (x, g)), label
        )

    assert gradcheck(loss, (x, g, *values), eps=1e-6, atol=1e-6)


def test_the_kernel_head_of_a_network_without_lgd_sketches_one_path():
    head = KernelHead(6, None, 3, 0.0, d=32)
    assert head(torch.rand(2, 6, 1, 2, 2), None).logits.shape == (2, 3)


def without_gradient(model: nn.Module) -> list[str]:
    """Names of the parameters that a training step leaves alone."""
    clip = torch.randn(4, 3, 8, 48, 48, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)  # of dropout
    label = torch.tensor([0, 0, 1, 2])
    training_loss(
        model(clip), label, label_smoothing=0.1
    ).backward()  # plain labels may saturate, and all is 0
    return [
        n for n, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())
    ]


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n.endswith(FAST) else pytest.mark.slow, id=n) for n in MODELS]
)
def test_every_parameter_of_every_model_receives_a_gradient(name):
    model = randomise(build_model(name, in_channels=3, num_classes=5, width=16))
    assert without_gradient(model) == []


@pytest.mark.parametrize("order", ["paper", "release"])
@pytest.mark.parametrize("head", HEADS)
def test_every_head_trains_every_parameter_that_asks_for_it(head, order):
    model = build_model("lgd-p3d-resnet18", in_channels=3, num_classes=5, width=16, head=head, order=order)
    assert without_gradient(randomise(model)) == []
    frozen = [n for n, p in model.named_parameters() if not p.requires_grad]
    last = "stages.3.1."
    if (head, order) == ("local", "paper"):  # nothing looks at the last global update
        assert frozen and all(n.startswith((last + "W_gx", last + "W_gg")) for n in frozen)
    elif (head, order) == ("global", "release"):  # nothing looks at the last local one
        assert frozen and all(n.startswith((last + "F.", last + "W_xg")) for n in frozen)
    else:
        assert frozen == []


@pytest.mark.parametrize("name", families("lgd-p3d-", slow=False))
def test_recomputing_blocks_gives_the_same_gradients(name):
    models = [
        randomise(build_model(name, in_channels=3, num_classes=5, width=8, dropout=0.0, checkpointing=c))
        for c in (False, True)
    ]
    clip, label = torch.randn(2, 3, 8, 32, 32), torch.tensor([1, 4])
    for model in models:
        training_loss(model(clip), label).backward()
    for (n, a), b in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
        assert torch.equal(a.grad, b.grad), n
    for (n, a), b in zip(models[0].named_buffers(), models[1].buffers(), strict=True):
        assert torch.equal(a, b), n  # running statistics are counted once, not twice


@pytest.mark.parametrize(
    "name", [*families("lgd-p3d-"), *(pytest.param(n, marks=pytest.mark.slow) for n in FAMILIES)]
)
def test_a_small_network_learns_eight_random_clips_by_heart(name):
    torch.manual_seed(0)
    model = build_model(name, in_channels=3, num_classes=8, width=8, dropout=0.0)
    clip, label = torch.randn(8, 3, 4, 32, 32), torch.arange(8)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    num_right = []
    for _ in range(48):
        optimizer.zero_grad()
        output = model(clip)
        num_right.append(int((output.logits.argmax(1) == label).sum()))
        if num_right[-1] == 8:
            break
        training_loss(output, label).backward()
        optimizer.step()
    assert num_right[0] < 8
    assert num_right[-1] == 8, num_right
