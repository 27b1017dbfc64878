"""Parts of the report by themselves."""

import wave
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lgdnet import metrics
from lgdnet.audio.reading import AudioError
from lgdnet.report import plots
from lgdnet.report.alike import alike_order
from lgdnet.report.challenge import Finished, Row
from lgdnet.report.gains import gains, missing_gains
from lgdnet.report.judged import Disagreement
from lgdnet.report.sections.classes import packed
from lgdnet.report.sections.examples import pick
from lgdnet.report.shades import colour, shades
from lgdnet.report.strips import GAP, HEIGHT, joined, scaled, sound_picture
from lgdnet.report.views import spaced, steps_up_to
from lgdnet.report.wording import counted, hours, listed, signed
from lgdnet.settings import challenge_of, row_of


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


MODALITIES = {"frame": "frame", "flow": "flow", "audio": "audio"}


def finished(fusions, top1, joint=None):
    """Rows of these accuracies, of a challenge of three streams."""
    values = {
        "challenge": "test",
        "dataset": {"annotations": {"train": "t.csv", "validation": "v.csv"}},
        "streams": {
            name: {
                "modality": m,
                "aggregate": ["average_pool", "tcp"],
                **({"backbone": "xception"} if m == "audio" else {}),
            }
            for name, m in MODALITIES.items()
        },
        "fusions": fusions,
        "joint": joint or {},
    }
    challenge = challenge_of(values, source="test")
    rows = []
    for name, accuracy in top1.items():
        words = row_of(challenge, name)
        rows.append(
            Row(
                words.name,
                words.input,
                words.backbone,
                words.clip,
                words.aggregation,
                words.streams,
                {"Top1": str(accuracy)},
            )
        )
    return Finished(Path(), challenge, rows, rows, None, 0)


def named(found):
    return {gain.modality: (gain.having.short, gain.lacking.short, gain.alone) for gain in found}


def fused(*members, **words):
    return {"members": list(members), "method": "convex", **words}


FRAME, FLOW, AUDIO = "frame/average_pool", "flow/average_pool", "audio/average_pool"
ALONE = {FRAME: 50, FLOW: 45, AUDIO: 20}


def test_the_gain_of_a_modality_is_between_a_fusion_and_the_same_without_it():
    of = {"two": fused(FRAME, FLOW), "three": fused(AUDIO, FLOW, FRAME)}
    found = gains(finished(of, {**ALONE, "two": 60, "three": 65}))
    assert named(found) == {"flow": ("two", FRAME, False), "audio": ("three", "two", False)}


@pytest.mark.parametrize(
    "other",
    [
        fused(FRAME, AUDIO, method="given"),
        fused(FRAME, AUDIO, of="logits"),
        fused(FRAME, AUDIO, calibrate=True),
        fused("frame/tcp", AUDIO),
    ],
)
def test_a_fusion_made_otherwise_is_no_partner(other):
    """However accurate the larger fusion is: its gain would be that of the other method too."""
    of = {"two": fused(FRAME, FLOW), "without": other, "three": fused(FRAME, FLOW, AUDIO)}
    found = gains(finished(of, {**ALONE, "frame/tcp": 51, "two": 60, "without": 55, "three": 65}))
    assert named(found)["flow"] == ("two", FRAME, False)
    of["without"] = fused(AUDIO, FRAME)
    found = gains(finished(of, {**ALONE, "frame/tcp": 51, "two": 60, "without": 55, "three": 65}))
    assert named(found)["flow"] == ("three", "without", False)


def test_given_weights_are_compared_as_shares():
    three = fused(FRAME, FLOW, AUDIO, method="given", weights=[2, 2, 1])
    for weights, partner in (([6, 3], "without"), ([1, 1], None)):
        of = {"three": three, "without": fused(FRAME, AUDIO, method="given", weights=weights)}
        found = named(gains(finished(of, {"three": 65, "without": 55})))
        assert found.get("flow", ("", None))[1] == partner


def test_fusions_inside_fusions_lose_their_streams_too():
    of = {"two": fused(FRAME, FLOW), "nested": fused("two", AUDIO), "plain": fused(FRAME, AUDIO)}
    found = gains(finished(of, {"two": 60, "nested": 65, "plain": 55}))
    assert named(found) == {"flow": ("nested", "plain", False), "audio": ("nested", "two", False)}


def test_a_joint_network_that_sees_a_modality_cannot_be_spared_of_it():
    of = {"all": fused(FRAME, FLOW, "together"), "rest": fused(FRAME, "together")}
    unmatched = finished(
        of, {"all": 70, "rest": 69, "together": 66}, {"together": {"streams": ["frame", "flow"]}}
    )
    assert gains(unmatched) == [] and missing_gains(unmatched) == ["flow", "audio"]


def test_without_a_fusion_each_modality_stands_alone_against_frames_aggregated_alike():
    (gain,) = gains(finished({}, {FRAME: 50, "frame/tcp": 70, FLOW: 45}))
    assert named([gain]) == {"flow": (FLOW, FRAME, True)}
    assert gains(finished({}, {"frame/tcp": 70, FLOW: 45})) == []


def test_no_two_places_have_one_colour():
    assert len({colour(place) for place in range(60)}) == 60


def test_a_stream_keeps_its_colour_and_nothing_in_a_plot_looks_like_it():
    of = {f"fusion{i}": fused(FRAME, FLOW) for i in range(30)}
    of_challenge = finished(of, ALONE)
    everything = shades(
        of_challenge, ["fusion7", "flow", "frame", "frame/tcp", "frame/average_pool", "strange", *of]
    )
    assert len(set(everything.values())) == len(everything)
    assert shades(of_challenge, ["flow/tcp"])["flow/tcp"] == everything["flow"]
    assert shades(of_challenge, ["audio", "fusion7"])["fusion7"] == everything["fusion7"]


def test_names_of_every_object_of_javascript_are_set_apart():
    names = [
        row["name"]
        for row in plots.data([{"name": n} for n in ("__proto__", "toString", "a")]).to_dict("records")
    ]
    assert names == ["\u200b__proto__", "\u200btoString", "a"]


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
