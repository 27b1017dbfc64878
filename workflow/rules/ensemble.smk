# Everything after the networks: minutes on a CPU, from dumped features.


def way_settings(wildcards):
    return lgdnet.settings.changed(CHALLENGE.streams[wildcards.stream].aggregation, lgdnet.settings.FIT_KEYS)


def joint_features(split):
    """Features of every stream of a joint network, stream after stream."""
    return lambda wildcards: [
        path
        for stream in CHALLENGE.joint[wildcards.joint].streams
        for path in dumped(stream, split or wildcards.split)
    ]


def leaves(wildcards, split=None):
    """Score files of what a fusion is made of in the end."""
    names = lgdnet.settings.fusion_leaves(CHALLENGE, wildcards.fusion)
    return [score_file(name, split or wildcards.split) for name in names]


def fusion_json(wildcards):
    return json.dumps(lgdnet.settings.fusion_tree(CHALLENGE, wildcards.fusion))


def outside_inputs(wildcards):
    """The foreign file and the lists that go with it."""
    outside = CHALLENGE.outside[wildcards.outside]
    files = {
        "scores": outside.files[wildcards.split],
        "ids": outside.ids.get(wildcards.split),
        "classes": outside.classes,
    }
    return {name: CHALLENGE.data_path(file) for name, file in files.items() if file is not None}


def import_options(wildcards, input):
    given = [name for name in ("ids", "classes") if name in input.keys()]
    return " ".join(f"--{name} {shlex.quote(str(input[name]))}" for name in given)


wildcard_constraints:
    aggregation="|".join(lgdnet.settings.rows.AGGREGATIONS),
    joint="|".join(CHALLENGE.joint) or "none",
    outside="|".join(CHALLENGE.outside) or "none",
    fusion="|".join(map(re.escape, CHALLENGE.fusions)) or "none",


rule fit_aggregator:
    input:
        features=lambda wildcards: dumped(wildcards.stream, "train"),
        manifest=results("manifest/train.csv"),
    output:
        # Its checkpoints and history lie beside it, undeclared.
        model=results("streams/{stream}/{aggregation}/model.safetensors"),
    log:
        results("logs/fit_aggregator/{stream}-{aggregation}.log"),
    benchmark:
        results("benchmarks/fit_aggregator/{stream}-{aggregation}.tsv")
    retries: restarts("aggregation")
    threads: CHALLENGE.threads.aggregation
    resources:
        **needs("aggregation"),
    params:
        settings=way_settings,
    shell:
        "python -m lgdnet.launch --step --usage {log:q} fit-aggregator {input.features:q} --method {wildcards.aggregation}"
        " --manifest {input.manifest:q} --settings {params.settings:q} --out {output.model:q}"
        " --threads {threads} 2> {log:q}"


rule aggregate:
    input:
        features=lambda wildcards: feature_shards(wildcards.stream, wildcards.split),
        manifest=results("manifest/{split}.csv"),
        model=branch(
            lambda wildcards: wildcards.aggregation in LEARNED,
            then=results("streams/{stream}/{aggregation}/model.safetensors"),
        ),
    output:
        scores=results("streams/{stream}/{aggregation}/{split}.h5"),
    log:
        results("logs/aggregate/{stream}-{aggregation}-{split}.log"),
    benchmark:
        results("benchmarks/aggregate/{stream}-{aggregation}-{split}.tsv")
    retries: restarts("scores")
    resources:
        **needs("scores"),
    params:
        average=lambda wildcards: CHALLENGE.streams[wildcards.stream].aggregation.average,
        model=lambda wildcards, input: (f"--model {shlex.quote(str(input.model))}" if input.model else ""),
    shell:
        "python -m lgdnet aggregate {input.features:q} --method {wildcards.aggregation}"
        " --average {params.average} {params.model} --manifest {input.manifest:q}"
        " --out {output.scores:q} --threads {threads} 2> {log:q}"


rule fit_joint:
    input:
        features=joint_features("train"),
        manifest=results("manifest/train.csv"),
    output:
        model=results("joint/{joint}/model.safetensors"),
    log:
        results("logs/fit_joint/{joint}.log"),
    benchmark:
        results("benchmarks/fit_joint/{joint}.tsv")
    retries: restarts("aggregation")
    threads: CHALLENGE.threads.aggregation
    resources:
        **needs("aggregation"),
    params:
        settings=lambda wildcards: lgdnet.settings.changed(CHALLENGE.joint[wildcards.joint]),
    shell:
        "python -m lgdnet.launch --step --usage {log:q} fit-aggregator {input.features:q} --method multi_stream_tcp"
        " --manifest {input.manifest:q} --settings {params.settings:q} --out {output.model:q}"
        " --threads {threads} 2> {log:q}"


