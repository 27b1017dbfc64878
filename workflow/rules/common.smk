# What the rules know of the settings: paths, shards, and the JSON that each stage is handed.
# Modules are imported, not names: a .smk file shares Snakemake's own globals.
import json
import os
import pathlib
import re
import shlex
import sys

import lgdnet.artefact
import lgdnet.errors
import lgdnet.settings


def settings_of_the_start():
    """In a job the settings are those that its snakemake was started with, whatever the challenge file says by now."""
    kept = os.environ.get("LGDNET_SETTINGS", "")
    if workflow.is_main_process or not kept:
        return config
    with open(kept, encoding="utf-8") as file:
        return json.load(file)


def keep_settings():
    """For the jobs of this start."""
    path = pathlib.Path(f".snakemake/lgdnet-settings/{lgdnet.artefact.digest(config)}.json").absolute()
    lgdnet.artefact.write_json(path, config)
    os.environ["LGDNET_SETTINGS"] = str(path)


def read_settings():
    """The checked settings, or the fault in plain words instead of a traceback."""
    source = ", ".join(str(path) for path in workflow.configfiles) or "--config"
    try:
        challenge = lgdnet.settings.challenge_of(settings_of_the_start(), source=source)
        lgdnet.settings.check_annotations(challenge, source=source)
        return challenge
    except lgdnet.errors.InputError as error:
        print(error, file=sys.stderr)
        sys.exit(1)


CHALLENGE = read_settings()

# Slurm signals every process of a job step, this shell among them; it waits for its command, which may be saving.
shell.prefix("set -euo pipefail; trap : TERM USR1; ")

# Jobs run the Python that runs Snakemake, whether or not its environment was activated.
os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])


wildcard_constraints:
    stream="|".join(CHALLENGE.streams),
    split="train|validation|test",
    shard=r"\d+",


def results(path):
    """A path under this challenge's results."""
    return f"results/{CHALLENGE.challenge}/{path}"


def scored_splits():
    """The splits that are dumped and scored: all but the training split, which only some aggregations need."""
    return [split for split in CHALLENGE.dataset.annotations if split != "train"]


def num_shards(split):
    return getattr(CHALLENGE.shards, split)


def feature_shards(stream, split):
    return [
        results(f"streams/{stream}/features/{split}/{shard:04d}.h5") for shard in range(num_shards(split))
    ]


def evaluated_features():
    """Features of the split that is judged, of all streams: the report counts their views."""
    split = CHALLENGE.evaluate.split
    return [path for stream in CHALLENGE.streams for path in feature_shards(stream, split)]


def dumped(stream, split):
    """Feature files of all dumps of a split: the training split may have several, with other starts."""
    shards = feature_shards(stream, split)
    if split == "train":
        for draw in range(1, CHALLENGE.streams[stream].dump.training_dumps):
            shards += [
                path.replace("features/train/", f"features/train-{draw}/")
                for path in feature_shards(stream, split)
            ]
    return shards


def stage_before(stream):
    """The stage that makes what a stream is cut from: "flow", "audio", "cache", or None where the videos will do."""
    settings = CHALLENGE.streams[stream]
    if settings.modality == "frame" and CHALLENGE.cache is not None:
        return "cache"
    if settings.modality == "flow" and settings.flow_on_the_fly:
        return None
    return settings.modality if settings.modality in ("flow", "audio") else None


def stored_files(stage, split):
    return [results(f"{stage}/{split}/{shard:04d}.h5") for shard in range(num_shards(split))]


def made_for(stage):
    """All files of the flow or audio stage, where any stream is cut from them."""
    if not any(stage_before(stream) == stage for stream in CHALLENGE.streams):
        return []
    return [path for split in CHALLENGE.dataset.annotations for path in stored_files(stage, split)]


def stored_split(split):
    """Input of a stream: what an earlier stage made of a whole split."""

    def files(wildcards):
        stage = stage_before(wildcards.stream)
        return stored_files(stage, split) if stage else []

    return files


def stored_shard(wildcards, split=None):
    """Input of a stream: what an earlier stage made of one shard."""
    stage = stage_before(wildcards.stream)
    return [results(f"{stage}/{split or wildcards.split}/{wildcards.shard}.h5")] if stage else []


def flow_option(wildcards):
    """How the flow must have been made, for flow streams."""
    if CHALLENGE.streams[wildcards.stream].modality != "flow":
        return ""
    return f"--flow-settings {shlex.quote(lgdnet.settings.changed(CHALLENGE.flow))}"


def options(name, paths):
    """One option of the command line for each file."""
    return " ".join(f"{name} {shlex.quote(str(path))}" for path in paths)


def video_scores(split):
    """Score files of every row of the leaderboard, for one split."""
    return [results(f"{row.name}/{split}.h5") for row in lgdnet.settings.leaderboard_rows(CHALLENGE)]


def score_file(name, split):
    """Scores of `stream/aggregation`, or of a joint network, outside file or fusion."""
    return results(f"{lgdnet.settings.row_of(CHALLENGE, name).name}/{split}.h5")


def row_words(rows):
    """How each row is presented, as JSON."""
    return json.dumps([row.words() for row in rows])


# Ways to turn clips into a video that are fitted to the features of the training split.
LEARNED = ("tcp", "attention_pool", "linear")


def learned_aggregations():
    """Stream and aggregation, for those that are fitted."""
    return [
        (name, way)
        for name, stream in CHALLENGE.streams.items()
        for way in stream.aggregate
        if way in LEARNED
    ]


