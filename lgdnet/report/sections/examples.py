"""Example videos: right, wrong, and those on which the streams differ most."""

from collections.abc import Sequence

import numpy as np

from lgdnet.log import progress
from lgdnet.report.challenge import Finished, Row
from lgdnet.report.content import Block, Example, Examples, Guess, Section
from lgdnet.report.judged import Judged, Judgement
from lgdnet.report.strips import Strips
from lgdnet.report.wording import listed

NONE_OF = {
    "right": "{best} is right on no video.",
    "wrong": "{best} is wrong on no video that it has a score of.",
    "disagreed": "On no video do the streams differ enough to be shown.",
}


def examples(finished: Finished, judged: Judgement) -> Section:
    """Pictures of each, with the five best classes of every stream."""
    about = ("examples", "Example videos")
    number = finished.challenge.report.examples
    if number == 0:
        return Section(*about, absent="`report: {examples: 0}` in the challenge file asks for none")
    best = judged.of(finished.best)
    chosen = {
        "right": pick(best, best.present & best.right, best.top_scores[:, 0], number),
        "wrong": pick(best, best.present & ~best.right, best.top_scores[:, 0], number),
        "disagreed": pick(best, judged.disagreement > 0.01, judged.disagreement, number),
    }
    words = {
        "right": (
            "Right",
            f"{finished.best.short} is right and most sure; at most one of a class, as far as classes suffice.",
        ),
        "wrong": ("Wrong", f"{finished.best.short} is wrong and most sure of it."),
        "disagreed": (
            "Most disagreed",
            "What the streams say differs most (Jensen-Shannon divergence of their scores).",
        ),
    }
    strips = Strips(finished)
    made: dict[str, list[Example]] = {kind: [] for kind in chosen}
    todo = [(kind, video) for kind, videos in chosen.items() for video in videos]
    if not todo:
        return Section(*about, absent="no video has a score")
    for kind, video in progress(todo, what="pictures", unit="videos"):
        made[kind].append(example(finished, judged, strips, video))
    blocks: list[Block] = [
        Examples(f"examples-{kind}", *words[kind], items) for kind, items in made.items() if items
    ]
    none = [NONE_OF[kind] for kind, items in made.items() if not items]
    return Section(
        *about,
        f"Pictures are evenly spaced over each video. Beside them: {listed(list(speakers(finished)), 12)}, each with its five "
        f"best classes; the true one is marked. {' '.join(none).format(best=finished.best.short)}".rstrip(),
        blocks,
    )


def speakers(finished: Finished) -> dict[str, Row]:
    """Who is quoted: the best row first, then each stream by itself."""
    return {finished.best.short: finished.best} | finished.voices


def pick(best: Judged, allowed: np.ndarray, value: np.ndarray, number: int) -> list[int]:
    """Videos with the highest value, each of another class first, then the next ones: rows of the labels."""
    order = np.flatnonzero(allowed)
    order = order[np.argsort(-value[order], kind="stable")]
    _, first = np.unique(best.labels[order], return_index=True)
    once = set(first.tolist())
    ranked = sorted(range(len(order)), key=lambda i: (i not in once, i))
    return [int(order[i]) for i in ranked[:number]]


def example(finished: Finished, judged: Judgement, strips: Strips, video: int) -> Example:
    """One video with what everyone says of it."""
    names, best = judged.classes, judged.of(finished.best)
    video_id = str(finished.labels.video_ids[video])
    picture, why_none = strips.of(video_id)
    right = "right" if best.right[video] else f"said {names[best.top_classes[video, 0]]}"
    voices = [judged.of(row) for row in finished.voices.values()]
    agree = sum(int(voice.right[video]) for voice in voices)
    return Example(
        video_id,
        names[best.labels[video]],
        picture,
        why_none,
        f"{finished.best.short} {right}; {agree} of {len(voices)} streams are right",
        [(name, guesses(judged.of(row), video, names)) for name, row in speakers(finished).items()],
    )


def guesses(judged: Judged, video: int, names: Sequence[str]) -> list[Guess]:
    """The best classes of one row; none where it has no score for the video."""
    if not judged.present[video]:
        return []
    pairs = zip(judged.top_classes[video].tolist(), judged.top_scores[video].tolist(), strict=True)
    return [Guess(names[k], 100 * score, k == judged.labels[video]) for k, score in pairs]
