"""What one job of each kind asks of a cluster. Nothing here reruns anything."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from lgdnet.settings.base import Settings

# Which kind of job each rule of the workflow is, where the names differ.
KIND_OF_RULE = {
    "manifest": "probe",
    "transcode": "media",
    "cache_shard": "cache",
    "extract_flow": "flow",
    "audio_shard": "audio",
    "fit_check_stream": "train",
    "fit_aggregator": "aggregation",
    "fit_joint": "aggregation",
    **dict.fromkeys(("aggregate", "aggregate_joint", "fuse", "apply_fusion"), "scores"),
}


class JobSettings(Settings):
    """One kind of job. Where it runs, the partition and the account, stands in `slurm/config.yaml`."""

    memory_gb: Annotated[float, Field(ge=0.05, allow_inf_nan=False)] = 4
    """Memory of one node; the second attempt gets twice as much, all later ones three times."""
    hours: Annotated[float, Field(ge=0.02, allow_inf_nan=False)] = 1
    """Time limit. Jobs that go on where they stopped may be longer than it."""
    restarts: NonNegativeInt = 1
    """How often a job that failed, or was stopped by the cluster, is started again."""
    gpus: NonNegativeInt = 0
    """GPUs of each node; 0 for a job on CPUs."""
    gpu_model: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")] | None = None
    """Kind of GPU as the cluster calls it; empty for any."""
    nodes: PositiveInt = 1
    """Nodes of one job; more than one only for `train`."""


class JobsSettings(Settings):
    """What one job of each kind asks of a cluster: memory, time, GPUs. Cores are in `threads`."""

    probe: JobSettings = JobSettings(memory_gb=4, hours=4, restarts=2)
    """Checking of videos: 4 GB, 4 h."""
    media: JobSettings = JobSettings(memory_gb=4, hours=8, restarts=2)
    """Transcoding of a shard: 4 GB, 8 h."""
    cache: JobSettings = JobSettings(memory_gb=4, hours=4, restarts=2)
    """Frame cache of a shard: 4 GB, 4 h."""
    flow: JobSettings = JobSettings(memory_gb=8, hours=12, restarts=3)
    """Flow of a shard: 8 GB, 12 h."""
    audio: JobSettings = JobSettings(memory_gb=4, hours=2, restarts=2)
    """Sound of a shard: 4 GB, 2 h."""
    train: JobSettings = JobSettings(memory_gb=32, hours=24, restarts=5, gpus=1)
    """A network: 32 GB, 24 h, one GPU, 5 restarts."""
    dump: JobSettings = JobSettings(memory_gb=16, hours=4, restarts=2, gpus=1)
    """Features of a shard: 16 GB, 4 h, one GPU."""
    aggregation: JobSettings = JobSettings(memory_gb=16, hours=4, restarts=2)
    """TCP and the other learned aggregations: 16 GB, 4 h."""
    scores: JobSettings = JobSettings(memory_gb=8, hours=1)
    """Everything after that: 8 GB, 1 h."""

    @model_validator(mode="before")
    @classmethod
    def keep_the_rest(cls, values: Any) -> Any:
        """A key of one kind leaves the other defaults of that kind as they are."""
        if not isinstance(values, Mapping):
            return values
        return {name: cls.completed(name, own) for name, own in values.items()}

    @classmethod
    def completed(cls, name: str, own: Any) -> Any:
        if name not in cls.model_fields or not isinstance(own, Mapping):
            return own
        return {**cls.model_fields[name].default.model_dump(), **own}

    @model_validator(mode="after")
    def only_training_spans_nodes(self) -> "JobsSettings":
        """Every other job is one process."""
        for name in type(self).model_fields:
            if name != "train" and getattr(self, name).nodes > 1:
                raise ValueError(f"{name}: nodes: only train runs on several nodes; cut the work with shards")
        return self


class ThreadSettings(Settings):
    """CPU cores of one job. They rerun nothing. On two cores, one each lets two jobs run side by side."""

    train: PositiveInt = 8
    """Of a network: beside a GPU they decode, without one they also compute."""
    flow: PositiveInt = 2
    """Of one shard of flow."""
    aggregation: PositiveInt = 2
    """Of TCP and the other learned aggregations."""