def training_features():
    """Features of the training split, of the streams from which something is learned."""
    streams = {name for name, _ in learned_aggregations()}
    streams |= {name for joint in CHALLENGE.joint.values() for name in joint.streams}
    return [path for stream in CHALLENGE.streams if stream in streams for path in dumped(stream, "train")]


def fitted_models():
    """Networks that were fitted to features."""
    of_streams = [results(f"streams/{name}/{way}/model.safetensors") for name, way in learned_aggregations()]
    return of_streams + [results(f"joint/{name}/model.safetensors") for name in CHALLENGE.joint]


def fusion_files():
    return [
        results(f"fusions/{name}/{file}")
        for name in CHALLENGE.fusions
        for file in ("weights.csv", "study.csv")
    ]


def submitted_scores():
    """Test scores of the row that is handed in, and of what it is fused from."""
    if "test" not in CHALLENGE.dataset.annotations:
        return []
    row = lgdnet.settings.submitted_row(CHALLENGE)
    fusion = row.name.removeprefix("fusions/")
    leaves = lgdnet.settings.fusion_leaves(CHALLENGE, fusion) if fusion in CHALLENGE.fusions else []
    return [results(f"{row.name}/test.h5"), *(score_file(leaf, "test") for leaf in leaves)]


def tables():
    """What a finished challenge has beside its leaderboard."""
    names = ["streams.csv"] + ["fusions.csv"] * bool(CHALLENGE.fusions)
    names += ["submission.json"] * ("test" in CHALLENGE.dataset.annotations)
    return [results(name) for name in names]


def annotation_files():
    files = [*CHALLENGE.dataset.annotations.values(), CHALLENGE.dataset.classes]
    return [CHALLENGE.data_path(file) for file in dict.fromkeys(files) if file is not None]


def video_root():
    """Where the videos are as they came."""
    return CHALLENGE.data_path(CHALLENGE.dataset.video_root)


def videos(split="{split}"):
    """The manifest of the videos that every later stage reads: as they came, or transcoded."""
    return results(f"{'media' if CHALLENGE.media.enabled else 'manifest'}/{split}.csv")


def read_root():
    """The folder that the paths of that manifest start from."""
    return results("media") if CHALLENGE.media.enabled else video_root()


def probe_shards():
    """Results of the probing jobs, where it is cut into several."""
    count = CHALLENGE.manifest.jobs
    return [results(f"probes/{shard:04d}.jsonl") for shard in range(count)] if count > 1 else []


def dataset_settings():
    return lgdnet.settings.changed(CHALLENGE.dataset)


def train_settings(wildcards):
    return lgdnet.settings.changed(CHALLENGE.streams[wildcards.stream], lgdnet.settings.TRAIN_KEYS)


def dump_settings(wildcards):
    return lgdnet.settings.changed(CHALLENGE.streams[wildcards.stream].dump, lgdnet.settings.DUMP_KEYS)


def init_of(wildcards):
    """The finished model of the stream that this one starts from, if it names one."""
    init = CHALLENGE.streams[wildcards.stream].init
    return [results(f"streams/{init}/model.safetensors")] if init else []


def pretrained(wildcards):
    weights = CHALLENGE.streams[wildcards.stream].weights
    return [weights.path] if weights else []


def needs(kind):
    """Resources of a rule: what one job of this kind asks of a cluster. Locally they limit nothing."""
    job = getattr(CHALLENGE.jobs, kind)
    asked = {
        "mem_mb": lambda wildcards, attempt: round(1000 * job.memory_gb * min(attempt, 3)),
        "runtime": round(60 * job.hours),  # minutes; a longer limit might be one that no partition allows
    }
    asked["nodes"] = job.nodes  # always, or Slurm may spread several GPUs over nodes
    if job.gpus:
        asked |= {"gpu": job.gpus * job.nodes, "gpu_model": job.gpu_model, **gpu_partition()}
    if job.nodes > 1:
        # Without `mpi` the job would be a step on one node; `tasks_per_gpu` 0 keeps `tasks` from meaning GPUs.
        asked |= {"tasks": job.nodes, "tasks_per_gpu": 0, "mpi": "srun"}
    return {name: value for name, value in asked.items() if value is not None}


def gpus_of_stages():
    """GPUs that a job of each stage asks for, where it asks for any."""
    kinds = {stage: stage for stage in ("train", "dump", "flow", "audio")} | {"fit_check": "train"}
    kinds |= {"fit_aggregator": "aggregation", "fit_joint": "aggregation"}
    jobs = {stage: getattr(CHALLENGE.jobs, kind) for stage, kind in kinds.items()}
    return {stage: job.gpus * job.nodes for stage, job in jobs.items() if job.gpus}


def restarts(kind):
    """How often a job is started again: by the snakemake that the user started, not by the one inside a job."""
    return getattr(CHALLENGE.jobs, kind).restarts if workflow.is_main_process else 0


def gpu_partition():
    """Where a profile sends jobs with GPUs: its own `gpu_partition` among the default resources."""
    partition = default_resource("gpu_partition")
    return {"slurm_partition": partition} if partition else {}


def default_resource(name):
    """A name that the profile gives to all jobs; "" without one."""
    found = workflow.resource_settings._parsed_default_resources.get(name)
    return "" if found is None or found.raw is None else str(found.raw).strip("'\"")
