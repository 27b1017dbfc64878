"""A finished challenge on disk: its settings, and the files that a row of its leaderboard is made of.

A pack has the same files in the same places, so everything here is true of both.
"""

from dataclasses import dataclass
from pathlib import Path

from lgdnet.errors import InputError
from lgdnet.manifest import read_classes
from lgdnet.settings import Challenge, fusion_leaves, submitted_row
from lgdnet.settings.base import nearest

CLASSES = "manifest/classes.txt"
LEARNED = ("tcp", "attention_pool", "linear")


class PredictionError(InputError):
    """A challenge that is not finished, a row that it lacks, or a video that cannot be predicted."""


@dataclass(frozen=True)
class Finished:
    """`root` is laid out like results/{challenge}; `source` is what the user named."""

    root: Path
    challenge: Challenge
    source: Path
    packed: tuple[str, ...] = ()  # the rows that a pack holds, the default one first; none for results

    def classes(self) -> list[str]:
        """In the order of the scores' columns."""
        return read_classes(self.root / CLASSES)

    def rows(self) -> list[str]:
        """What can be computed of a new video: everything that has scores but those of other tools."""
        if self.packed:
            return list(self.packed)
        return [name for name in self.challenge.scored() if not self.foreign(name)]

    def default_row(self) -> str:
        """The row that would be submitted; of a pack, the first."""
        if self.packed:
            return self.packed[0]
        return short_name(submitted_row(self.challenge).name)

    def chosen_row(self, name: str | None) -> str:
        """The named row, else the submitted one. Errors: PredictionError."""
        row = name or self.default_row()
        if row not in (self.packed or self.challenge.scored()):
            raise PredictionError(f"{self.source}: no row is called {row!r}{nearest(row, self.rows())}")
        if foreign := self.foreign(row):
            raise PredictionError(
                f"{self.source}: {row!r} needs scores of another tool ({', '.join(foreign)}), which new videos have "
                f"not. Choose another --row: {', '.join(self.rows())}."
            )
        return row

    def foreign(self, row: str) -> list[str]:
        """Scores of other tools that a row needs."""
        return [leaf for leaf in self.leaves(row) if leaf in self.challenge.outside]

    def leaves(self, row: str) -> list[str]:
        """`stream/aggregation`, joint and outside names that a row is fused from; the row itself where it is one."""
        return fusion_leaves(self.challenge, row) if row in self.challenge.fusions else [row]

    def streams(self, row: str) -> list[str]:
        """Networks that run for a row, each once."""
        parts = [self.streams_of_leaf(leaf) for leaf in self.leaves(row)]
        return list(dict.fromkeys(stream for part in parts for stream in part))

    def streams_of_leaf(self, leaf: str) -> tuple[str, ...]:
        """The streams whose features a leaf is made of."""
        joint = self.challenge.joint.get(leaf)
        return joint.streams if joint else (leaf.split("/")[0],)

    # ---- files, relative to the root

    def stream_file(self, stream: str) -> str:
        return f"streams/{stream}/model.safetensors"

    def learned_file(self, leaf: str) -> str | None:
        """The fitted network of a leaf; None for a pool."""
        if leaf in self.challenge.joint:
            return f"joint/{leaf}/model.safetensors"
        return f"streams/{leaf}/model.safetensors" if leaf.split("/")[1] in LEARNED else None

    def weights_file(self, fusion: str) -> str:
        return f"fusions/{fusion}/weights.csv"

    def files(self, row: str) -> list[str]:
        """Every file that predicting a row reads."""
        learned = [self.learned_file(leaf) for leaf in self.leaves(row)]
        weights = [self.weights_file(row)] if row in self.challenge.fusions else []
        streams = [self.stream_file(stream) for stream in self.streams(row)]
        return [CLASSES, *streams, *(file for file in learned if file), *weights]

    def has(self, row: str) -> bool:
        """Whether every file is there that predicting a row reads."""
        return all((self.root / file).is_file() for file in self.files(row))

    def path(self, file: str) -> Path:
        """A file of the challenge. Errors: PredictionError where it was never made."""
        path = self.root / file
        if not path.is_file() and self.packed:
            raise PredictionError(
                f"{self.source}: {file} is missing. Make the pack again with `lgdnet pack`."
            )
        if not path.is_file():
            raise PredictionError(
                f"{path}: not there, so {self.source} is not finished. Run snakemake, or choose another --row."
            )
        return path


def short_name(row: str) -> str:
    """`streams/frame16/tcp` -> `frame16/tcp`, `fusions/ensemble` -> `ensemble`: as challenge files say it."""
    return row.split("/", 1)[1]
