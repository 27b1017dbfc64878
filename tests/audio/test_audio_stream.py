"""An audio stream on a folder of sound files: manifest, log-mel, training, dump, pooling; a silent file has no score."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from lgdnet.audio import extraction
from lgdnet.audio.grid import NUM_MELS
from lgdnet.audio.picture import Span, envelope, rows_of, sound_figure, spans
from lgdnet.audio.probing import probe_as_dict
from lgdnet.audio.reading import AudioError, SoundFacts, probe_sound
from lgdnet.batch import Batch
from lgdnet.datasets import probing
from lgdnet.manifest import read_manifest
from lgdnet.models import build_model
from lgdnet.models.inflate import load_weights
from lgdnet.scores import read_scores
from lgdnet.settings import (
    AudioSettings,
    DatasetSettings,
    DumpSettings,
    ManifestSettings,
    SettingsError,
    StreamSettings,
    challenge_of,
    parse,
)
from lgdnet.spec_augment import mix_up, sound_transform
from lgdnet.stages import aggregate, audio, dump, manifest, show_audio, train
from tests.audio.conftest import tone, write_media

BLACK = np.zeros((60, 32, 32, 3), np.uint8)


@pytest.fixture
def in_this_process(monkeypatch):
    """Starting a process takes a second; what it does needs no process."""

    def call_here(target, calls, **_):
        name = target.rsplit(":", 1)[1]
        answer = {"answer": extraction.answer, "probe_as_dict": probe_as_dict}[name]
        return ((i, answer(*call)) for i, call in enumerate(calls))

    monkeypatch.setattr(extraction, "killable_map", call_here)
    monkeypatch.setattr(probing, "killable_map", call_here)


def sounds(folder: Path, split: str) -> None:
    """Two classes, high and low; the low one has a silent file more."""
    for label, hertz in {"high": 3000, "low": 300}.items():
        (folder / split / label).mkdir(parents=True)
        for i in range(4):
            sound = tone(0.6 + 0.1 * i, hertz=hertz * (1 + 0.02 * i), level=0.2)
            write_media(folder / split / label / f"{i}.wav", sound)
    write_media(folder / split / "low" / "silent.wav", np.zeros(8000, np.float32))


def test_a_folder_of_sounds_becomes_scores_and_silence_has_none(tmp_path, in_this_process):
    for split in ("train", "validation"):
        sounds(tmp_path / "data", split)
    dataset = DatasetSettings(
        media="sound",
        format="folders",
        video_root=Path(),
        annotations={"train": Path("train"), "validation": Path("validation")},
    )
    made = tmp_path / "manifest"
    checks = ManifestSettings(allow_duplicates=True)
    manifest.run(dataset, checks, tmp_path / "data", made, num_workers=1)
    listed = read_manifest(made / "train.csv")
    assert len(listed) == 9 and not listed.num_frames.any() and listed.has_audio.all()

    for split in ("train", "validation"):
        audio.run(
            manifest=made / f"{split}.csv",
            video_root=tmp_path / "data",
            out=tmp_path / f"{split}.h5",
            settings=AudioSettings(),
        )
    stream = parse(
        StreamSettings,
        '{"modality": "audio", "backbone": "xception", "width": 2, "segment_sec": 0.64, "train": {"epochs": 3,'
        ' "batch_size": 4, "optimizer": "adamw", "learning_rate": 0.01, "trackers": [],'
        ' "augment": {"sound": {"mixup": 0.2, "max_gain": 0.5}}}}',
    )
    model = tmp_path / "stream" / "model.safetensors"
    train.run(
        manifest=made / "train.csv",
        validation=made / "validation.csv",
        classes=made / "classes.txt",
        video_root=tmp_path / "data",
        out=model,
        settings=stream,
        stored=[tmp_path / "train.h5"],
        stored_validation=[tmp_path / "validation.h5"],
        num_workers=0,
        device="cpu",
    )
    features, scores = tmp_path / "features.h5", tmp_path / "scores.h5"
    dump.run(
        model=model,
        manifest=made / "validation.csv",
        video_root=tmp_path / "data",
        out=features,
        settings=DumpSettings(num_clips=3),
        stored=[tmp_path / "validation.h5"],
    )
    aggregate.run([[features]], made / "validation.csv", scores)
    found = read_scores(scores)
    assert found.absent.tolist() == ["validation/low/silent"]
    assert len(found.video_ids) == 8 and found.scores.shape == (8, 2)


def test_training_an_audio_stream_without_its_files_says_which_stage_makes_them(tmp_path):
    (tmp_path / "classes.txt").write_text("a\nb\n")
    with pytest.raises(AudioError, match="needs the files of the audio stage: name each with --stored"):
        train.run(
            manifest=tmp_path / "m.csv",
            validation=tmp_path / "m.csv",
            classes=tmp_path / "classes.txt",
            video_root=tmp_path,
            out=tmp_path / "s" / "model.safetensors",
            settings=StreamSettings(modality="audio"),
            device="cpu",
        )


@pytest.mark.parametrize(
    "content, verdict, reason",
    [(b"", "empty", "0 bytes"), (b"no sound at all", "undecodable", "not a file that FFmpeg can open")],
)
def test_files_that_are_no_sound_are_rejected_with_the_reason(tmp_path, content, verdict, reason):
    (tmp_path / "a.wav").write_bytes(content)
    found = probe_as_dict(str(tmp_path / "a.wav"), {})
    assert found["verdict"] == verdict and reason in found["reason"]


def test_a_sound_file_is_listed_with_its_facts_and_a_cut_off_one_is_not(make):
    found = probe_as_dict(str(make("a.flac", tone(3.0), codec="flac")), {})
    assert found["verdict"] == "ok" and found["duration_sec"] == 3.0 and found["codec"] == "flac"
    assert probe_as_dict(str(make("b.mp4", pictures=BLACK)), {})["reason"] == "no sound decodes"
    cut = make("c.mkv", tone(2.0), codec="flac", jumps={16_128: 500.0})  # 502 s promised
    assert probe_as_dict(str(cut), {})["verdict"] == "truncated"


def challenge(**stream):
    return {
        "challenge": "c",
        "dataset": {"media": "sound", "annotations": {"train": "t", "validation": "v"}},
        "streams": {"one": stream},
    }


def test_streams_that_do_not_fit_sound_are_refused_with_their_name():
    with pytest.raises(SettingsError, match=r"streams\.one: modality: 'frame' needs pictures"):
        challenge_of(challenge(modality="frame"), source="c.yaml")
    with pytest.raises(SettingsError, match=r"streams\.one: dump: num_crops: sound has nothing to crop"):
        challenge_of(challenge(modality="audio", dump={"num_crops": 3}), source="c.yaml")


def test_weights_of_a_network_for_colour_pictures_load_into_one_for_sound(tmp_path):
    colour = build_model("xception", in_channels=3, num_classes=4, width=4)
    sound = build_model("xception", in_channels=1, num_classes=2, width=4)
    load_weights(sound, colour.state_dict(), "lgdnet")
    stems = [next(p for p in m.parameters() if p.dim() == 5) for m in (colour, sound)]
    assert stems[1].shape[1] == 1
    # three equal channels through the one are one channel through the other, up to the factor that is chosen
    ratio = stems[0].sum(1) / stems[1][:, 0]
    torch.testing.assert_close(ratio, ratio.mean().expand_as(ratio), rtol=1e-3, atol=1e-3)


# ---- MixUp


def test_mixed_segments_and_labels_have_the_same_shares():
    clip = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 1, 4, 5)
    label = torch.arange(6)
    mixed, target = mix_up(clip, label, torch.arange(6), alpha=0.5, num_classes=6)
    share = target.gather(1, label[:, None])[:, 0]
    partner = label.roll(-1)
    assert bool((share >= 0.5).all()) and share.std() > 0.01
    torch.testing.assert_close(target.sum(1), torch.ones(6))
    torch.testing.assert_close(mixed[:, 0, 0, 0], share * label + (1 - share) * partner)


def test_without_mixup_labels_stay_numbers():
    batch = Batch(torch.zeros(3, 1, 128, 10), torch.tensor([2, 0, 1]), torch.arange(3), torch.arange(3))
    assert sound_transform(num_classes=3)(batch, torch.device("cpu"))[1].tolist() == [2, 0, 1]
    assert sound_transform(num_classes=3, mixup=0.4)(batch, torch.device("cpu"))[1].shape == (3, 3)


# ---- the picture


def test_the_picture_of_a_sound_is_drawn_beside_its_name(make, tmp_path):
    path = make("a.mkv", tone(2.0), codec="flac", pictures=BLACK, sound_start_sec=0.3)
    png = show_audio.run(path, out=tmp_path / "pictures", num_clips=4, segment_sec=0.64)
    assert png == tmp_path / "pictures" / "a.audio.png" and png.read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(AudioError, match=r"mute\.mp4: has no sound to draw"):
        show_audio.run(make("mute.mp4", pictures=BLACK), out=tmp_path)
    with pytest.raises(AudioError, match=r"nothere\.mp4: no such file\."):
        show_audio.run(tmp_path / "nothere.mp4", out=tmp_path)


def test_segments_that_overlap_are_drawn_on_rows_of_their_own():
    twenty = spans([13 * i for i in range(20)], segment_frames=64, start_sec=-0.4)
    rows = rows_of(twenty)
    assert max(rows) + 1 == 5  # 64 frames long, 13 apart: five at a time
    for row in set(rows):
        alone = [span for span, its in zip(twenty, rows, strict=True) if its == row]
        assert all(a.end_sec < b.start_sec for a, b in pairwise(alone))
    assert sorted(rows_of(twenty[:3][::-1])) == [0, 1, 2] and rows_of([]) == []


def test_the_axis_of_the_picture_reaches_every_segment_and_greys_what_has_no_sound():
    facts = SoundFacts(has_audio=True, start_sec=1.0, duration_sec=0.5, peak=0.5)
    mel = np.zeros((51, NUM_MELS), np.float32)
    marked = [Span(-0.5, 0.14), Span(1.2, 1.84), Span(2.1, 2.74)]
    figure = sound_figure(tone(0.5), mel, facts, marked, title="a", video_sec=2.4)
    bars = figure.axes[2]
    left, right = bars.get_xlim()
    assert left < -0.5 and right > 2.74
    drawn = [(p.get_x(), p.get_x() + p.get_width()) for p in bars.patches]
    np.testing.assert_allclose(drawn[:3], marked)
    np.testing.assert_allclose(drawn[3:], [(left, 1.0), (1.5, right)])


def test_segments_are_marked_where_they_lie_in_time(make):
    start_sec = probe_sound(
        make("a.mkv", tone(1.0), codec="flac", pictures=BLACK, sound_start_sec=0.3)
    ).start_sec
    (span,) = spans([50], segment_frames=64, start_sec=start_sec)
    assert span == pytest.approx((0.8, 1.44), abs=0.002)


def test_the_envelope_keeps_every_peak():
    samples = np.zeros(10_000, np.float32)
    samples[[1234, 5678]] = 1.0, -1.0
    low, high = envelope(samples, 100)
    assert len(low) == 100 and high.max() == 1.0 and low.min() == -1.0
    assert high.argmax() == 12 and low.argmin() == 56


@pytest.mark.gpu
def test_training_segments_are_changed_on_a_gpu_as_on_the_processor():
    batch = Batch(torch.randn(6, 1, 128, 50), torch.arange(6), torch.arange(6), torch.arange(6) + 9)
    transform = sound_transform(num_classes=6, mixup=0.4, max_gain=0.5)
    here, there = (transform(batch, torch.device(name)) for name in ("cpu", "cuda"))
    for a, b in zip(here, there, strict=True):
        torch.testing.assert_close(a, b.cpu())
