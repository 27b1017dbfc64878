"""What a flow file was made with, and what every flow file has in common."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lgdnet.flow.algorithms import all_parameters

FORMAT = "lgdnet-flow-1"
AGAIN = "Delete it and run `snakemake flow`."


@dataclass(frozen=True)
class Recipe:
    """What decides the bytes of a flow file. Two files with equal recipes can be used together."""

    algorithm: str
    parameters: dict[str, Any]  # all of them, defaults too
    bound: float  # pixels
    short_side: int | None  # pixels
    quality: int  # of the JPEGs

    @classmethod
    def of(
        cls, algorithm: str, changes: Mapping[str, Any], *, bound: float, short_side: int | None, quality: int
    ) -> "Recipe":
        """With every parameter of the algorithm, of which only `changes` are given."""
        return cls(algorithm, all_parameters(algorithm, changes), bound, short_side, quality)

    @classmethod
    def from_json(cls, text: str) -> "Recipe":
        return cls(**json.loads(text))

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    def differences(self, other: "Recipe") -> str:
        """`bound 20 instead of 10, ...`: what this one has and the other not."""
        ours, theirs = asdict(self), asdict(other)
        return ", ".join(
            f"{key} {ours[key]} instead of {theirs[key]}" for key in ours if ours[key] != theirs[key]
        )
