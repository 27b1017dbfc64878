"""The rows of the leaderboard: which score file each one shows, and under which words of the slides' table."""

from dataclasses import asdict, dataclass

from lgdnet.settings.tree import Challenge, StreamSettings

SPELLING = {"lgd": "LGD", "p3d": "P3D", "se": "SE"}
PREFIXES = {"resnext": "ResNeXt", "resnet": "ResNet", "xception": "Xception"}
AGGREGATIONS = {"average_pool": "AP", "tcp": "TCP"}


@dataclass(frozen=True)
class LeaderboardRow:
    """`name` is the folder of the score files below the results; the rest are the columns of the table."""

    name: str
    input: str
    backbone: str
    clip: str
    aggregation: str

    def words(self) -> dict[str, str]:
        return asdict(self)


def leaderboard_rows(challenge: Challenge) -> list[LeaderboardRow]:
    """One row per stream and aggregation, in the order of the challenge file."""
    return [
        LeaderboardRow(
            name=f"streams/{name}/{aggregation}",
            input=stream.modality.capitalize(),
            backbone=spelled(stream.backbone),
            clip=clip_of(stream),
            aggregation=AGGREGATIONS.get(aggregation, aggregation),
        )
        for name, stream in challenge.streams.items()
        for aggregation in stream.aggregate
    ]


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
