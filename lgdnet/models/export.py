"""A network as a `torch.export` program or as ONNX, for machines without this package; checked against eager.

The input is the normalised clip that `lgdnet.augment.eval_transform` makes, float32 (N, C, T, H, W) with any N.
The outputs are those of `Output` that the network has, by name, in order.
"""

import copy
import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from lgdnet.artefact import atomic
from lgdnet.models.heads import KernelHead, Output
from lgdnet.models.lgd import ModelError, TwoPathNetwork

TOLERANCE = 1e-4  # of the largest logit; other kernels round differently


# Rounding of a sketch's small entries grows a thousandfold, most in narrow and untrained networks.
STEEP = ". The kernel head's square root is steep at 0: export after training, or use another head"


class NamedOutputs(nn.Module):
    """The network with a tuple of tensors for an `Output`: exporters have no place for None."""

    def __init__(self, model: TwoPathNetwork, example: Tensor) -> None:
        super().__init__()
        self.model = model
        with torch.no_grad():
            output: Output = model(example)
        self.names = [name for name, value in output._asdict().items() if value is not None]

    def forward(self, clip: Tensor) -> tuple[Tensor, ...]:
        output = self.model(clip)
        return tuple(getattr(output, name) for name in self.names)


def export(model: TwoPathNetwork, clip_shape: Sequence[int], out: Path, about: Mapping[str, str]) -> float:
    """Write `out`, a .pt2 program or an .onnx file, and return its largest relative difference from eager.

    `clip_shape` is (C, T, H, W); `about` (classes, normalisation, ...) goes into the file. A file whose logits
    differ by more than 1e-4 of the largest is not written. Errors: ModelError.
    """
    if out.suffix not in (".pt2", ".onnx"):
        raise ModelError(f"{out}: expected a name that ends in .pt2 (torch.export) or .onnx")
    model = copy.deepcopy(model).eval().requires_grad_(False)  # the caller's may be in training
    generator = torch.Generator().manual_seed(0)
    example, other = (torch.randn(N, *clip_shape, generator=generator) for N in (2, 3))
    outputs = NamedOutputs(model, example)
    with atomic(out) as tmp:
        logits = (write_program if out.suffix == ".pt2" else write_onnx)(outputs, example, other, tmp, about)
        expected = outputs(other)[0]
        difference = ((logits - expected).abs().max() / expected.abs().max()).item()
        if not difference <= TOLERANCE:
            raise ModelError(
                f"{out}: the exported network differs from eager by {difference:.1e} of the largest logit, "
                f"more than {TOLERANCE:.0e}; it was not written" + STEEP * isinstance(model.head, KernelHead)
            )
    return difference


def write_program(
    outputs: NamedOutputs, example: Tensor, other: Tensor, path: Path, about: Mapping[str, str]
) -> Tensor:
    """A `torch.export` program; returns the logits of `other` as computed by the file read back."""
    program = torch.export.export(outputs, (example,), dynamic_shapes={"clip": {0: torch.export.Dim("N")}})
    extra = {"lgdnet.json": json.dumps({"outputs": outputs.names, **about})}
    with path.open("wb") as file:
        torch.export.save(program, file, extra_files=extra)
    with path.open("rb") as file:
        return torch.export.load(file).module()(other)[0]


def write_onnx(
    outputs: NamedOutputs, example: Tensor, other: Tensor, path: Path, about: Mapping[str, str]
) -> Tensor:
    """An ONNX file; returns the logits of `other` as computed by ONNX Runtime from the file."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  torch's exporter is written with it
    except ImportError as error:
        raise ModelError(f"ONNX needs the package {error.name}: pip install 'lgdnet[export]'") from error
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter about itself
        program = torch.onnx.export(
            outputs,
            (example,),
            dynamo=True,
            dynamic_shapes={"clip": {0: torch.export.Dim("N")}},
            input_names=["clip"],
            output_names=outputs.names,
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props.update(about)
    program.save(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(["logits"], {"clip": other.numpy()})[0])
