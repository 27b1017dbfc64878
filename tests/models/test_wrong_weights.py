"""Weights of other networks that are refused: what was expected, what came, and the model unchanged."""

from pathlib import Path
from random import Random

import pytest
import torch
from reference_2d import ResNet, Xception, cadenes
from safetensors.torch import save_file
from torch import nn

from lgdnet.models import WeightsError, build_model, load_weights
from lgdnet.settings import StreamSettings
from lgdnet.streams import Media, network_of, write_stream

torch.set_num_threads(1)


def test_the_two_forms_of_squeeze_and_excitation_are_not_taken_for_each_other():
    state = ResNet((3, 4, 6, 3), width=16, squeeze=True).state_dict()
    for name, wrong in (("p3d-se-resnet50", cadenes(state)), ("p3d-caffe-se-resnet50", state)):
        model = build_model(name, in_channels=3, num_classes=5, width=16)
        with pytest.raises(WeightsError, match=r"SE networks of Cadene .* fit the models 'caffe-se-\.\.\.'"):
            load_weights(model, wrong, "timm")
    for layout in ("torchvision", "release"):
        model = build_model("p3d-caffe-se-resnet50", in_channels=3, num_classes=5, width=16)
        with pytest.raises(WeightsError, match=f"an SE network; those are of layout 'timm', not '{layout}'"):
            load_weights(model, state, layout)
    model = build_model("p3d-caffe-se-resnet50", in_channels=3, num_classes=5, width=16)
    with pytest.raises(WeightsError, match="SE networks of Cadene"):
        load_weights(model, ResNet((3, 4, 6, 3), width=16).state_dict(), "torchvision")


FORMS = [
    ("p3d-resnet50", {"units": "A"}, "p3d-resnet50", {}, "units 'A', the model's is 'ABC'; .* with 'A'"),
    ("p3d-caffe-se-resnet50", {}, "p3d-se-resnet50", {}, "backbone 'caffe-se-resnet50', the model's is 'se-"),
    (
        "lgd-p3d-resnet18",
        {"order": "release"},
        "lgd-p3d-resnet18",
        {},
        "order 'release', the model's is 'paper'",
    ),
]


@pytest.mark.parametrize(("name", "choices", "wrong", "other", "message"), FORMS)
def test_weights_of_another_function_with_the_same_shapes_are_refused(
    name, choices, wrong, other, message, tmp_path
):
    common = {"in_channels": 3, "num_classes": 5, "width": 16}
    source, model = build_model(name, **common, **choices), build_model(wrong, **common, **other)
    torch.save(source.state_dict(), tmp_path / "a.pth")
    for weights in (source.state_dict(), tmp_path / "a.pth", {"model": source.state_dict()}):
        with pytest.raises(WeightsError, match=message):
            load_weights(model, weights)
        load_weights(build_model(name, **common, **choices), weights)


