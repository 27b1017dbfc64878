"""Flow files: whole or absent, resumable, n - 1 fields per video, and never those of other settings."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from lgdnet.flow import FlowError, FlowFiles, FlowShard, FlowWriter, Recipe, encode_field

RECIPE = Recipe("dis", {"preset": "medium"}, bound=20.0, short_side=16, quality=90)
IDS, NUM_FRAMES = ["a", "ç d", "c"], [5, 2, 9]
DIGESTS = ["1", "2", "3"]


def levels(video_id, num_frames):
    """(fields, 2, 16, 24) uint8, smooth, so that a JPEG keeps them"""
    start = sum(video_id.encode()) % 50
    ramp = np.arange(24) + np.arange(2)[:, None, None] * 40 + np.arange(16)[:, None]
    return np.stack([ramp + start + 5 * i for i in range(num_frames - 1)]).astype(np.uint8)


def jpegs(video_id, num_frames):
    return [encode_field(field) for field in levels(video_id, num_frames)]


def writer(path, ids=IDS, num_frames=NUM_FRAMES, recipe=RECIPE, digests=DIGESTS):
    provenance = {"settings": "{}", "inputs": "{}", "code_version": "0"}
    return FlowWriter(
        path,
        video_ids=ids,
        num_frames=num_frames,
        recipe=recipe,
        provenance=provenance,
        source_digests=digests,
    )


def write(path, ids=IDS, num_frames=NUM_FRAMES, order=None, **more):
    with writer(path, ids, num_frames, **more) as out:
        for row in order or out.missing:
            out.add(row, jpegs(ids[row], num_frames[row]), height=16, width=24)
    return path


def test_fields_are_read_by_number_in_any_order(tmp_path):
    files = FlowFiles([write(tmp_path / "0.h5"), write(tmp_path / "1.h5", ["e"], [4], digests=["5"])])
    for video_id, num_frames in zip([*IDS, "e"], [*NUM_FRAMES, 4], strict=True):
        expected = levels(video_id, num_frames).astype(int)
        assert files.num_fields(video_id) == num_frames - 1
        assert np.abs(files.read(video_id, range(num_frames - 1)) - expected).max() <= 2
    looped = files.read("c", [6, 7, 0, 1, 6])
    assert np.abs(looped - levels("c", 9).astype(int)[[6, 7, 0, 1, 6]]).max() <= 2
    assert (looped[0] == looped[4]).all()


def test_the_bytes_do_not_depend_on_the_order_of_work(tmp_path):
    straight, mixed = write(tmp_path / "a.h5"), write(tmp_path / "b.h5", order=[2, 0, 1])
    assert straight.read_bytes() == mixed.read_bytes()


def test_a_field_beyond_the_last_is_an_error(tmp_path):
    files = FlowFiles([write(tmp_path / "0.h5")])
    for field in (4, -1):
        with pytest.raises(FlowError, match=r"0.h5: 'a' has flow fields 0 to 3, not"):
            files.read("a", [0, field])


def test_n_frames_need_exactly_n_minus_1_fields(tmp_path):
    with (
        pytest.raises(FlowError, match=r"a: 5 flow fields, but the manifest says 5 frames, so 4"),
        writer(tmp_path / "0.h5") as out,
    ):
        out.add(0, jpegs("a", 6), height=16, width=24)


def test_a_file_that_claims_other_counts_is_refused(tmp_path):
    path = write(tmp_path / "0.h5")
    with h5py.File(path, "a") as h5:
        h5["num_frames"][0] = 6
    with pytest.raises(FlowError, match=r"0.h5: 13 flow fields, but its 3 videos need 14"):
        FlowShard(path)


def test_missing_videos_leave_no_file_but_a_journal_to_go_on_from(tmp_path):
    path = tmp_path / "0.h5"
    with (
        pytest.raises(FlowError, match=r"2 of 3 videos have no flow yet, first 'ç d'. Run the same"),
        writer(path) as out,
    ):
        out.add(0, jpegs("a", 5), height=16, width=24)
    assert not path.exists()
    with writer(path) as out:
        assert out.missing == [1, 2]
        for row in out.missing:
            out.add(row, jpegs(IDS[row], NUM_FRAMES[row]), height=16, width=24)
    assert path.read_bytes() == write(tmp_path / "straight.h5").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0.h5", "straight.h5"]


@pytest.mark.parametrize("cut", [1, 3, 10, 200, 900])
def test_a_torn_record_is_dropped_wherever_it_is_torn(tmp_path, cut):
    path, journal = tmp_path / "0.h5", tmp_path / "0.h5.journal"
    with pytest.raises(KeyboardInterrupt), writer(path) as out:
        for row in (0, 1):
            out.add(row, jpegs(IDS[row], NUM_FRAMES[row]), height=16, width=24)
        raise KeyboardInterrupt
    os.truncate(journal, journal.stat().st_size - cut)
    with writer(path) as out:
        assert out.missing == ([1, 2] if cut < 500 else [0, 1, 2])
        for row in out.missing:
            out.add(row, jpegs(IDS[row], NUM_FRAMES[row]), height=16, width=24)
    assert path.read_bytes() == write(tmp_path / "straight.h5").read_bytes()


@pytest.mark.parametrize(
    "change",
    [{"recipe": replace(RECIPE, bound=10.0)}, {"digests": ["1", "2", "4"]}, {"num_frames": [5, 2, 8]}],
)
def test_a_journal_of_other_settings_or_videos_is_started_again(tmp_path, capsys, change):
    with pytest.raises(KeyboardInterrupt), writer(tmp_path / "0.h5") as out:
        out.add(0, jpegs("a", 5), height=16, width=24)
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt), writer(tmp_path / "0.h5", **change) as out:
        assert out.missing == [0, 1, 2]
        raise KeyboardInterrupt
    assert "begun with other settings or videos; starting it again" in capsys.readouterr().err


def test_a_second_writer_is_refused(tmp_path):
    with (
        pytest.raises(FlowError, match=r"0.h5.journal: another process is writing it"),
        writer(tmp_path / "0.h5"),
    ):
        writer(tmp_path / "0.h5")


def test_files_of_two_recipes_are_never_mixed(tmp_path):
    one = write(tmp_path / "one.h5")
    other = write(tmp_path / "other.h5", ["e"], [3], digests=["5"], recipe=replace(RECIPE, bound=10.0))
    with pytest.raises(FlowError, match=r"other.h5: made with bound 10.0 instead of 20.0, unlike .*one.h5"):
        FlowFiles([one, other])


def test_a_file_of_other_settings_is_refused(tmp_path):
    wanted = replace(RECIPE, algorithm="tvl1", parameters={"num_warps": 5})
    with pytest.raises(
        FlowError, match=r"0.h5: made with algorithm dis instead of tvl1, parameters .* unlike the settings"
    ):
        FlowFiles([write(tmp_path / "0.h5")], expected=wanted)
    FlowFiles([tmp_path / "0.h5"], expected=RECIPE)


def test_flow_of_other_videos_is_refused(tmp_path):
    files = FlowFiles([write(tmp_path / "0.h5")])
    files.check(IDS, NUM_FRAMES, DIGESTS)
    with pytest.raises(FlowError, match=r"no flow for 1 of 4 videos, first 'z'"):
        files.check([*IDS, "z"], [*NUM_FRAMES, 3])
    with pytest.raises(FlowError, match=r"'c' had 9 frames, the manifest says 10"):
        files.check(IDS, [5, 2, 10])
    with pytest.raises(FlowError, match=r"'c' was made from another video file"):
        files.check(IDS, NUM_FRAMES, ["1", "2", "4"])


def test_damage_is_an_error_that_names_the_file(tmp_path):
    whole = write(tmp_path / "0.h5").read_bytes()
    (tmp_path / "short.h5").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.h5").write_text("no HDF5")
    for name in ("short.h5", "text.h5"):
        with pytest.raises(
            FlowError, match=rf"{name}: truncated or damaged .* Delete it and run `snakemake flow`"
        ):
            FlowShard(tmp_path / name)
    with pytest.raises(FlowError, match=r"gone.h5: no such flow file"):
        FlowShard(tmp_path / "gone.h5")
    with h5py.File(tmp_path / "0.h5", "a") as h5:
        del h5.attrs["complete"]
    with pytest.raises(FlowError, match=r"0.h5: not a whole flow file"):
        FlowShard(tmp_path / "0.h5")
    with pytest.raises(FlowError, match=r"no flow files were given"):
        FlowFiles([])


def test_one_flipped_byte_of_a_picture_is_noticed(tmp_path):
    path = write(tmp_path / "0.h5")
    with h5py.File(path) as h5:
        start = h5["jpeg"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[start + 500] ^= 1
    path.write_bytes(content)
    with pytest.raises(FlowError, match=r"0.h5: truncated or damaged"):
        FlowShard(path).read(0, [0])


def test_an_empty_shard_is_a_file_too(tmp_path):
    shard = FlowShard(write(tmp_path / "0.h5", [], [], digests=[]))
    assert shard.video_ids == [] and shard.recipe == RECIPE


def test_many_processes_read_one_file(tmp_path):
    import pickle

    files = FlowFiles([write(tmp_path / "0.h5")])
    before = files.read("c", [3])
    assert (pickle.loads(pickle.dumps(files)).read("c", [3]) == before).all()
    child = os.fork()
    if child == 0:
        same = all((files.read("c", [i]) == files.read("c", [i])).all() for i in range(8))
        os._exit(0 if same else 1)
    for _ in range(20):
        files.read("a", [1])
    assert os.waitpid(child, 0)[1] == 0 and (files.read("c", [3]) == before).all()


KILL_ME = """
import sys, time
from pathlib import Path
from tests.flow.test_files import IDS, NUM_FRAMES, jpegs, writer
with writer(Path(sys.argv[1])) as out:
    for row in out.missing:
        print(row, flush=True)
        out.add(row, jpegs(IDS[row], NUM_FRAMES[row]), height=16, width=24)
        time.sleep(60 if row < 2 else 0)
"""


@pytest.mark.slow
def test_a_killed_process_goes_on_after_the_last_whole_video(tmp_path):
    path, begun = tmp_path / "0.h5", []
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", KILL_ME, str(path)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
        )
        begun.append(process.stdout.readline().strip())
        if begun[-1] != "2":
            journal, size = path.with_name("0.h5.journal"), -1
            while journal.stat().st_size != size or size < 1000:
                size = journal.stat().st_size
                __import__("time").sleep(0.2)
            process.send_signal(signal.SIGKILL)
        process.wait(30)
    assert begun == ["0", "1", "2"]
    assert path.read_bytes() == write(tmp_path / "straight.h5").read_bytes()
