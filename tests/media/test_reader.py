"""Exactly the frames asked for."""

import numpy as np
import pytest
from barcodes import barcode, number_of, write_video

from lgdnet.video import VideoError, iterate_frames, read_frames


def test_the_barcode_can_be_read_back():
    assert all(number_of(barcode(n)) == n for n in (0, 1, 77, 4095))


@pytest.mark.parametrize("backend", ["pyav", "seek"])
def test_frames_come_by_number_in_the_order_asked_for(tmp_path, backend):
    path = write_video(tmp_path / "a.mp4", 70)
    indices = [60, 3, 3, 69, 0, 24]
    assert [number_of(f) for f in read_frames(path, indices, backend=backend)] == indices


def test_iterating_gives_every_frame_in_order(tmp_path):
    path = write_video(tmp_path / "a.mp4", 40)
    assert [number_of(f) for f in iterate_frames(path)] == list(range(40))


def test_frames_are_scaled_to_the_short_side(tmp_path):
    path = write_video(tmp_path / "a.mp4", 5, size=(96, 128))
    assert read_frames(path, [0], short_side=48).shape == (1, 48, 64, 3)
    assert next(iterate_frames(path, short_side=24)).shape == (24, 32, 3)


@pytest.mark.parametrize("backend", ["pyav", "seek"])
def test_a_frame_past_the_end_is_an_error_that_names_the_file(tmp_path, backend):
    path = write_video(tmp_path / "short.mp4", 20)
    with pytest.raises(VideoError, match=r"short\.mp4: frame 20 was asked for, but only 20 frames decode"):
        read_frames(path, [3, 20], backend=backend)


def test_a_negative_frame_number_is_an_error(tmp_path):
    path = write_video(tmp_path / "a.mp4", 5)
    with pytest.raises(VideoError, match="frame numbers start at 0"):
        read_frames(path, [-1])


def test_an_unknown_backend_is_an_error(tmp_path):
    path = write_video(tmp_path / "a.mp4", 5)
    with pytest.raises(VideoError, match=r"unknown backend 'magic'\. Known: pyav, seek, decord"):
        read_frames(path, [0], backend="magic")


def test_a_file_that_is_not_a_video_is_an_error(tmp_path):
    path = tmp_path / "text.mp4"
    path.write_text("not a video")
    with pytest.raises(VideoError, match=r"text\.mp4: cannot be opened"):
        read_frames(path, [0])


def test_a_track_that_begins_unannounced_does_not_end_the_pictures(tmp_path):
    """PyAV raises an IndexError for packets of a stream that it did not see when it opened the file."""
    from lgdnet.video.reader import Damage, decoded, opened

    class Surprising:
        """A container whose first demuxing ends like that after ten packets."""

        def __init__(self, container):
            self.container, self.calls = container, 0

        def demux(self, stream):
            self.calls += 1
            for i, packet in enumerate(self.container.demux(stream)):
                yield packet
                if self.calls == 1 and i == 9:
                    raise IndexError("list index out of range")

    damage = Damage()
    with opened(write_video(tmp_path / "a.mp4", 30)) as (container, stream):
        surprising = Surprising(container)
        assert sum(1 for _ in decoded(surprising, stream, damage)) == 30
    assert surprising.calls == 2 and damage.total == 0


def test_a_picture_larger_than_the_limit_is_refused_before_it_is_decoded(tmp_path):
    path = write_video(tmp_path / "a.mp4", 3)
    from lgdnet.video.reader import opened

    with (
        pytest.raises(VideoError, match="128x96 pixels are more than the limit of 1000"),
        opened(path, max_pixels=1000),
    ):
        pass


def test_iterating_stops_at_the_limit_of_frames(tmp_path):
    path = write_video(tmp_path / "a.mp4", 10)
    with pytest.raises(VideoError, match="more than 5 frames"):
        list(iterate_frames(path, max_frames=5))


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_rotated_video_comes_upright(tmp_path, rotation):
    path = write_video(tmp_path / "r.mp4", 4, rotation=rotation)
    frame = read_frames(path, [2])[0]
    stored = np.rot90(frame, -rotation // 90)
    assert number_of(stored) == 2
    assert frame.shape == ((128, 96, 3) if rotation in (90, 270) else (96, 128, 3))
