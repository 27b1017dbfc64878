"""The settings of a whole challenge: one frozen tree, checked while `config.yaml` is read.

No torch and no numpy here: the Snakefile of every cluster job loads this package.
"""

from lgdnet.settings.base import Settings, SettingsError
from lgdnet.settings.ensemble import (
    AggregationSettings,
    EvaluateSettings,
    FusionSettings,
    ImportSettings,
    JointSettings,
    OutsideSettings,
)
from lgdnet.settings.flow import FlowSettings
from lgdnet.settings.jobs import KIND_OF_RULE, JobSettings, JobsSettings
from lgdnet.settings.media import CacheSettings, MediaSettings
from lgdnet.settings.reading import (
    RECORDED,
    challenge_of,
    changed,
    check_annotations,
    parse,
    read_challenge,
    read_recorded,
    recorded,
)
from lgdnet.settings.reference import json_schema, reference
from lgdnet.settings.report import ReportSettings
from lgdnet.settings.rows import (
    LeaderboardRow,
    fusion_leaves,
    fusion_tree,
    leaderboard_rows,
    row_of,
    stream_rows,
    submitted_row,
)
from lgdnet.settings.sound import AudioSettings, NoiseSettings, SoundAugmentSettings
from lgdnet.settings.tree import (
    DUMP_KEYS,
    FIT_KEYS,
    TRAIN_KEYS,
    AugmentSettings,
    Challenge,
    DatasetSettings,
    DumpSettings,
    LengthSettings,
    ManifestSettings,
    ShardSettings,
    StreamSettings,
    TrainSettings,
    WeightsSettings,
)

__all__ = [
    "DUMP_KEYS",
    "FIT_KEYS",
    "KIND_OF_RULE",
    "RECORDED",
    "TRAIN_KEYS",
    "AggregationSettings",
    "AudioSettings",
    "AugmentSettings",
    "CacheSettings",
    "Challenge",
    "DatasetSettings",
    "DumpSettings",
    "EvaluateSettings",
    "FlowSettings",
    "FusionSettings",
    "ImportSettings",
    "JobSettings",
    "JobsSettings",
    "JointSettings",
    "LeaderboardRow",
    "LengthSettings",
    "ManifestSettings",
    "MediaSettings",
    "NoiseSettings",
    "OutsideSettings",
    "ReportSettings",
    "Settings",
    "SettingsError",
    "ShardSettings",
    "SoundAugmentSettings",
    "StreamSettings",
    "TrainSettings",
    "WeightsSettings",
    "challenge_of",
    "changed",
    "check_annotations",
    "fusion_leaves",
    "fusion_tree",
    "json_schema",
    "leaderboard_rows",
    "parse",
    "read_challenge",
    "read_recorded",
    "recorded",
    "reference",
    "row_of",
    "stream_rows",
    "submitted_row",
]
