"""Frames kept as JPEG: the same frames, from one file per shard."""

import h5py
import numpy as np
import pytest
from barcodes import number_of, write_video

from lgdnet.errors import InputError
from lgdnet.loader.batches import batches, views
from lgdnet.loader.frames import FrameSource
from lgdnet.manifest import read_manifest
from lgdnet.settings import CacheSettings
from lgdnet.stages import cache as stage
from lgdnet.video import read_frames
from lgdnet.video.cache import CacheError, FrameCache


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A manifest of four videos, and its cache in two shards."""
    folder = tmp_path_factory.mktemp("cache")
    lines = ["video_id,path,label,class_index,num_frames,width,height,backend"]
    for i in range(4):
        write_video(folder / f"v{i}.mp4", 30 + i, first_number=100 * i)
        lines.append(f"v{i},v{i}.mp4,run,0,{30 + i},128,96,seek")
    (folder / "train.csv").write_text("\n".join(lines) + "\n")
    shards = [folder / f"train/{i:04d}.h5" for i in range(2)]
    for i, shard in enumerate(shards):
        stage.run(folder / "train.csv", folder, shard, CacheSettings(short_side=48), shard=i, num_shards=2)
    return folder, shards


def test_frames_come_by_number_and_look_the_same(made):
    folder, shards = made
    cache = FrameCache(shards)
    indices = np.array([29, 3, 3, 17])
    frames = cache.read("v3", indices)
    assert frames.shape == (4, 48, 64, 3) and [number_of(f) for f in frames] == [329, 303, 303, 317]
    right = read_frames(folder / "v3.mp4", indices, short_side=48)
    assert np.abs(frames.astype(int) - right.astype(int)).mean() < 3


def test_a_source_reads_clips_and_views_from_the_cache(made):
    folder, shards = made
    manifest = read_manifest(folder / "train.csv")
    source = FrameSource(
        manifest, folder / "nowhere", clip_length=4, size=32, short_side=36, cache=FrameCache(shards)
    )
    alone, shared = (next(batches(source, batch_size=4, seed=0, num_workers=n)) for n in (0, 1))
    assert (alone.clip == shared.clip).all() and alone.clip.shape == (4, 3, 4, 32, 32)
    assert [v.row for v in views(source, num_clips=2, num_crops=1)] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert source.load_views(2, num_clips=1).frames.shape == (4, 36, 48, 3)


def test_what_is_not_there_is_an_error(made, tmp_path):
    cache = FrameCache(made[1])
    with pytest.raises(CacheError, match="video 'x' is not in the cache"):
        cache.read("x", np.array([0]))
    with pytest.raises(CacheError, match="'v0' has 30 frames, 30 was asked for"):
        cache.read("v0", np.array([30]))
    (tmp_path / "a.h5").write_bytes(b"nothing")
    with pytest.raises(CacheError, match=r"a\.h5: cannot be read"):
        FrameCache([tmp_path / "a.h5"])
    h5py.File(tmp_path / "b.h5", "w").close()
    with pytest.raises(CacheError, match=r"b\.h5: not a finished frame cache"):
        FrameCache([tmp_path / "b.h5"])


def test_a_video_that_changed_is_an_error_and_leaves_no_file(made, tmp_path):
    folder, _ = made
    (tmp_path / "t.csv").write_text((folder / "train.csv").read_text().replace("30,128", "31,128"))
    with pytest.raises(InputError, match=r"v0\.mp4: 31 frames in the manifest, 30 decode"):
        stage.run(tmp_path / "t.csv", folder, tmp_path / "c.h5", CacheSettings(short_side=48))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.csv"]
