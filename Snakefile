# A whole action recognition challenge, from a folder of labelled videos to a leaderboard.
#
#   snakemake                                   the default challenge, config.yaml
#   snakemake --configfile challenges/X.yaml    another one
#   snakemake manifest | flow | audio | models | features | scores | leaderboard | report
#                                               one stage and what it needs
#   snakemake fit_check                         whether the streams fit, before the first long job
#   snakemake --profile slurm                   on a cluster
from snakemake.utils import min_version

min_version("9.27")

# A challenge given by --configfile replaces the default one; it is not mixed into it.
if "challenge" not in config:

    configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/media.smk"
include: "workflow/rules/sound.smk"
include: "workflow/rules/streams.smk"
include: "workflow/rules/ensemble.smk"
include: "workflow/rules/restart.smk"


localrules:
    all,
    audio,
    flow,
    models,
    fit_check,
    features,
    scores,
    leaderboard,
    fusions_table,
    # Seconds each: not worth a place in a queue.
    media_manifest,
    import_scores,
    evaluate,
    record_settings,
    streams_table,
    submission,
    cost,
    report,


rule flow:
    input:
        made_for("flow"),


rule audio:
    input:
        made_for("audio"),


rule models:
    input:
        expand(results("streams/{stream}/model.safetensors"), stream=CHALLENGE.streams),


rule fit_check:
    input:
        expand(results("streams/{stream}/fit_check.txt"), stream=CHALLENGE.streams),


rule features:
    input:
        [
            path
            for stream in CHALLENGE.streams
            for split in scored_splits()
            for path in feature_shards(stream, split)
        ],


rule scores:
    input:
        video_scores(CHALLENGE.evaluate.split),


rule leaderboard:
    input:
        results("leaderboard.csv"),
        rules.record_settings.output,


# Names every file that is kept, so that a deleted one is made again, and what depends on it.
rule all:
    default_target: True
    input:
        rules.manifest.output,
        rules.flow.input,
        rules.audio.input,
        rules.models.input,
        rules.features.input,
        training_features(),
        fitted_models(),
        rules.scores.input,
        rules.evaluate.output,
        fusion_files(),
        submitted_scores(),
        tables(),
        rules.record_settings.output,
        rules.cost.output,
        rules.report.output,