def test_the_file_of_a_stream_says_what_its_shapes_do_not(tmp_path):
    settings = {"backbone": "lgd-p3d-resnet18", "width": 8, "crop": 32, "short_side": 36}
    path = tmp_path / "model.safetensors"
    release = StreamSettings.model_validate({**settings, "order": "release"})
    write_stream(path, network_of(release, 2), release, ["x", "y"], Media(tmp_path))
    load_weights(network_of(release, 2), path)
    paper = StreamSettings.model_validate(settings)
    with pytest.raises(WeightsError, match=r"model\.safetensors is of a network with order 'release'"):
        load_weights(network_of(paper, 2), path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s.pop("layer2.0.conv2.weight"),
            "1 tensors differ, first: 'layer2.0.conv2.weight' is missing",
        ),
        (lambda s: s.update(extra=torch.zeros(1)), "'extra' is surplus"),
        (
            lambda s: s.update({"bn1.weight": torch.zeros(3)}),
            r"1 tensors differ, first: 'bn1.weight' is \(3,\), expected \(8,\)$",
        ),
        (lambda s: s.update({"fc.12.foo": torch.zeros(1)}), "'fc.12.foo' is surplus"),
        (lambda s: s.update({"head.whatever": torch.zeros(1)}), "'head.whatever' is surplus"),
        (
            lambda s: s.update({"module.conv1.weight": s["conv1.weight"]}),
            "one tensor twice, as 'conv1.weight' and as 'module.conv1.weight'; remove one of them",
        ),
        (lambda s: s["bn1.bias"].fill_(torch.nan), "'bn1.bias' holds NaN or infinity"),
        (
            lambda s: s.update({"bn1.bias": torch.full((8,), 1e300, dtype=torch.float64)}),
            "'bn1.bias' holds NaN or infinity",
        ),
        (
            lambda s: s.update({"bn1.bias": torch.ones(8).long()}),
            "'bn1.bias' is int64, expected real numbers",
        ),
        (
            lambda s: s.update({"bn1.bias": s["bn1.bias"] + 0j}),
            "'bn1.bias' is complex64, expected real numbers",
        ),
        (lambda s: s.update({7: torch.zeros(1)}), "expected tensors by name; 7 is no name"),
    ],
)
def test_the_weights_of_another_network_are_refused_and_change_nothing(change, message):
    state = ResNet((3, 4, 6, 3), width=8).state_dict()
    change(state)
    model = build_model("p3d-resnet50", in_channels=3, num_classes=5, width=8)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(WeightsError, match=message):
        load_weights(model, state, "torchvision")
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_a_deeper_network_is_refused():
    model = build_model("p3d-resnet18", in_channels=3, num_classes=5, width=8)
    deeper = ResNet((3, 4, 6, 3), bottleneck=False, width=8).state_dict()
    with pytest.raises(
        WeightsError, match=r"does not fit the model in layout 'torchvision'; \d+ tensors differ"
    ):
        load_weights(model, deeper, "torchvision")


def test_a_wrong_layout_is_guessed_from_the_names():
    model = build_model("p3d-resnet50", in_channels=3, num_classes=5, width=8)
    flat, ours = ResNet((3, 4, 6, 3), width=8).state_dict(), model.state_dict()
    for weights, wrong, right in ((ours, "torchvision", "lgdnet"), (flat, "lgdnet", "torchvision")):
        with pytest.raises(WeightsError, match=rf"Its names look like layout '{right}'$"):
            load_weights(model, weights, wrong)
    with pytest.raises(WeightsError, match=r"Its names look like layout 'timm'$"):
        load_weights(model, Xception(width=8).state_dict(), "torchvision")


def test_maps_of_the_other_order_are_suspected_where_nothing_says_the_order():
    release = build_model("lgd-p3d-resnet18", in_channels=3, num_classes=5, width=32, order="release")
    paper = build_model("lgd-p3d-resnet18", in_channels=3, num_classes=5, width=32)
    with pytest.raises(WeightsError, match=r"Only LGD maps differ: is the source of the other order"):
        load_weights(paper, dict(release.state_dict()))


def test_half_a_classifier_is_refused():
    model = build_model("lgd-p3d-resnet18", in_channels=3, num_classes=5, width=8)
    state = model.state_dict()
    del state["head.local.1.bias"]
    with pytest.raises(WeightsError, match=r"'head\.local\.1\.bias' is missing beside"):
        load_weights(model, state)


@pytest.mark.parametrize("name", ["resnet18", "resnet34"])
def test_basic_blocks_with_time_are_not_those_of_the_release(name):
    for prefix in ("p3d-", "lgd-p3d-"):
        order = "release" if prefix == "lgd-p3d-" else "paper"
        model = build_model(prefix + name, in_channels=3, num_classes=5, width=8, order=order)
        with pytest.raises(WeightsError, match="authors' basic blocks with time are not ours"):
            load_weights(model, {"conv1.weight": torch.zeros(8, 3, 4, 7, 7)}, "release")


