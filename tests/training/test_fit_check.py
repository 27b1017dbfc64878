"""A few steps of a stream: what they measure, and that nothing is written."""

import json
import time
from functools import partial

import pytest

from lgdnet import plan
from lgdnet.errors import InputError
from lgdnet.settings import read_challenge
from lgdnet.sources import clips_of
from lgdnet.stages import fit_check
from tests.training.small import SMALL


def test_fit_check_measures_and_writes_nothing(videos, capfd):
    before = sorted(videos.rglob("*"))
    (fit,) = fit_check.run(
        videos / "tiny.yaml", "frame4", results=videos / "results", num_steps=1, device="cpu"
    )
    assert fit.clip == (3, 4, 32, 32) and fit.num_steps == 6 and fit.memory_mb > 0 and fit.loop_sec > 0
    assert "hours of training on one process" in capfd.readouterr().out
    assert sorted(videos.rglob("*")) == before
    with pytest.raises(InputError, match="no stream is called 'frame5'; did you mean 'frame4'"):
        fit_check.run(videos / "tiny.yaml", "frame5")
    assert read_challenge(videos / "tiny.yaml").streams["frame4"].width == 4


class SlowSource:
    """Takes a while for every clip."""

    def __init__(self, source, sec_per_clip):
        self.source, self.sec_per_clip = source, sec_per_clip

    def __getattr__(self, name):
        return getattr(self.source, name)

    def __len__(self):
        return len(self.source)

    def read(self, row, generator):
        time.sleep(self.sec_per_clip)
        return self.source.read(row, generator)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_fit_check_sees_that_many_slow_workers_are_the_limit(videos, monkeypatch):
    workers, sec_per_clip = 6, 0.15
    slowly = partial(SlowSource, sec_per_clip=sec_per_clip)
    monkeypatch.setattr(plan, "clips_of", lambda *arguments: slowly(clips_of(*arguments)))
    monkeypatch.setattr(fit_check, "share_cores", lambda *_: workers)
    (fit,) = fit_check.run(videos / "tiny.yaml", "frame4", results=videos / "results", device="cpu")
    assert fit.clips_per_step / fit.loop_sec < 1.3 * workers / sec_per_clip
    assert fit.model_sec < fit.loop_sec


def test_fit_check_trains_as_the_run_will(videos, monkeypatch, tmp_path):
    """Its running average takes memory too."""
    seen = []
    monkeypatch.setattr(fit_check, "update", lambda run, *others: seen.append(run.average))
    tiny = json.loads((videos / "tiny.yaml").read_text())
    tiny["streams"]["frame4"] = {**SMALL, "train": {**SMALL["train"], "average_decay": 0.9}}
    (tmp_path / "tiny.yaml").write_text(json.dumps(tiny))
    fit_check.run(tmp_path / "tiny.yaml", "frame4", results=videos / "results", device="cpu")
    assert seen and None not in seen
