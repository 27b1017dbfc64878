"""What a prediction looks like: bars in a terminal, one JSON object per video."""

import json
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

from lgdnet.prediction.predictor import Prediction

BAR = 24  # characters of a score of 1
PARTS = "▏▎▍▌▋▊▉█"  # eighths of a character


def can_show(text: str) -> bool:
    """Whether standard output has all characters of a text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def bar(score: float, width: int = BAR) -> str:
    """A score in [0, 1] as a bar, to an eighth of a character; of plain signs on a terminal that has no others."""
    if not can_show(PARTS):
        return ("#" * round(score * width)).ljust(width)
    eighths = round(score * width * len(PARTS))
    whole, rest = divmod(eighths, len(PARTS))
    return (PARTS[-1] * whole + (PARTS[rest - 1] if rest else "")).ljust(width)


def as_text(prediction: Prediction, count: int, *, members: bool = False) -> str:
    """The best classes with bars, and how long each part took."""
    best = prediction.top(count)
    width = min(max(len(label) for label, _ in best), 40)
    lines = [f"{prediction.path}  ({about(prediction)})"]
    lines += [f"  {shortened(label, width)}  {bar(score)} {100 * score:5.1f} %" for label, score in best]
    if members:
        lines += [
            f"  {leaf}: {label} {100 * score:.1f} %" for leaf, (label, score) in member_tops(prediction)
        ]
    if prediction.silent:
        lines.append(f"  nothing to hear; left out: {', '.join(prediction.silent)}")
    lines += textwrap.wrap(timing(prediction.seconds), 100, initial_indent="  ", subsequent_indent="    ")
    return "\n".join(lines)


def about(prediction: Prediction) -> str:
    """`48 frames, 3.0 s, no sound`"""
    pictures = [f"{prediction.num_frames} frames"] if prediction.num_frames else []
    sound = "sound" if prediction.has_audio else "no sound"
    return ", ".join([*pictures, f"{prediction.duration_sec:.1f} s", sound])


def shortened(label: str, width: int) -> str:
    """A class name in exactly `width` characters."""
    return (label if len(label) <= width else label[: width - 1] + ("…" if can_show("…") else "~")).ljust(
        width
    )


def timing(seconds: dict[str, float]) -> str:
    """`1.32 s: check 0.10, decode 0.21, ...`"""
    parts = ", ".join(f"{name} {value:.2f}" for name, value in seconds.items())
    return f"{sum(seconds.values()):.2f} s: {parts}"


def member_tops(prediction: Prediction) -> list[tuple[str, tuple[str, float]]]:
    """The best class of each member of a fusion, alone."""
    return [(leaf, prediction.of_member(leaf).top(1)[0]) for leaf in prediction.members]


def as_json(prediction: Prediction, row: str, count: int) -> str:
    """One line: the best classes of the row and of each of its members, and seconds of each part."""

    def scores(best: Sequence[tuple[str, float]]) -> list[dict[str, Any]]:
        return [{"label": label, "score": score} for label, score in best]

    answer = {
        "video": str(prediction.path),
        "video_id": prediction.video_id,
        "row": row,
        "top": scores(prediction.top(count)),
        "members": {leaf: scores(prediction.of_member(leaf).top(count)) for leaf in prediction.members},
        "silent": prediction.silent,
        "num_frames": prediction.num_frames,
        "fps": prediction.fps,
        "duration_sec": prediction.duration_sec,
        "has_audio": prediction.has_audio,
        "seconds": {name: round(value, 4) for name, value in prediction.seconds.items()},
    }
    text = json.dumps(answer, ensure_ascii=False)
    return text if can_show(text) else json.dumps(answer)
