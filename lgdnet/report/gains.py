"""Which two rows tell what a modality brings: a fusion, and the same fusion without the streams of the modality."""

import json
from typing import Any, NamedTuple

from lgdnet.fusion import Fusion
from lgdnet.report.challenge import Finished, Row
from lgdnet.settings import Challenge, fusion_tree

WORDS = {"flow": "optical flow", "audio": "sound"}


class Gain(NamedTuple):
    """Two rows that differ by the streams of one modality and by nothing else."""

    modality: str
    having: Row
    lacking: Row
    alone: bool  # no fusion has such a partner; the rows are a stream of the modality and one of frames


def gains(finished: Finished) -> list[Gain]:
    """For flow and sound, the most accurate fusion of which another row is the same one without the modality."""
    by_recipe = {recipe(scored_as(finished.challenge, row)): row for row in finished.all_rows}
    found = []
    for modality in WORDS:
        pairs = []
        for having in finished.all_rows:
            rest = without(finished.challenge, scored_as(finished.challenge, having), modality)
            lacking = by_recipe.get(recipe(rest)) if rest is not None else None
            if lacking is not None:
                pairs.append((having, lacking))
        alone = not pairs
        pairs = pairs or each_alone(finished, modality)
        if pairs:
            found.append(Gain(modality, *max(pairs, key=lambda pair: (pair[0].top1, pair[1].top1)), alone))
    return found


def missing_gains(finished: Finished) -> list[str]:
    """Modalities that the challenge sees, of which no two rows tell what they bring."""
    seen = {stream.modality for stream in finished.challenge.streams.values()}
    told = {gain.modality for gain in gains(finished)}
    return [modality for modality in WORDS if modality in seen and modality not in told]


def scored_as(challenge: Challenge, row: Row) -> str | Fusion:
    """The fusion behind a row, or the name by which fusions call it."""
    if row.name != f"fusions/{row.short}":
        return row.short
    return Fusion.from_json(json.dumps(fusion_tree(challenge, row.short)))


def without(challenge: Challenge, scored: str | Fusion, modality: str) -> Fusion | None:
    """The fusion without the streams of a modality; None where it has none, where nothing is left, or where a joint
    network sees the modality among others."""
    if isinstance(scored, str):
        return None
    left_out = [name for name in scored.streams() if modality in seen_by(challenge, name)]
    if not left_out or any(seen_by(challenge, name) != {modality} for name in left_out):
        return None
    rest: Fusion | None = scored
    for name in left_out:
        rest = rest and rest.without(name)
    return rest


def seen_by(challenge: Challenge, name: str) -> set[str]:
    """Modalities of a stream or a joint network; scores from outside do not say."""
    if name in challenge.outside:
        return set()
    streams = challenge.joint[name].streams if name in challenge.joint else (name.split("/")[0],)
    return {challenge.streams[stream].modality for stream in streams}


def recipe(scored: str | Fusion) -> Any:
    """Equal for what ranks classes alike, whatever it is called: one member alone is that member."""
    if isinstance(scored, str):
        return scored
    if len(scored.members) == 1:
        return recipe(scored.members[0])
    weights = scored.weights or (1.0,) * len(scored.members)
    shares = [round(weight / sum(weights), 9) for weight in weights]
    members = sorted(zip(map(recipe, scored.members), shares, strict=True), key=repr)
    return (scored.method, scored.of, scored.calibrate, tuple(members))


def each_alone(finished: Finished, modality: str) -> list[tuple[Row, Row]]:
    """Streams of the modality and of frames, aggregated alike."""
    of_streams = [row for row in finished.all_rows if row.name.startswith("streams/")]
    return [
        (having, lacking)
        for having in of_streams
        for lacking in of_streams
        if finished.modalities(having) == {modality}
        and finished.modalities(lacking) == {"frame"}
        and having.aggregation == lacking.aggregation
    ]