rule aggregate_joint:
    input:
        features=joint_features(None),
        manifest=results("manifest/{split}.csv"),
        model=results("joint/{joint}/model.safetensors"),
    output:
        scores=results("joint/{joint}/{split}.h5"),
    log:
        results("logs/aggregate_joint/{joint}-{split}.log"),
    benchmark:
        results("benchmarks/aggregate_joint/{joint}-{split}.tsv")
    retries: restarts("scores")
    resources:
        **needs("scores"),
    shell:
        "python -m lgdnet aggregate {input.features:q} --method multi_stream_tcp --model {input.model:q}"
        " --manifest {input.manifest:q} --out {output.scores:q} --threads {threads} 2> {log:q}"


rule import_scores:
    input:
        unpack(outside_inputs),
        manifest=results("manifest/{split}.csv"),
        order=results("manifest/classes.txt"),
    output:
        scores=results("outside/{outside}/{split}.h5"),
    log:
        results("logs/import_scores/{outside}-{split}.log"),
    benchmark:
        results("benchmarks/import_scores/{outside}-{split}.tsv")
    params:
        settings=lambda wildcards: lgdnet.settings.changed(CHALLENGE.outside[wildcards.outside].reading),
        lists=import_options,
    shell:
        "python -m lgdnet import-scores {input.scores:q} {params.lists} --class-order {input.order:q}"
        " --manifest {input.manifest:q} --settings {params.settings:q} --out {output.scores:q} 2> {log:q}"


rule fuse:
    input:
        scores=lambda wildcards: leaves(wildcards, CHALLENGE.evaluate.split),
        manifest=results(f"manifest/{CHALLENGE.evaluate.split}.csv"),
        rejected=results("manifest/rejected.csv"),
    output:
        scores=results(f"fusions/{{fusion}}/{CHALLENGE.evaluate.split}.h5"),
        weights=report(
            results("fusions/{fusion}/weights.csv"),
            caption="../report/weights.rst",
            category="Fusion",
            labels={"fusion": "{fusion}"},
        ),
        study=results("fusions/{fusion}/study.csv"),
    log:
        results("logs/fuse/{fusion}.log"),
    benchmark:
        results("benchmarks/fuse/{fusion}.tsv")
    retries: restarts("scores")
    resources:
        **needs("scores"),
    params:
        fusion=fusion_json,
        num_folds=CHALLENGE.evaluate.num_folds,
        seed=CHALLENGE.evaluate.seed,
    shell:
        "python -m lgdnet fuse {input.scores:q} --fusion {params.fusion:q} --manifest {input.manifest:q}"
        " --rejected {input.rejected:q}"
        " --num-folds {params.num_folds} --seed {params.seed} --weights-out {output.weights:q}"
        " --study-out {output.study:q} --out {output.scores:q} 2> {log:q}"


# Other splits than the one that is judged: with the weights found on all of that one.
rule apply_fusion:
    input:
        scores=leaves,
        manifest=results("manifest/{split}.csv"),
        weights=results("fusions/{fusion}/weights.csv"),
    output:
        scores=results("fusions/{fusion}/{split}.h5"),
    log:
        results("logs/apply_fusion/{fusion}-{split}.log"),
    benchmark:
        results("benchmarks/apply_fusion/{fusion}-{split}.tsv")
    retries: restarts("scores")
    resources:
        **needs("scores"),
    params:
        fusion=fusion_json,
    shell:
        "python -m lgdnet fuse {input.scores:q} --fusion {params.fusion:q} --weights {input.weights:q}"
        " --manifest {input.manifest:q} --out {output.scores:q} 2> {log:q}"


ruleorder: fuse > apply_fusion


