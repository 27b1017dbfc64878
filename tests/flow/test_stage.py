"""The flow stage and the flow source: videos in, the right fields out, whatever interrupts them."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from lgdnet.augment import train_transform
from lgdnet.batch import Batch
from lgdnet.flow import FlowError, FlowFiles, compute_flow, decode_field, dequantise, quantise
from lgdnet.flow.journal import FlowJournal
from lgdnet.loader.flow import FlowSource, computed_fields, stored_fields
from lgdnet.modalities import MODALITIES
from lgdnet.settings import FlowSettings, SettingsError, parse
from lgdnet.stages import flow as stage
from lgdnet.stages import show_flow
from lgdnet.video import iterate_frames
from tests.flow.pictures import small_set

SMALL = FlowSettings(short_side=32, bound=8)


@pytest.fixture(scope="module")
def extracted(tmp_path_factory):
    """Three videos with 6, 2 and 20 frames, and their flow."""
    folder = tmp_path_factory.mktemp("flow")
    videos = small_set(folder, (6, 2, 20))
    stage.run(manifest=folder / "m.csv", video_root=folder, out=folder / "0.h5", settings=SMALL, threads=2)
    return folder, videos


def test_the_file_holds_the_flow_of_every_pair(extracted):
    folder, videos = extracted
    files = FlowFiles([folder / "0.h5"])
    assert [files.num_fields(video_id) for video_id in videos.video_ids] == [5, 1, 19]
    for i, (dx, dy) in enumerate([(1, 0), (2, -1), (3, 0)]):
        read = dequantise(files.read(f"v{i}", range(files.num_fields(f"v{i}"))), 8)
        np.testing.assert_allclose(np.median(read, (0, 2, 3)), (dx, dy), atol=0.15)


def test_fields_are_those_of_the_decoded_frames(extracted):
    folder, _ = extracted
    grey = np.stack(
        [cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in iterate_frames(folder / "v2.mp4", short_side=32)]
    )
    expected = quantise(compute_flow("dis", grey), 8).astype(int)
    read = FlowFiles([folder / "0.h5"]).read("v2", range(19))
    assert np.abs(read - expected).mean() < 1.5  # levels, from the JPEG


def test_a_shard_is_its_part_of_the_manifest(extracted):
    folder, _ = extracted
    out = folder / "part.h5"
    stage.run(manifest=folder / "m.csv", video_root=folder, out=out, shard=1, num_shards=2, settings=SMALL)
    assert FlowFiles([out]).shards[0].video_ids == ["v1", "v2"]


def test_what_made_the_file_stands_in_it(extracted):
    recipe = FlowFiles([extracted[0] / "0.h5"]).recipe
    assert (recipe.algorithm, recipe.parameters, recipe.bound) == ("dis", {"preset": "medium"}, 8)


def test_progress_is_in_frames_per_second(extracted, tmp_path, capsys):
    folder, _ = extracted
    stage.run(manifest=folder / "m.csv", video_root=folder, out=tmp_path / "0.h5", settings=SMALL)
    assert "flow: 28/28 frames, 100 %" in (said := capsys.readouterr().err) and "frames/s" in said


@pytest.mark.parametrize(("at_once", "waiting"), [(300, 900), (6, 900), (300, 10)])
def test_several_videos_of_one_size_make_one_batch(extracted, monkeypatch, at_once, waiting):
    """The way of a GPU, on a CPU: decoded in workers, computed here, together; small limits part them."""
    folder, videos = extracted
    monkeypatch.setattr(stage, "PAIRS_AT_ONCE", at_once)
    monkeypatch.setattr(stage, "PAIRS_WAITING", waiting)
    recipe = stage.recipe_of(SMALL, "cpu")
    paths = [folder / path for path in videos.paths]
    flows = list(stage.extract_on_gpu([0, 1, 2], paths, recipe, num_workers=1, device="cpu"))
    stored = FlowFiles([folder / "0.h5"])
    for flow in flows:
        fields = np.stack([decode_field(field) for field in flow.fields])
        assert (fields == stored.read(f"v{flow.row}", range(len(fields)))).all()
    assert sorted(flow.row for flow in flows) == [0, 1, 2]


def test_a_video_of_one_frame_is_refused_before_any_work(tmp_path):
    small_set(tmp_path, (3, 1))
    with pytest.raises(
        FlowError, match=r"m.csv: 'v1' has 1 frame, flow needs two. Set manifest: min_frames: 2"
    ):
        stage.run(manifest=tmp_path / "m.csv", video_root=tmp_path, out=tmp_path / "0.h5", settings=SMALL)


def test_a_video_that_does_not_decode_is_an_error_with_its_name(tmp_path):
    small_set(tmp_path, (3, 4))
    (tmp_path / "v1.mp4").write_bytes(b"no video")
    with pytest.raises(FlowError, match=r"v1.mp4: no flow \(.*run `snakemake manifest` again"):
        stage.run(manifest=tmp_path / "m.csv", video_root=tmp_path, out=tmp_path / "0.h5", settings=SMALL)
    assert not (tmp_path / "0.h5").exists()


def test_a_video_that_changed_since_the_manifest_is_an_error(tmp_path):
    small_set(tmp_path, (3, 4))
    (tmp_path / "v1.mp4").write_bytes((tmp_path / "v0.mp4").read_bytes())
    with pytest.raises(FlowError, match=r"v1: 2 flow fields, but the manifest says 4 frames, so 3"):
        stage.run(manifest=tmp_path / "m.csv", video_root=tmp_path, out=tmp_path / "0.h5", settings=SMALL)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("bound", 0),
        ("bound", 1e-300),
        ("bound", float("inf")),
        ("bound", float("nan")),
        ("quality", 101),
        ("short_side", 0),
    ],
)
def test_settings_out_of_range_are_refused_by_name(key, value):
    with pytest.raises(SettingsError, match=rf"--settings: {key}: "):
        parse(FlowSettings, json.dumps({key: value}))


def test_a_finished_file_stays_and_one_of_other_settings_is_not_overwritten(tmp_path, capsys):
    small_set(tmp_path, (4, 5))
    given = {"manifest": tmp_path / "m.csv", "video_root": tmp_path, "out": tmp_path / "0.h5"}
    stage.run(**given, settings=SMALL)
    made = (tmp_path / "0.h5").stat().st_mtime_ns
    stage.run(**given, settings=SMALL)
    assert "the flow of all 2 videos is there already" in capsys.readouterr().err
    with pytest.raises(FlowError, match=r"made with bound 8.0 instead of 20.0, unlike .*name another --out"):
        stage.run(**given, settings=FlowSettings(short_side=32, bound=20))
    with pytest.raises(FlowError, match=r"0.h5: the flow of 2 videos, not of these 1 alone"):
        stage.run(**given, settings=SMALL, shard=1, num_shards=2)
    assert (tmp_path / "0.h5").stat().st_mtime_ns == made


def test_flow_on_the_fly_refuses_a_video_of_one_frame_before_training(tmp_path):
    videos = small_set(tmp_path, (3, 1))
    with pytest.raises(FlowError, match=r"'v1' has 1 frame, flow needs two. Set manifest: min_frames: 2"):
        computed_fields(videos, tmp_path, stage.recipe_of(SMALL, "cpu"))


def test_opencvs_algorithms_do_not_run_on_a_gpu():
    with pytest.raises(FlowError, match="dis runs on CPUs only"):
        stage.chosen_device(FlowSettings(algorithm="dis"), "cuda")
    assert stage.chosen_device(FlowSettings(algorithm="dis"), "auto") == "cpu"


def test_flow_computed_on_the_fly_equals_the_stored(extracted):
    folder, videos = extracted
    stored = stored_fields([folder / "0.h5"], videos)
    computed = computed_fields(videos, folder, stage.recipe_of(SMALL, "cpu"))
    for row, fields in [(2, [3, 4, 18, 3]), (1, [0, 0])]:
        assert (stored(row, np.array(fields)) == computed(row, np.array(fields))).all()


def test_flow_of_other_settings_is_never_used(extracted):
    folder, videos = extracted
    wanted = stage.recipe_of(FlowSettings(short_side=32, bound=20), "cpu")
    with pytest.raises(FlowError, match=r"0.h5: made with bound 8.0 instead of 20.0, unlike the settings"):
        stored_fields([folder / "0.h5"], videos, expected=wanted)


def source(extracted, **more):
    folder, videos = extracted
    shape = {"clip_length": 4, "size": 24, "short_side": 28, **more}
    return FlowSource(videos, stored_fields([folder / "0.h5"], videos), **shape)


def test_a_training_clip_has_two_channels_x_first(extracted):
    clips = source(extracted)
    clip = clips.read(2, np.random.default_rng(0))
    assert clip.shape == (2, 4, 24, 24) and clip.dtype == np.uint8 and clips.label(2) == 0 and len(clips) == 3
    np.testing.assert_allclose(np.median(dequantise(clip, 8), (1, 2, 3)), (3, 0), atol=0.15)


@pytest.mark.parametrize("area", [(0.2, 0.2), (1.0, 1.0)])
def test_a_random_resized_window_keeps_the_motions_as_they_are(extracted, area):
    """However small the window that is enlarged, three pixels per frame stay three pixels per frame."""
    clip = source(extracted, area=area, size=40).read(2, np.random.default_rng(1))
    np.testing.assert_allclose(np.median(dequantise(clip, 8), (1, 2, 3)), (3, 0), atol=0.15)


def test_rest_stays_rest_through_window_and_scaling(extracted):
    _, videos = extracted
    still = FlowSource(
        videos, lambda row, fields: np.full((len(fields), 2, 30, 44), 128, np.uint8), clip_length=3, size=24
    )
    assert (still.read(2, np.random.default_rng(0)) == 128).all()
    assert (still.load_views(2, num_clips=2).frames == 128).all()


def test_stored_flow_mirrors_exactly_on_its_way_into_the_network():
    """8 bit to numbers, mirrored: x changes its sign and its side, y its side, and rest is exactly zero."""
    levels = np.full((1, 2, 3, 4, 5), 128, np.uint8)
    levels[0, 0, :, :, 0], levels[0, 1, :, :, 0] = (
        255,
        1,
    )  # right and up at the left edge, as fast as the bound
    batch = Batch(torch.from_numpy(levels), *(torch.zeros(1, dtype=torch.int64) for _ in range(3)))
    mirrored, _ = train_transform(MODALITIES["flow"], flip=1.0)(batch, torch.device("cpu"))
    expected = torch.zeros(1, 2, 3, 4, 5)
    expected[0, 0, :, :, 4], expected[0, 1, :, :, 4] = -1, -1
    torch.testing.assert_close(mirrored, expected, atol=1e-6, rtol=0)
    assert (mirrored[expected == 0] == 0).all()


def test_a_video_shorter_than_a_clip_starts_again(extracted):
    loaded = source(extracted).load_views(0, num_clips=2)
    assert loaded.starts == [0, 1] and loaded.positions.tolist() == [[0, 1, 2, 3], [1, 2, 3, 4]]
    loaded = source(extracted, clip_length=8).load_views(0, num_clips=1)
    assert loaded.positions.tolist() == [[0, 1, 2, 3, 4, 0, 1, 2]]
    one = source(extracted, clip_length=128).load_views(1, num_clips=1)
    assert one.positions.tolist() == [[0] * 128]


def test_views_are_scaled_to_the_short_side_and_cut(extracted):
    views = list(source(extracted).load_views(2, num_clips=3).views(size=24, num_crops=3))
    assert [view.crop for view in views] == [0, 1, 2] * 3 and views[0].clip.shape == (2, 4, 24, 24)
    assert source(extracted).load_views(2, num_clips=1).frames.shape[1:] == (28, 42, 2)


def test_show_flow_writes_a_strip_and_a_film(tmp_path):
    small_set(tmp_path, (6,))
    png, mp4 = show_flow.run(tmp_path / "v0.mp4", out=tmp_path / "out", short_side=32, bound=4, max_frames=5)
    picture = cv2.imread(str(png))
    assert picture.shape == (2 * 32 + 16, 4 * 48, 3)
    assert picture[60, 20].tolist()[2] > 200  # to the right: red
    with av.open(str(mp4)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 4 and frames[0].shape == (32, 96, 3)


def test_show_flow_needs_two_frames_and_a_known_algorithm(tmp_path):
    small_set(tmp_path, (1,))
    with pytest.raises(FlowError, match=r"v0.mp4: flow needs two frames, this video has 1"):
        show_flow.run(tmp_path / "v0.mp4", out=tmp_path)
    with pytest.raises(FlowError, match="no algorithm is called 'raft'"):
        show_flow.run(tmp_path / "v0.mp4", out=tmp_path, algorithm="raft")


# --- kills ----------------------------------------------------------------------------------------------------

NOTED = """
import os, sys
from lgdnet.settings import FlowSettings, parse
from lgdnet.stages import flow
flow.WORKER = "tests.flow.test_stage:noting_flow_of_video"
folder = sys.argv[1]
from pathlib import Path
folder = Path(folder)
flow.run(manifest=folder / "m.csv", video_root=folder, out=folder / "0.h5",
         settings=parse(FlowSettings, sys.argv[2]), threads=2)
