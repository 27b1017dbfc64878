"""Random truncations and bit flips: no crash, no hang, no wrong frame passed off as right.

Right is what a sequential decode of the same bytes returns at that place; the chosen backend must agree bit
for bit. Moreover, where a file is called ok and without damage, no frame may have slipped to another place:
the picture shows its number, or its time stamp is still that of its number (a flipped bit can spoil a picture,
even into a likeness of its neighbour, and no decoder can notice; H.264 has no checksums).
"""

from collections import Counter

import numpy as np
import pytest
from barcodes import barcode, write_video
from containers import CONTAINERS, FIRST_NUMBER, NUM_FRAMES, ROTATION

from lgdnet.datasets.probing import probe_all
from lgdnet.video import VideoError, read_frames
from lgdnet.video.reader import decoded, opened

TIME_LIMIT_SEC = 20.0
GOOD = [n for n in CONTAINERS if n != "AV1, mkv" and not n.startswith("VP9, 97") and "intra refresh" not in n]


def damaged(content: bytes, generator: np.random.Generator) -> bytes:
    """Half of the time cut off, else 1 to 64 bits flipped anywhere."""
    if generator.random() < 0.5:
        return content[: int(generator.integers(1, len(content)))]
    array = np.frombuffer(content, np.uint8).copy()
    for position in generator.integers(0, len(array), int(2 ** generator.integers(0, 7))):
        array[position] ^= 1 << int(generator.integers(8))
    return array.tobytes()


def shown_number(frame: np.ndarray, numbers: range) -> int:
    """The number whose barcode the frame clearly shows; -1 where it is spoilt."""
    gallery = np.stack([barcode(n, *frame.shape[:2]) for n in numbers]).astype(np.int16)
    distance = np.abs(gallery - frame.astype(np.int16)).mean((1, 2, 3))
    order = np.argsort(distance)
    return numbers[order[0]] if distance[order[0]] < 6 and distance[order[1]] - distance[order[0]] > 2 else -1


def fuzz(folder, *, count: int, seed: int) -> Counter:
    """Damage `count` files, probe them all under a time limit, and read what is called ok."""
    generator = np.random.default_rng(seed)
    names = [str(generator.choice(GOOD)) for _ in range(count)]
    whole = {
        n: CONTAINERS[n][1](folder / "whole" / CONTAINERS[n][0]).read_bytes() for n in sorted(set(names))
    }
    right_stamps = {n: stamps_of(folder / "whole" / CONTAINERS[n][0]) for n in whole}
    paths = []
    for i, name in enumerate(names):
        paths.append(f"{i}{CONTAINERS[name][0]}")
        (folder / paths[-1]).write_bytes(damaged(whole[name], generator))
    found = probe_all(
        paths, folder, {}, journal=folder / "probes.jsonl", timeout_sec=TIME_LIMIT_SEC, num_workers=2
    )
    seen = Counter(found["verdict"])
    for name, path, row in zip(names, paths, found.itertuples(), strict=True):
        seen["crash"] += "crashed" in row.reason
        seen["hang"] += "did not finish" in row.reason
        if row.verdict == "ok":
            seen["damaged"] += row.num_damaged > 0
            seen["frames read"] += row.num_frames
            spoilt = check_frames(folder / path, name, row, right_stamps[name])
            seen["spoilt frames that no decoder notices"] += spoilt
    return seen


def check_frames(path, name, row, right_stamps) -> int:
    """Assert that the frames are right; how many are spoilt without a complaint."""
    indices = np.arange(row.num_frames)
    try:
        frames = read_frames(path, indices, backend=row.backend)
    except VideoError:  # it is called ok, so it must be readable
        raise AssertionError(f"{name}: {path} is called ok but does not read") from None
    assert np.array_equal(frames, read_frames(path, indices)), f"{name}: backends differ"
    spoilt = 0
    if row.num_damaged == 0:
        first, stamps = FIRST_NUMBER.get(name, 0), stamps_of(path)
        for i, frame in enumerate(frames):
            number = shown_number(np.rot90(frame, -ROTATION.get(name, 0)), range(first, first + NUM_FRAMES))
            if number not in (-1, first + i):
                assert stamps[i] == right_stamps[i], f"{name}: frame {i} of {path} shows {number - first}"
                spoilt += 1
    return spoilt


def stamps_of(path):
    """Time stamps of all frames, from the first one on."""
    with opened(path) as (container, stream):
        stamps = [frame.pts for frame in decoded(container, stream)]
    return [None if stamp is None or stamps[0] is None else stamp - stamps[0] for stamp in stamps]


def test_a_few_damaged_files(tmp_path):
    seen = fuzz(tmp_path, count=6, seed=1)
    assert seen["crash"] == seen["hang"] == 0


@pytest.mark.long
def test_five_hundred_damaged_files(tmp_path):
    seen = fuzz(tmp_path, count=500, seed=0)
    print(f"\n500 damaged files: {dict(seen)}")
    assert seen["crash"] == seen["hang"] == 0
    assert seen["ok"] > 50 and seen["frames read"] > 4000
    assert seen["ok"] + seen["truncated"] + seen["undecodable"] + seen["no-video"] == 500


def test_a_spoilt_picture_is_not_taken_for_a_number():
    assert shown_number(barcode(7), range(100)) == 7
    assert shown_number(np.full((96, 128, 3), 128, np.uint8), range(100)) == -1


def test_a_frame_that_slipped_would_be_noticed(tmp_path):
    whole = stamps_of(write_video(tmp_path / "whole.mp4", 30))
    lost = write_video(tmp_path / "lost.mp4", 29, first_number=1, time_stamps=[0, *range(2, 30)])

    class Row:
        num_frames, num_damaged, backend = 29, 0, "pyav"

    with pytest.raises(AssertionError, match=r"frame 1 of .* shows 2"):
        check_frames(lost, "H.264, B-frames, mp4", Row, whole)
