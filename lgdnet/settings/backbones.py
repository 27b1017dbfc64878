"""The names of the networks, so that a misspelt one is found before anything runs. A test keeps them in step."""

BODIES = (
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet103",
    "resnet152",
    "resnext50-32x4d",
    "resnext101-32x8d",
    "wide-resnet50",
    "wide-resnet101",
    "se-resnet50",
    "se-resnet101",
    "se-resnet152",
    "se-resnext50-32x4d",
    "se-resnext101-32x4d",
    "caffe-se-resnet50",
    "caffe-se-resnet101",
    "caffe-se-resnet152",
    "caffe-se-resnext50-32x4d",
    "caffe-se-resnext101-32x4d",
    "xception",
)
PREFIXES = ("lgd-p3d-", "p3d-", "")  # both paths; with time; 2D on single frames
BACKBONES = tuple(prefix + body for prefix in PREFIXES for body in BODIES)