def test_what_is_no_source_or_no_model_is_named(tmp_path):
    model = build_model("p3d-resnet18", in_channels=3, num_classes=5, width=8)
    with pytest.raises(WeightsError, match="expected a path or a state dict, found NoneType"):
        load_weights(model, None)
    with pytest.raises(WeightsError, match="a sha256 is that of a file, but a state dict came"):
        load_weights(model, model.state_dict(), sha256="00")
    with pytest.raises(WeightsError, match="expected a model of build_model to fill, found Linear"):
        load_weights(nn.Linear(2, 2), model.state_dict())
    load_weights(model, path_or_state_dict=model.state_dict(), layout="lgdnet")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_no_damage_to_a_file_gives_anything_but_a_message(tmp_path):
    model = build_model("p3d-resnet18", in_channels=3, num_classes=5, width=4)
    new, old, safe = tmp_path / "new.pth", tmp_path / "old.pth", tmp_path / "safe.safetensors"
    torch.save(model.state_dict(), new)
    torch.save(model.state_dict(), old, _use_new_zipfile_serialization=False)
    save_file(model.state_dict(), safe)
    random = Random(0)
    refused = 0
    for path in (new, old, safe):
        whole = path.read_bytes()
        for _ in range(40):
            damaged = bytearray(whole)
            for _ in range(20):
                damaged[random.randrange(random.choice((200, 4000)))] = random.randrange(256)
            path.write_bytes(damaged[: random.randrange(len(damaged))] if random.random() < 0.3 else damaged)
            try:
                load_weights(model, path)
            except WeightsError as error:
                refused += path.name in str(error)
    assert refused > 100


def test_release_maps_need_the_release_order():
    model = build_model("lgd-p3d-resnet50", in_channels=3, num_classes=5, width=8)
    with pytest.raises(WeightsError, match=r"of order 'release'; build the model with order='release'"):
        load_weights(model, {"layer1.0.fc1.weight": torch.zeros(2, 8)}, "release")


class Sneaky:
    """Unpickling it creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_what_is_no_state_dict_is_refused(tmp_path):
    model = build_model("p3d-resnet18", in_channels=3, num_classes=5, width=8)
    text, pickled, numbers = tmp_path / "a.pth", tmp_path / "b.pth", tmp_path / "c.pth"
    text.write_text("not weights at all")
    torch.save({"weight": Sneaky(tmp_path / "touched")}, pickled)
    torch.save({"weight": 1.0}, numbers)
    broken = tmp_path / "d.safetensors"
    broken.write_bytes(b"\x00" * 20)
    for path in (text, pickled):
        with pytest.raises(
            WeightsError, match=f"{path.name}: no state dict, or one that would need unpickling"
        ):
            load_weights(model, path, "torchvision")
    assert not (tmp_path / "touched").exists()
    with pytest.raises(WeightsError, match=r"safetensors \(it calls getattr\)$"):
        load_weights(model, pickled, "torchvision")
    with pytest.raises(WeightsError, match=r"save it again as safetensors$"):
        load_weights(model, text, "torchvision")
    with pytest.raises(WeightsError, match=r"c\.pth: expected tensors by name; 'weight' is none"):
        load_weights(model, numbers, "torchvision")
    with pytest.raises(WeightsError, match=r"d\.safetensors: no safetensors file"):
        load_weights(model, broken, "torchvision")
    with pytest.raises(WeightsError, match=r"e\.pth: no such file; weights are local files"):
        load_weights(model, tmp_path / "e.pth", "torchvision")
    with pytest.raises(WeightsError, match="no layout 'keras'; there are torchvision, timm, release, lgdnet"):
        load_weights(model, {}, "keras")
    with pytest.raises(WeightsError, match="the state dict: expected tensors by name, found nothing"):
        load_weights(model, {}, "timm")
    with pytest.raises(WeightsError, match=r"f: a folder; name the file of weights in it"):
        (tmp_path / "f").mkdir()
        load_weights(model, tmp_path / "f", "timm")
    with pytest.raises(
        WeightsError, match=r"expected plain tensors; 'weight' is torch\.sparse_coo; save its to_dense"
    ):
        load_weights(model, {"weight": torch.eye(3).to_sparse()}, "timm")
