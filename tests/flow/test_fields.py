"""8-bit fields, their JPEGs, the .flo format and the colours."""

import numpy as np
import pytest

from lgdnet.flow import FlowError, decode_field, dequantise, encode_field, quantise
from lgdnet.flow.middlebury import end_point_error, read_flo, write_flo
from lgdnet.flow.picture import LABEL_HEIGHT, beside, colour_wheel, strip, wheel
from tests.flow.pictures import swirl


def test_zero_motion_is_exactly_zero_again():
    zero = np.zeros((2, 16, 16), np.float32)
    assert (quantise(zero, 20) == 128).all()
    assert (dequantise(decode_field(encode_field(quantise(zero, 20))), 20) == 0).all()


@pytest.mark.parametrize("bound", [5.0, 20.0, 32.0])
def test_quantisation_is_off_by_half_a_level_at_most(bound):
    flow = np.linspace(-bound, bound, 2 * 40 * 40, dtype=np.float32).reshape(2, 40, 40)
    error = np.abs(dequantise(quantise(flow, bound), bound) - flow)
    assert error.max() <= bound / 254 * 1.0001
    assert error.max() > bound / 300  # the bound is sharp


def test_opposite_motions_are_equally_far_from_zero():
    flow = np.random.default_rng(0).normal(scale=10, size=(2, 32, 32)).astype(np.float32)
    assert (quantise(-flow, 20).astype(int) - 128 == 128 - quantise(flow, 20).astype(int)).all()


def test_faster_than_the_bound_is_the_bound():
    flow = np.array([-90.0, -20.0, 20.0, 90.0], np.float32).reshape(2, 1, 2)
    assert quantise(flow, 20).ravel().tolist() == [1, 1, 255, 255]


@pytest.mark.parametrize("bound", [0, -3, 1e-300, 1e9, float("inf"), float("nan")])
def test_a_bound_that_would_keep_nothing_is_refused(bound):
    with pytest.raises(FlowError, match=r"bound must be 0.1 to 1000 pixels, not .*Set flow: bound"):
        quantise(np.zeros((2, 4, 4), np.float32), bound)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_field_that_is_no_number_is_refused(value):
    with pytest.raises(FlowError, match=r"motions that are no numbers"):
        quantise(np.full((2, 4, 4), value, np.float32), 20.0)


def test_a_jpeg_adds_less_than_two_levels_on_average():
    levels = quantise(swirl(64, 80, pixels=8)[2], 20)
    jpeg = encode_field(levels, quality=90)
    difference = np.abs(decode_field(jpeg).astype(int) - levels)
    assert difference.mean() < 2 and len(jpeg) < levels.nbytes / 3


def test_x_lies_above_y():
    levels = np.full((2, 16, 24), 128, np.uint8)
    levels[0] = 200
    assert decode_field(encode_field(levels)).mean((1, 2)).tolist() == [200, 128]


def test_bytes_that_are_no_jpeg_are_an_error_that_names_the_file():
    with pytest.raises(FlowError, match=r"some.h5: a flow field does not decode"):
        decode_field(b"\xff\xd8 no picture", "some.h5")


def test_a_flo_file_round_trips(tmp_path):
    flow = swirl(20, 30, pixels=3)[2]
    write_flo(tmp_path / "a.flo", flow)
    assert (read_flo(tmp_path / "a.flo") == flow).all()


def test_a_broken_flo_file_is_an_error(tmp_path):
    write_flo(tmp_path / "a.flo", np.zeros((2, 4, 5), np.float32))
    whole = (tmp_path / "a.flo").read_bytes()
    (tmp_path / "short.flo").write_bytes(whole[:-8])
    (tmp_path / "other.flo").write_bytes(b"JPEG" + whole[4:])
    with pytest.raises(FlowError, match=r"short.flo: 164 bytes, but 5 x 4 pixels need 172; truncated\?"):
        read_flo(tmp_path / "short.flo")
    with pytest.raises(FlowError, match=r"other.flo: not a .flo file"):
        read_flo(tmp_path / "other.flo")


def test_the_end_point_error_is_a_mean_distance():
    truth = np.zeros((2, 2, 2), np.float32)
    off = truth + np.array([3.0, 4.0])[:, None, None]
    assert end_point_error(off, truth) == 5.0
    assert end_point_error(np.stack((off, truth)), np.stack((truth, truth))) == 2.5


def test_rest_is_white_and_the_four_directions_have_four_colours():
    directions = np.array([[0, 1, 0, -1, 0], [0, 0, 1, 0, -1]], np.float32).reshape(2, 1, 5)
    colours = colour_wheel(directions, 1.0)[0].tolist()
    assert colours == [[255, 255, 255], [255, 0, 0], [127, 255, 0], [0, 255, 255], [128, 0, 255]]


def test_half_the_speed_is_half_the_colour_and_beyond_the_bound_it_darkens():
    colours = colour_wheel(np.array([[2.0, 9.0], [0.0, 0.0]], np.float32)[:, None], 4.0)[0]
    assert colours[0].tolist() == [255, 128, 128] and colours[1].tolist() == [191, 0, 0]


def test_the_key_is_white_in_the_middle_and_outside():
    key = wheel(41)
    assert (key[20, 20] == 255).all() and (key[0, 0] == 255).all() and key[20, 38].tolist()[0] == 255
    assert key[20, 38].max() - key[20, 38].min() > 200


def test_pictures_put_frames_and_flow_together():
    frames, fields = np.zeros((12, 40, 60, 3), np.uint8), np.zeros((11, 2, 40, 60), np.float32)
    assert beside(frames[0], fields[0], 8).shape == (40, 120, 3)
    assert strip(frames, fields, 8, num_columns=4).shape == (2 * 40 + LABEL_HEIGHT, 240, 3)
    assert strip(frames[:3], fields[:2], 8).shape == (2 * 40 + LABEL_HEIGHT, 120, 3)
