"""The data benchmark adds up and names the limit."""

import json

import pytest
from barcodes import write_video

from lgdnet.errors import InputError
from lgdnet.stages import bench_data

STEPS = {"open": 1.0, "decode": 6.0, "crop and resize": 2.0, "collate": 1.0, "augment": 0.5}


def test_the_limit_is_named():
    slow_disk = bench_data.Costs(STEPS, network=1.5, num_cores=4, device="cuda")
    assert slow_disk.fed == 400 and slow_disk.trained == 500
    assert (
        "feeding is the limit: 400.0 clips/s, while the network takes 500.0; most of it is 'decode'"
        in slow_disk.verdict()
    )
    slow_network = bench_data.Costs(STEPS, network=99.5, num_cores=4, device="cpu")
    assert slow_network.fed == 200
    assert slow_network.verdict() == "the network is the limit: 10.0 clips/s, while 200.0 can be fed"


def test_it_measures_a_challenge(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    header = "video_id,path,label,class_index,num_frames,width,height,backend"
    folder = tmp_path / "results/tiny/manifest"
    folder.mkdir(parents=True)
    write_video(tmp_path / "videos/a.mp4", 20)
    (folder / "train.csv").write_text(f"{header}\na,a.mp4,run,0,20,128,96,seek\n")
    (folder / "classes.txt").write_text("run\nwalk\n")
    (tmp_path / "c.yaml").write_text(
        "challenge: tiny\n"
        "dataset: {video_root: videos, annotations: {train: t.csv, validation: v.csv}}\n"
        "streams: {f: {backbone: lgd-p3d-resnet18, width: 4, clip_length: 4, crop: 32, short_side: 32}}\n"
    )
    bench_data.run(tmp_path / "c.yaml", num_clips=3)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("stream f") and len(lines) == 9 and "is the limit" in lines[-1]
    rates = json.loads((tmp_path / "results/tiny/streams/f/bench_data.json").read_text())  # for `lgdnet plan`
    assert set(rates) == {"fed_per_core", "trained"} and min(rates.values()) > 0
    with pytest.raises(InputError, match=r"c\.yaml: no frame stream x\. Frame streams: f"):
        bench_data.run(tmp_path / "c.yaml", stream="x")