rule evaluate:
    input:
        scores=video_scores(CHALLENGE.evaluate.split),
        manifest=results(f"manifest/{CHALLENGE.evaluate.split}.csv"),
        rejected=results("manifest/rejected.csv"),
    output:
        leaderboard=report(
            results("leaderboard.csv"), caption="../report/leaderboard.rst", category="Accuracy"
        ),
        per_class=report(results("per_class.csv"), caption="../report/per_class.rst", category="Classes"),
        confusions=report(results("confusions.csv"), caption="../report/confusions.rst", category="Classes"),
    log:
        results("logs/evaluate.log"),
    benchmark:
        results("benchmarks/evaluate.tsv")
    params:
        rows=row_words(lgdnet.settings.leaderboard_rows(CHALLENGE)),
    shell:
        "python -m lgdnet evaluate {input.scores:q} --rows {params.rows:q} --manifest {input.manifest:q}"
        " --rejected {input.rejected:q} --per-class {output.per_class:q}"
        " --confusions {output.confusions:q} --out {output.leaderboard:q} 2> {log:q}"


# Every stream, joint network and outside file, whether or not the leaderboard shows it.
rule streams_table:
    input:
        scores=[
            results(f"{row.name}/{CHALLENGE.evaluate.split}.h5")
            for row in lgdnet.settings.stream_rows(CHALLENGE)
        ],
        manifest=results(f"manifest/{CHALLENGE.evaluate.split}.csv"),
        rejected=results("manifest/rejected.csv"),
    output:
        report(results("streams.csv"), caption="../report/streams.rst", category="Accuracy"),
    log:
        results("logs/streams_table.log"),
    benchmark:
        results("benchmarks/streams_table.tsv")
    params:
        rows=row_words(lgdnet.settings.stream_rows(CHALLENGE)),
    shell:
        "python -m lgdnet evaluate {input.scores:q} --rows {params.rows:q} --manifest {input.manifest:q}"
        " --rejected {input.rejected:q} --out {output:q} 2> {log:q}"


rule fusions_table:
    input:
        expand(results("fusions/{fusion}/study.csv"), fusion=CHALLENGE.fusions),
    output:
        report(results("fusions.csv"), caption="../report/fusions.rst", category="Fusion"),
    shell:
        "awk 'FNR > 1 || NR == 1' {input:q} > {output:q}.tmp && mv {output:q}.tmp {output:q}"


rule submission:
    input:
        scores=results(f"{lgdnet.settings.submitted_row(CHALLENGE).name}/test.h5"),
        manifest=results("manifest/test.csv"),
        rejected=results("manifest/rejected.csv"),
    output:
        results("submission.json"),
    log:
        results("logs/submission.log"),
    benchmark:
        results("benchmarks/submission.tsv")
    params:
        external_data=shlex.quote(CHALLENGE.evaluate.external_data),  # {:q} would lose an empty text
    shell:
        "python -m lgdnet submission {input.scores:q} --manifest {input.manifest:q}"
        " --rejected {input.rejected:q} --external-data {params.external_data} --out {output:q} 2> {log:q}"


# The settings that all of this was made with, whatever the command line changed: `lgdnet predict` starts from them.
rule record_settings:
    output:
        results(lgdnet.settings.RECORDED),
    params:
        settings=lambda wildcards: lgdnet.settings.recorded(CHALLENGE),  # a path may hold {fold}, which is no wildcard
    shell:
        "printf '%s\\n' {params.settings:q} > {output:q}.tmp && mv {output:q}.tmp {output:q}"


# What it took: all benchmark files in one table. Other hours change no other file.
rule cost:
    input:
        results("leaderboard.csv"),
        tables(),
    output:
        report(results("cost.csv"), caption="../report/cost.rst", category="Cost"),
    log:
        results("logs/cost.log"),
    params:
        benchmarks=results("benchmarks"),
        gpus=json.dumps(gpus_of_stages()),
    shell:
        "python -m lgdnet cost {params.benchmarks:q} --gpus {params.gpus:q} --out {output:q} 2> {log:q}"


# One page of everything; pictures come from the videos, which are too many to be inputs.
rule report:
    input:
        results("leaderboard.csv"),
        results("per_class.csv"),
        results("manifest/rejected.csv"),
        tables(),
        rules.cost.output,
        video_scores(CHALLENGE.evaluate.split),
        fusion_files(),
        settings=rules.record_settings.output,
        features=evaluated_features(),
    output:
        report(results("report.html"), caption="../report/report.rst", category="Everything"),
    log:
        results("logs/report.log"),
    params:
        results=os.path.dirname(results("leaderboard.csv")),
    shell:
        "python -m lgdnet report {params.results:q} --challenge {input.settings:q} --out {output:q} 2> {log:q}"