"""


def noting_flow_of_video(path, recipe):
    """The worker's function, with a line in a file for every call. The line is whole: it is one write."""
    with (Path(path).parent / "calls.txt").open("a") as calls:
        calls.write(f"{Path(path).stem}\n")
    return stage.flow_of_video(path, recipe)


def finished(folder: Path) -> set[str]:
    """Videos that are safe in the journal of a killed run."""
    copy = Path(shutil.copy(folder / "0.h5.journal", folder / "seen.journal"))
    with copy.open("rb") as file:
        header = json.loads(file.readline())
    with FlowJournal(copy, header) as journal:
        return {f"v{row}" for row in journal.records}


@pytest.mark.slow
def test_an_extraction_killed_at_ten_random_moments_gives_the_same_file(tmp_path):
    num_frames = tuple(random.Random(1).randrange(12, 50) for _ in range(40))
    small_set(tmp_path, num_frames, height=128, width=160)
    settings = FlowSettings(short_side=128, algorithm="farneback")
    straight, calls, journal = tmp_path / "straight.h5", tmp_path / "calls.txt", tmp_path / "0.h5.journal"
    stage.run(manifest=tmp_path / "m.csv", video_root=tmp_path, out=straight, settings=settings)
    command = [sys.executable, "-c", NOTED, str(tmp_path), json.dumps(settings.model_dump())]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    moments = random.Random(0)
    calls.touch()
    safe = []  # how far the calls had come at each kill, and which videos were finished by then
    for kill in range(10):
        # Every other kill comes in the first videos at hand, the others once one more video is safe.
        watched = journal if kill % 2 else calls
        size = watched.stat().st_size
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        while process.poll() is None and watched.exists() and watched.stat().st_size <= size:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.08))
        if process.poll() is not None:  # a fast machine: everything was done
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(0.2)
        safe.append((calls.stat().st_size, finished(tmp_path)))
    assert len(safe) >= 5, "the work ended before the fifth kill: give it more videos"
    if process.returncode != 0:
        subprocess.run(command, env=environment, check=True)
    computed = calls.read_text().split()
    assert (tmp_path / "0.h5").read_bytes() == straight.read_bytes()
    assert set(computed) == {f"v{i}" for i in range(len(num_frames))}
    assert len(computed) > len(num_frames)
    for size, done in safe:  # only what was in hand at a kill is computed again
        assert not done & set(calls.read_text()[size:].split())
    assert safe[-1][1]
    print(f"{len(safe)} kills, {len(computed)} computations of {len(num_frames)} videos, identical bytes")
