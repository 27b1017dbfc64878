"""`lgdnet models`: the table of the family."""

import pytest
import torch

from lgdnet.models import ModelError
from lgdnet.stages import models as stage

torch.set_num_threads(1)


def test_the_table_has_parameters_multiply_adds_and_speed(monkeypatch):
    monkeypatch.setattr(stage, "MEASURE_SEC", 0.05)
    lines = stage.run(like="p3d-resnet18", num_classes=700, measure="4x32").splitlines()
    assert lines[0].endswith("| GFLOPs 16x224 | GFLOPs 128x224 | clips/s at 4x32 (1 thread) |")
    names = [line.split("|")[1].strip() for line in lines[2:]]
    assert names == ["lgd-p3d-resnet18", "p3d-resnet18"]
    cells = [cell.strip() for cell in lines[3].strip("|").split("|")]
    assert float(cells[-1]) > 1
    assert cells[2] == "0.00"


def test_without_measuring_there_is_no_speed():
    row = stage.row_of("lgd-p3d-resnet50", 700, None)
    assert (row.parameters, row.clips_per_sec) == (37_420_040, None)
    assert row.gflops_16 == pytest.approx(20.2, abs=0.05)


def test_wrong_choices_are_named():
    with pytest.raises(ModelError, match="no model has 'vit' in its name"):
        stage.run(like="vit")
    with pytest.raises(ModelError, match="cannot measure '16': expected frames x pixels, such as 16x112"):
        stage.run(measure="16")
    with pytest.raises(ModelError, match=r"cannot measure '16x16': .* at least 32 pixels"):
        stage.run(measure="16x16")
