"""The rows of the leaderboard: which score file each one shows, and under which words of the slides' table."""

from dataclasses import asdict, dataclass
from typing import Any

from lgdnet.settings.tree import Challenge, StreamSettings

SPELLING = {"lgd": "LGD", "p3d": "P3D", "se": "SE"}
PREFIXES = {"resnext": "ResNeXt", "resnet": "ResNet", "xception": "Xception"}
AGGREGATIONS = {
    "average_pool": "AP",
    "max_pool": "max",
    "tcp": "TCP",
    "attention_pool": "attention",
    "linear": "linear",
}


@dataclass(frozen=True)
class LeaderboardRow:
    """`name` is the folder of the score files below the results; the rest are the columns of the table."""

    name: str
    input: str
    backbone: str
    clip: str
    aggregation: str
    streams: tuple[str, ...] = ()  # networks behind it

    def words(self) -> dict[str, Any]:
        return asdict(self)


def leaderboard_rows(challenge: Challenge) -> list[LeaderboardRow]:
    """The rows that the challenge names, or all there are, in the order of the challenge file."""
    return [row_of(challenge, name) for name in challenge.evaluate.rows or challenge.scored()]


def stream_rows(challenge: Challenge) -> list[LeaderboardRow]:
    """Every stream and aggregation, joint network and outside file: what fusions are made of."""
    return [row_of(challenge, name) for name in challenge.scored() if name not in challenge.fusions]


def submitted_row(challenge: Challenge) -> LeaderboardRow:
    """The row whose test scores are handed in."""
    names = [*challenge.fusions] or list(challenge.evaluate.rows) or challenge.scored()
    return row_of(challenge, challenge.evaluate.submit or names[-1])


def row_of(challenge: Challenge, name: str) -> LeaderboardRow:
    """How something that has scores is presented."""
    if name in challenge.fusions:
        fusion = challenge.fusions[name]
        words = (fusion.input or name, fusion.backbone, fusion.clip, fusion.aggregation)
        return LeaderboardRow(f"fusions/{name}", *words, networks(challenge, name))
    if name in challenge.joint:
        joint = challenge.joint[name]
        return LeaderboardRow(f"joint/{name}", joint.input, joint.backbone, joint.clip, "TCP", joint.streams)
    if name in challenge.outside:
        outside = challenge.outside[name]
        words = (outside.input or name, outside.backbone, outside.clip, outside.aggregation)
        return LeaderboardRow(f"outside/{name}", *words)
    stream_name, aggregation = name.split("/")
    stream = challenge.streams[stream_name]
    return LeaderboardRow(
        name=f"streams/{name}",
        input=stream.modality.capitalize(),
        backbone=spelled(stream.backbone),
        clip=clip_of(stream),
        aggregation=AGGREGATIONS[aggregation],
        streams=(stream_name,),
    )


def networks(challenge: Challenge, fusion: str) -> tuple[str, ...]:
    """The streams behind a fusion, each once; scores from outside have none."""
    leaves = [leaf for leaf in fusion_leaves(challenge, fusion) if leaf not in challenge.outside]
    parts = [
        challenge.joint[leaf].streams if leaf in challenge.joint else (leaf.split("/")[0],) for leaf in leaves
    ]
    return tuple(dict.fromkeys(stream for part in parts for stream in part))


def fusion_tree(challenge: Challenge, name: str) -> dict[str, Any]:
    """A fusion with the fusions inside it, as the fuse stage is handed it."""
    fusion = challenge.fusions[name]
    members = [fusion_tree(challenge, m) if m in challenge.fusions else m for m in fusion.members]
    words = {
        "method": fusion.method,
        "weights": fusion.weights,
        "of": fusion.of,
        "calibrate": fusion.calibrate,
    }
    return {"name": name, "members": members, **words}


def fusion_leaves(challenge: Challenge, name: str) -> list[str]:
    """What a fusion is made of in the end, each once, in the order in which the fuse stage takes the files."""
    parts = [
        fusion_leaves(challenge, member) if member in challenge.fusions else [member]
        for member in challenge.fusions[name].members
    ]
    return list(dict.fromkeys(leaf for part in parts for leaf in part))


def clip_of(stream: StreamSettings) -> str:
    """Frames per clip; sound has none."""
    return "-" if stream.modality == "audio" else str(stream.clip_length)


def spelled(backbone: str) -> str:
    """`lgd-p3d-resnet101` as the papers write it: `LGD-P3D-ResNet101`."""
    return "-".join(spelled_part(part) for part in backbone.split("-"))


def spelled_part(part: str) -> str:
    for prefix, spelling in PREFIXES.items():
        if part.startswith(prefix):
            return spelling + part.removeprefix(prefix)
    return SPELLING.get(part, part)
