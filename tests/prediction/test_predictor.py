"""Whatever a video is like, prediction says what the stages said of it."""

import numpy as np
import pytest

from lgdnet.prediction.finished import PredictionError
from lgdnet.prediction.opening import opened
from lgdnet.prediction.predictor import Predictor
from tests.prediction.made_up import VIDEOS, made_up


def check_all(challenge, rows):
    """Scores of every video and row, to 1e-5; log-scores, too, where they are moderate."""
    with opened(challenge.root) as finished:
        for row in rows:
            expected = challenge.scores(row)
            with Predictor(finished, row) as predictor:
                for name in VIDEOS:
                    if name not in expected:
                        with pytest.raises(PredictionError, match=f"{VIDEOS[name][0]}: nothing to hear"):
                            predictor.predict(challenge.path(name), name)
                        continue
                    found = predictor.predict(challenge.path(name), name)
                    assert np.abs(np.exp(found.log_scores) - np.exp(expected[name])).max() < 1e-5, (row, name)
                    assert np.allclose(found.log_scores, expected[name], rtol=1e-4, atol=1e-4), (row, name)


def test_a_nested_fusion_of_everything_says_what_the_stages_said(challenge):
    check_all(challenge, ["all"])


def test_a_single_row_runs_only_its_own_networks(challenge):
    with opened(challenge.root) as finished, Predictor(finished, "frame/tcp") as predictor:
        assert list(predictor.streams) == ["frame"]
        found = predictor.predict(challenge.path("portrait"), "portrait")
    assert list(found.seconds) == ["check", "decode", "frame", "aggregation"]
    assert np.abs(np.exp(found.log_scores) - np.exp(challenge.scores("frame/tcp")["portrait"])).max() < 1e-5


def test_who_only_listens_has_nothing_to_say_of_a_silent_video(challenge):
    check_all(challenge, ["sound/max_pool"])


def test_a_silent_video_leaves_the_sound_out_of_the_fusion(challenge):
    with opened(challenge.root) as finished, Predictor(finished) as predictor:
        silent = predictor.predict(challenge.path("silent"))
        sounding = predictor.predict(challenge.path("sounding"))
    assert silent.silent == ["sound/max_pool"] and "sound/max_pool" not in silent.members
    assert sounding.silent == [] and "sound/max_pool" in sounding.members
    assert not silent.has_audio and sounding.has_audio


def test_every_part_is_timed(challenge):
    with opened(challenge.root) as finished, Predictor(finished) as predictor:
        seconds = predictor.predict(challenge.path("sounding")).seconds
    parts = [
        "check",
        "sound",
        "decode",
        "frame",
        "flow",
        "flow network",
        "sound network",
        "aggregation",
        "fusion",
    ]
    assert list(seconds) == parts
    assert all(value >= 0 for value in seconds.values())


@pytest.mark.slow
def test_a_cache_and_noise_are_repeated(tmp_path):
    noisy = {"noise": {"snr_db": 3.0, "seed": 5}}
    check_all(made_up(tmp_path, cache={"short_side": 34, "quality": 60}, audio=noisy), ["all"])


@pytest.mark.slow
def test_videos_are_transcoded_as_they_were(tmp_path):
    check_all(made_up(tmp_path, media={"enabled": True, "short_side": 48, "crf": 30}), ["all"])


@pytest.mark.gpu
def test_a_gpu_says_what_the_processor_says(challenge):
    with (
        opened(challenge.root) as finished,
        Predictor(finished, device="cuda") as on_gpu,
        Predictor(finished) as on_cpu,
    ):
        for name in VIDEOS:
            one, two = (predictor.predict(challenge.path(name), name) for predictor in (on_gpu, on_cpu))
            assert np.abs(np.exp(one.log_scores) - np.exp(two.log_scores)).max() < 1e-3, name
