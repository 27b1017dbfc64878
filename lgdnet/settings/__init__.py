"""The settings of a whole challenge: one frozen tree, checked while `config.yaml` is read.

No torch and no numpy here: the Snakefile of every cluster job loads this package.
"""

from lgdnet.settings.base import Settings, SettingsError
from lgdnet.settings.flow import FlowSettings
from lgdnet.settings.reading import challenge_of, changed, parse, read_challenge
from lgdnet.settings.reference import json_schema, reference
from lgdnet.settings.rows import LeaderboardRow, leaderboard_rows
from lgdnet.settings.tree import (
    TRAIN_KEYS,
    AudioSettings,
    AugmentSettings,
    CacheSettings,
    Challenge,
    DatasetSettings,
    DumpSettings,
    EvaluateSettings,
    LengthSettings,
    ManifestSettings,
    MediaSettings,
    NoiseSettings,
    ShardSettings,
    StreamSettings,
    TrainSettings,
    WeightsSettings,
)

__all__ = [
    "TRAIN_KEYS",
    "AudioSettings",
    "AugmentSettings",
    "CacheSettings",
    "Challenge",
    "DatasetSettings",
    "DumpSettings",
    "EvaluateSettings",
    "FlowSettings",
    "LeaderboardRow",
    "LengthSettings",
    "ManifestSettings",
    "MediaSettings",
    "NoiseSettings",
    "Settings",
    "SettingsError",
    "ShardSettings",
    "StreamSettings",
    "TrainSettings",
    "WeightsSettings",
    "challenge_of",
    "changed",
    "json_schema",
    "leaderboard_rows",
    "parse",
    "read_challenge",
    "reference",
]
