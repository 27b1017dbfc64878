"""Words and bars as pictures: beside the frames of a video, below a strip. H x W pixels"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

INK, PAPER, MARK, FAINT = (25, 25, 25), (252, 252, 250), (42, 120, 142), (214, 220, 222)


@cache
def font(pixels: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib and knows Latin, Greek and Cyrillic."""
    import matplotlib

    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf")), pixels)


def width_of(text: str, pixels: int) -> int:
    """Pixels that a text is wide."""
    return round(font(pixels).getlength(text))


def fitting(text: str, width: int, pixels: int) -> str:
    """The text, cut off with dots where it is wider than `width` pixels."""
    if width_of(text, pixels) <= width:
        return text
    while text and width_of(text + "…", pixels) > width:
        text = text[:-1]
    return text + "…"


def wrapped(text: str, width: int, pixels: int) -> list[str]:
    """The text in as many lines as `line_of` needs to show all of its words in `width` pixels."""
    lines: list[str] = []
    for word in text.split():
        if lines and width_of(f"{lines[-1]} {word}", pixels) <= width - pixels:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def line_of(text: str, width: int, pixels: int, *, colour: tuple[int, int, int] = INK) -> np.ndarray:
    """One line of text on paper. -> (about 1.6 pixels, width, 3) uint8"""
    picture = Image.new("RGB", (width, round(1.6 * pixels)), PAPER)
    ImageDraw.Draw(picture).text(
        (round(0.4 * pixels), round(0.2 * pixels)),
        fitting(text, width - pixels, pixels),
        colour,
        font(pixels),
    )
    return np.asarray(picture)


def bars(scores: Sequence[tuple[str, float]], width: int, pixels: int) -> np.ndarray:
    """A line for each class: name, bar, percent. -> (about 1.6 pixels each, width, 3) uint8"""
    line, margin = round(1.6 * pixels), round(0.5 * pixels)
    picture = Image.new("RGB", (width, line * len(scores) + 2 * margin), PAPER)
    draw = ImageDraw.Draw(picture)
    number = width_of("100.0 %", pixels)
    longest = max((width_of(label, pixels) for label, _ in scores), default=0)
    words = min(longest, (width - number - 4 * margin) * 2 // 3)
    left, right = words + 2 * margin, width - number - 2 * margin
    for i, (label, score) in enumerate(scores):
        top = margin + i * line
        draw.text((margin, top), fitting(label, words, pixels), INK, font(pixels))
        draw.rectangle((left, top + 2, right, top + pixels), FAINT)
        if score > 0:
            draw.rectangle((left, top + 2, left + round((right - left) * score), top + pixels), MARK)
        percent = f"{100 * score:.1f} %"
        draw.text((width - margin - width_of(percent, pixels), top), percent, INK, font(pixels))
    return np.asarray(picture)
