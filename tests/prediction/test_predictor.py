"""Whatever a video is like, prediction says what the stages said of it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from lgdnet.prediction.finished import PredictionError
from lgdnet.prediction.opening import opened
from lgdnet.prediction.predictor import Predictor
from lgdnet.settings import recorded
from lgdnet.stages import explain, pack, predict
from tests.audio.conftest import tone, write_media
from tests.prediction.made_up import CLASSES, SETTINGS, MadeUp, made_up


def check_all(challenge, rows):
    """Scores of every video and row, to 1e-5; log-scores, too, where they are moderate."""
    with opened(challenge.root) as finished:
        for row in rows:
            expected = challenge.scores(row)
            with Predictor(finished, row) as predictor:
                for name in challenge.files:
                    if name not in expected:
                        with pytest.raises(
                            PredictionError, match=f"{challenge.files[name]}: nothing to hear"
                        ):
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


def sounds(folder: Path) -> dict[str, str]:
    """Files without pictures, at rates and in formats of their own."""
    folder.mkdir(parents=True)
    write_media(folder / "low.wav", tone(2.0, hertz=200))
    write_media(folder / "high.flac", tone(1.0, hertz=3_000, rate=44_100), rate=44_100, codec="flac")
    write_media(folder / "brief.wav", tone(0.2, hertz=800))
    return {"low": "low.wav", "high": "high.flac", "brief": "brief.wav"}


@pytest.fixture(scope="module")
def of_sounds(tmp_path_factory) -> MadeUp:
    """A challenge of sound files, as ESC-50 is."""
    stream = {**SETTINGS["streams"]["sound"], "aggregate": ["average_pool", "tcp"]}
    return made_up(
        tmp_path_factory.mktemp("of-sounds"),
        write=sounds,
        dataset={**SETTINGS["dataset"], "media": "sound"},
        streams={"sound": stream},
        joint={},
        outside={},
        fusions={"both": {"members": ["sound/average_pool", "sound/tcp"]}},
    )


def test_files_of_sound_alone(of_sounds):
    check_all(of_sounds, ["both", "sound/tcp"])


def test_a_folder_of_sounds(of_sounds):
    shown = []
    assert predict.run([of_sounds.videos], challenge=of_sounds.root, show=shown.append) == []
    names = sorted(Path(text.split("  (")[0].strip()).name for text in shown)
    assert names == ["brief.wav", "high.flac", "low.wav"]
    assert all("sound" in text.splitlines()[0] for text in shown)


def test_a_sound_has_no_picture_to_write_on_and_can_be_explained(of_sounds, tmp_path):
    with pytest.raises(PredictionError, match="a challenge of sounds: there are no pictures to write on"):
        predict.run([of_sounds.path("low")], challenge=of_sounds.root, annotate=tmp_path / "out")
    found = explain.run(of_sounds.path("low"), tmp_path / "a.png", challenge=of_sounds.root)
    assert found.stream == "sound" and (tmp_path / "a.png").stat().st_size > 1_000


def sounds_of_a_set(folder: Path) -> dict[str, str]:
    """Ids that are paths, as lists of paths give them; two files have the same content."""
    files = sounds(folder / "set")
    (folder / "set/again.wav").write_bytes((folder / "set/low.wav").read_bytes())
    return {f"set/{name}": f"set/{file}" for name, file in {**files, "again": "again.wav"}.items()}


@pytest.fixture(scope="module")
def noisy(tmp_path_factory) -> MadeUp:
    """A challenge of noisy sounds."""
    return made_up(
        tmp_path_factory.mktemp("noisy"),
        write=sounds_of_a_set,
        dataset={**SETTINGS["dataset"], "media": "sound"},
        audio={"noise": {"snr_db": -3.0}},
        streams={"sound": {**SETTINGS["streams"]["sound"], "aggregate": ["average_pool"]}},
        joint={},
        outside={},
        fusions={},
    )


def told(source: Path, videos: list[Path], **options) -> dict[str, np.ndarray]:
    """(K,) scores by video id, as the command prints them."""
    lines: list[str] = []
    row, count = "sound/average_pool", len(CLASSES)
    failures = predict.run(
        videos, challenge=source, row=row, count=count, as_lines=True, show=lines.append, **options
    )
    assert failures == []
    answers = [json.loads(line) for line in lines]
    return {
        one["video_id"]: np.array([{best["label"]: best["score"] for best in one["top"]}[c] for c in CLASSES])
        for one in answers
    }


def check_told(noisy: MadeUp, found: dict[str, np.ndarray]) -> None:
    expected = noisy.scores("sound/average_pool")
    assert set(found) == set(expected)
    for video_id, scores in found.items():
        assert np.abs(scores - np.exp(expected[video_id])).max() < 1e-5, video_id


def test_the_noise_of_a_known_video_is_its_own_wherever_the_file_lies(noisy, tmp_path, capsys):
    shutil.copytree(noisy.videos / "set", tmp_path / "elsewhere")
    check_told(noisy, told(noisy.root, [tmp_path / "elsewhere"]))
    said = capsys.readouterr().err
    assert said.count("noise of the experiment is mixed in (audio: noise: snr_db -3)") == 1
    unknown = tmp_path / "new.wav"
    write_media(unknown, tone(1.0, hertz=500))
    assert list(told(noisy.root, [unknown])) == ["new"]


def test_below_a_video_root_the_path_tells_the_id_in_results_and_in_a_pack(noisy, tmp_path, monkeypatch):
    pack.run(noisy.root, tmp_path / "packed")
    monkeypatch.chdir(noisy.videos)
    for source in (noisy.root, tmp_path / "packed"):
        for videos, root in (([noisy.videos], noisy.videos), ([Path("set")], Path())):
            check_told(noisy, told(source, videos, video_root=root))
    elsewhere = tmp_path / "new.wav"
    write_media(elsewhere, tone(0.5))
    failures = predict.run([elsewhere], challenge=noisy.root, video_root=noisy.videos)
    assert "new.wav: does not lie below" in failures[0] and "Correct --video-root" in failures[0]


def test_sound_that_the_challenge_leaves_out_is_left_out_of_new_predictions_too(noisy, tmp_path, capsys):
    left_out = tmp_path / "challenge.yaml"
    settings = json.loads(recorded(noisy.challenge))
    settings["audio"] = {"leave_out": ["set/low"]}
    left_out.write_text(json.dumps(settings))
    copies = [shutil.copy(noisy.path(f"set/{name}"), tmp_path) for name in ("low", "high")]
    failures = predict.run(map(Path, copies), challenge=noisy.root, config=left_out, show=lambda _: None)
    assert len(failures) == 1 and "low.wav: nothing to hear" in failures[0]


def test_explain_takes_the_id_from_the_path_below_a_video_root(noisy, tmp_path):
    pack.run(noisy.root, tmp_path / "packed")
    logits = [
        explain.run(
            noisy.path("set/low"), tmp_path / "a.png", challenge=source, label=CLASSES[0], video_root=root
        ).logit
        for source, root in (
            (noisy.root, None),
            (tmp_path / "packed", noisy.videos),
            (tmp_path / "packed", None),
        )
    ]
    assert logits[0] == logits[1] != logits[2]


def test_explain_tells_of_the_noise_and_predict_does_not_where_there_is_none(
    noisy, of_sounds, tmp_path, capsys
):
    explain.run(noisy.path("set/low"), tmp_path / "a.png", challenge=noisy.root)
    assert "noise of the experiment is mixed in" in capsys.readouterr().err
    predict.run([of_sounds.path("low")], challenge=of_sounds.root)
    assert "noise" not in capsys.readouterr().err


@pytest.mark.gpu
def test_a_gpu_says_what_the_processor_says(challenge):
    with (
        opened(challenge.root) as finished,
        Predictor(finished, device="cuda") as on_gpu,
        Predictor(finished) as on_cpu,
    ):
        for name in challenge.files:
            one, two = (predictor.predict(challenge.path(name), name) for predictor in (on_gpu, on_cpu))
            assert np.abs(np.exp(one.log_scores) - np.exp(two.log_scores)).max() < 1e-3, name
