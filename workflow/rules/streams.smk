# A few real steps of a stream: memory, clips per second, hours for the whole schedule.
rule fit_check_stream:
    input:
        manifest=results("manifest/train.csv"),
        classes=results("manifest/classes.txt"),
        weights=pretrained,
        stored=stored_split("train"),
    output:
        results("streams/{stream}/fit_check.txt"),
    log:
        results("logs/fit_check/{stream}.log"),
    benchmark:
        results("benchmarks/fit_check/{stream}.tsv")
    retries: restarts("train")
    threads: CHALLENGE.threads.train  # as many as training will have
    resources:
        **needs("train"),
    params:
        config=lambda wildcards: workflow.configfiles[-1],
        data_root=CHALLENGE.data_root,
        settings=train_settings,
    shell:
        "python -m lgdnet fit-check {params.config:q} {wildcards.stream} --data-root {params.data_root:q}"
        " --threads {threads} > {output:q} 2> {log:q}"


rule train:
    input:
        manifest=videos("train"),
        validation=videos(CHALLENGE.evaluate.split),
        classes=results("manifest/classes.txt"),
        init=init_of,
        weights=pretrained,
        stored=stored_split("train"),
        stored_validation=stored_split(CHALLENGE.evaluate.split),
    output:
        # Checkpoints lie beside it, undeclared: Snakemake deletes the declared outputs of a failed job.
        model=results("streams/{stream}/model.safetensors"),
    log:
        results("logs/train/{stream}.log"),
    benchmark:
        results("benchmarks/train/{stream}.tsv")
    retries: restarts("train")
    threads: CHALLENGE.threads.train
    resources:
        **needs("train"),
    params:
        settings=train_settings,
        video_root=read_root(),
        init=lambda wildcards, input: f"--init {input.init}" if input.init else "",
        stored=lambda wildcards, input: options("--stored", input.stored),
        stored_validation=lambda wildcards, input: options("--stored-validation", input.stored_validation),
        flow=flow_option,
    shell:
        # One process, or one per GPU on all nodes; in a Slurm job a step of its own, which signals reach.
        "python -m lgdnet.launch --step --usage {log:q} train --manifest {input.manifest:q} --validation {input.validation:q}"
        " --classes {input.classes:q} --video-root {params.video_root:q} {params.init}"
        " {params.stored} {params.stored_validation} {params.flow}"
        " --settings {params.settings:q} --out {output.model:q} --threads {threads} 2> {log:q}"


rule dump:
    input:
        model=results("streams/{stream}/model.safetensors"),
        manifest=videos(),
        stored=stored_shard,
    output:
        features=results("streams/{stream}/features/{split}{draw}/{shard}.h5"),
    log:
        results("logs/dump/{stream}-{split}{draw}-{shard}.log"),
    benchmark:
        results("benchmarks/dump/{stream}-{split}{draw}-{shard}.tsv")
    # Further dumps of a split, with other clip starts, lie in train-1, train-2, ...
    wildcard_constraints:
        draw=r"(-[1-9]\d*)?",
    retries: restarts("dump")
    threads: 1
    resources:
        **needs("dump"),
    params:
        settings=dump_settings,
        video_root=read_root(),
        num_shards=lambda wildcards: num_shards(wildcards.split),
        stored=lambda wildcards, input: options("--stored", input.stored),
        draw=lambda wildcards: f"--draw {wildcards.draw[1:]}" if wildcards.draw else "",
    shell:
        "python -m lgdnet.launch --usage {log:q} --processes 1 dump --model {input.model:q} --manifest {input.manifest:q}"
        " --video-root {params.video_root:q} --shard {wildcards.shard} --num-shards {params.num_shards}"
        " {params.draw} {params.stored}"
        " --settings {params.settings:q} --out {output.features:q} --threads {threads} 2> {log:q}"
