"""Every algorithm of the table finds motion that we made, and refuses what it cannot work on."""

import cv2
import numpy as np
import pytest

from lgdnet.flow import (
    ALGORITHMS,
    FlowError,
    all_parameters,
    compute_flow,
    compute_pairs,
    default_algorithm,
    quantise,
)
from lgdnet.flow.middlebury import end_point_error
from tests.flow.pictures import shifted, swirl

QUICK = {"dual_tvl1": {"num_medians": 1}, "tvl1": {}, "dis": {}, "farneback": {}}


@pytest.fixture(autouse=True)
def uncompiled(monkeypatch):
    """Compiling takes seconds; what is compiled is the same code, and a slow test compares the two."""
    monkeypatch.setattr("lgdnet.flow.tvl1.can_compile", lambda device: False)


def test_the_quick_list_covers_the_table():
    assert QUICK.keys() == ALGORITHMS.keys()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_steady_shift_is_found_with_x_first(name):
    frames = shifted(3, 64, 80, dx=2.0, dy=-1.0)
    flow = compute_flow(name, frames, parameters=QUICK[name])
    assert flow.shape == (2, 2, 64, 80) and flow.dtype == np.float32
    inner = flow[:, :, 12:-12, 12:-12]
    np.testing.assert_allclose(inner.mean((0, 2, 3)), (2.0, -1.0), atol=0.1)
    assert np.abs(inner - np.array([2.0, -1.0])[:, None, None]).mean() < 0.15


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_still_video_has_no_motion_at_all(name):
    frames = np.repeat(shifted(1, 48, 64, dx=0, dy=0), 3, axis=0)
    flow = compute_flow(name, frames, parameters=QUICK[name])
    if name == "farneback":  # of these it alone leaves something at the border
        assert np.abs(flow).max() < 0.2 and np.abs(flow[:, :, 8:-8, 8:-8]).max() < 1e-3
    else:
        assert np.abs(flow).max() < 1e-3
        assert (quantise(flow, bound=20) == 128).all()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_mirroring_the_video_mirrors_the_flow_and_negates_x(name):
    first, second, truth = swirl(80, 96, pixels=2.0)
    flow = compute_pairs(name, first[None], second[None], parameters=QUICK[name])[0]
    mirrored = [np.ascontiguousarray(picture[None, :, ::-1]) for picture in (first, second)]
    back = compute_pairs(name, *mirrored, parameters=QUICK[name])[0][..., ::-1] * [[[-1]], [[1]]]
    # Forward differences and patches on a grid prefer one side, so not exactly; on average within 0.12 pixels.
    assert end_point_error(back[:, 8:-8, 8:-8], flow[:, 8:-8, 8:-8]) < 0.12
    assert end_point_error(flow[:, 8:-8, 8:-8], truth[:, 8:-8, 8:-8]) < 0.25


def test_our_tvl1_is_as_accurate_as_opencvs_with_equal_settings():
    first, second, truth = swirl(96, 128, pixels=4.0)
    ours = compute_pairs("tvl1", first[None], second[None])
    theirs = compute_pairs(
        "dual_tvl1", first[None], second[None], parameters={"num_medians": 1, "epsilon": 0}
    )
    assert end_point_error(ours[0], truth) <= 1.05 * end_point_error(theirs[0], truth)


@pytest.mark.parametrize("device, name", [("cpu", "dis"), ("cuda", "tvl1"), ("cuda:1", "tvl1")])
def test_the_default_depends_on_the_device(device, name):
    assert default_algorithm(device) == name


@pytest.mark.parametrize("preset", ["ultrafast", "fast", "medium"])
def test_a_field_does_not_depend_on_which_others_are_asked_for_with_it(preset):
    """At this size OpenCV's DIS chooses other scales in its first call than later."""
    frames = shifted(5, 32, 43, dx=1.5, dy=0.5)
    parameters = {"preset": preset}
    together = compute_flow("dis", frames, parameters=parameters)
    for i in range(4):
        alone = compute_pairs("dis", frames[i : i + 1], frames[i + 1 : i + 2], parameters=parameters)
        assert np.array_equal(alone[0], together[i]), i


def test_one_frame_has_no_flow():
    with pytest.raises(FlowError, match="flow needs two frames, this video has 1"):
        compute_flow("dis", np.zeros((1, 32, 32), np.uint8))


def test_tiny_pictures_are_refused():
    with pytest.raises(FlowError, match="at least 16 pixels a side, these have 12 x 40"):
        compute_flow("tvl1", np.zeros((2, 12, 40), np.uint8))


def test_an_unknown_algorithm_lists_the_known_ones():
    with pytest.raises(FlowError, match="no algorithm is called 'brox'; there are tvl1, dis"):
        compute_flow("brox", np.zeros((2, 32, 32), np.uint8))


def test_an_unknown_parameter_names_its_nearest_neighbour():
    with pytest.raises(FlowError, match="unknown name 'num_scale'; did you mean 'num_scales'"):
        all_parameters("tvl1", {"num_scale": 3})


@pytest.mark.parametrize("value", ["4", True, 2.5, -1])
def test_a_parameter_of_the_wrong_kind_is_refused(value):
    with pytest.raises(FlowError, match="num_warps must be a int of at least 0"):
        all_parameters("tvl1", {"num_warps": value})


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(FlowError, match="preset must be one of ultrafast, fast, medium, not 'slow'"):
        compute_flow("dis", np.zeros((2, 32, 32), np.uint8), parameters={"preset": "slow"})


def test_every_parameter_of_an_algorithm_is_recorded():
    assert all_parameters("tvl1", {"num_warps": 3})["num_warps"] == 3
    assert all_parameters("tvl1", {})["tau"] == 0.25
    assert all_parameters("dis", {}) == {"preset": "medium"}


def test_opencvs_thread_count_is_left_as_it_was():
    before = cv2.getNumThreads()
    compute_flow("dis", shifted(2, 32, 32, dx=1, dy=0))
    assert cv2.getNumThreads() == before
