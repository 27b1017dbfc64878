"""Parts of the report by themselves."""

import wave
from types import SimpleNamespace

import numpy as np
import pytest

from lgdnet import metrics
from lgdnet.audio.reading import AudioError
from lgdnet.report.alike import alike_order
from lgdnet.report.judged import Disagreement
from lgdnet.report.sections.classes import gains, packed
from lgdnet.report.sections.examples import pick
from lgdnet.report.strips import GAP, HEIGHT, joined, scaled, sound_picture
from lgdnet.report.views import spaced, steps_up_to
from lgdnet.report.wording import counted, hours, listed, signed


def test_the_best_of_many_classes_are_those_of_a_whole_sort():
    generator = np.random.default_rng(0)
    scores = generator.integers(0, 4, (50, 100)).astype(np.float32)  # many ties
    expected = [sorted(range(100), key=lambda k: (row[k], k), reverse=True)[:5] for row in scores]
    assert metrics.top_classes(scores, 5).tolist() == expected


def test_disagreement_is_none_among_equals_and_most_between_opposites():
    differ = Disagreement()
    every = np.ones(3, bool)
    differ.add(np.array([[1, 0], [1, 0], [1, 0]], np.float32), every)
    differ.add(np.array([[1, 0], [0, 1], [0, 1]], np.float32), np.array([True, True, False]))
    np.testing.assert_allclose(differ.result(3), [0, np.log(2), 0], atol=1e-6)


def test_confused_classes_stand_together():
    confusion = np.diag([10, 10, 10, 10, 10, 10])
    confusion[0, 5] = confusion[5, 0] = 6
    confusion[2, 4] = confusion[4, 2] = 5
    order = alike_order(confusion)
    assert sorted(order) == list(range(6))
    assert abs(order.index(0) - order.index(5)) == 1 and abs(order.index(2) - order.index(4)) == 1


def test_a_matrix_is_packed_without_its_zeros():
    assert packed(np.array([[2, 0], [1, 3]])) == [0, 2, 2, 1, 1, 3]
    assert packed(np.zeros((2, 2), int)) == []


def test_examples_are_of_different_classes_first():
    best = SimpleNamespace(labels=np.array([0, 0, 0, 1, 2]))
    value = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    assert pick(best, np.ones(5, bool), value, 4) == [0, 3, 4, 1]
    assert pick(best, value > 0.75, value, 4) == [0, 1]


def row(name, streams, top1, aggregation="AP"):
    return SimpleNamespace(name=name, streams=tuple(streams), top1=top1, aggregation=aggregation, short=name)


def finished(*rows):
    streams = {name: SimpleNamespace(modality=name.rstrip("12")) for row in rows for name in row.streams}
    return SimpleNamespace(
        all_rows=list(rows),
        challenge=SimpleNamespace(streams=streams),
        modalities=lambda row: {name.rstrip("12") for name in row.streams},
    )


def test_the_gain_of_a_modality_is_between_rows_that_differ_by_it_alone():
    frame, flow, audio = row("f", ["frame1"], 50), row("m", ["flow1"], 45), row("s", ["audio1"], 20)
    two, three = row("fm", ["frame1", "flow1"], 60), row("fms", ["frame1", "flow1", "audio1"], 65)
    found = {gain.modality: gain for gain in gains(finished(frame, flow, audio, two, three))}
    assert (found["flow"].having, found["flow"].lacking) == (two, frame)
    assert (found["audio"].having, found["audio"].lacking) == (three, two)
    assert not found["flow"].alone


def test_without_a_fusion_each_modality_stands_alone_against_frames():
    frame, flow = row("f", ["frame1"], 50), row("m", ["flow1"], 45)
    (gain,) = gains(finished(frame, flow))
    assert (gain.having, gain.lacking, gain.alone) == (flow, frame, True)
    assert gains(finished(flow)) == []


def test_views_are_evenly_spaced_and_end_with_all():
    assert steps_up_to(20) == [1, 2, 3, 5, 7, 10, 15, 20] and steps_up_to(1) == [1]
    assert spaced(np.arange(20), 1).tolist() == [10] and spaced(np.arange(20), 2).tolist() == [5, 15]
    assert spaced(np.arange(3), 5).tolist() == [0, 1, 2]


@pytest.mark.parametrize(("H", "W"), [(HEIGHT, 150), (200, HEIGHT), (HEIGHT, 2000)])
def test_pictures_of_a_strip_are_of_one_height(H, W):
    frame = np.zeros((H, W, 3), np.uint8)
    assert scaled(frame).shape[0] == HEIGHT
    strip = joined([scaled(frame)] * 3)
    assert strip.shape == (HEIGHT, 3 * scaled(frame).shape[1] + 2 * GAP, 3)


def test_a_sound_is_a_picture_of_its_log_mel_frames(tmp_path):
    path = tmp_path / "tone.wav"
    tone = (20_000 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(tone.tobytes())
    picture = sound_picture(path)
    assert picture.shape == (128, 800, 3)
    loudest = picture.sum(axis=(1, 2)).argmax()
    assert loudest > 64  # low tones lie below


def test_a_file_without_sound_has_no_picture_of_it(tmp_path):
    from tests.report.made_up import write_videos

    write_videos(tmp_path)
    with pytest.raises(AudioError, match="has no sound to draw"):
        sound_picture(tmp_path / "0.mp4")


def test_numbers_are_written_as_they_are_read():
    assert [signed(3.44), signed(-0.5), signed(float("nan"))] == ["+3.4", "−0.5", "–"]
    assert [hours(44 / 3600), hours(0.5), hours(1234.5)] == ["44 s", "30 min", "1,234.5 h"]
    assert [counted(1, "class", "classes"), counted(35_000, "video")] == ["1 class", "35,000 videos"]
    assert [listed(["a"]), listed(["a", "b", "c"]), listed(list("abcdefgh"), 2)] == [
        "a",
        "a, b and c",
        "a, b and 6 more",
    ]
