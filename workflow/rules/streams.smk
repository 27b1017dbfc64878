wildcard_constraints:
    draw=r"\d+",


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
    threads: 2
    params:
        settings=train_settings,
        video_root=read_root(),
        init=lambda wildcards, input: f"--init {input.init}" if input.init else "",
        stored=lambda wildcards, input: options("--stored", input.stored),
        stored_validation=lambda wildcards, input: options("--stored-validation", input.stored_validation),
        flow=flow_option,
    shell:
        "python -m lgdnet train --manifest {input.manifest:q} --validation {input.validation:q}"
        " --classes {input.classes:q} --video-root {params.video_root:q} {params.init}"
        " {params.stored} {params.stored_validation} {params.flow}"
        " --settings {params.settings:q} --out {output.model:q} --threads {threads} 2> {log:q}"


rule dump:
    input:
        model=results("streams/{stream}/model.safetensors"),
        manifest=videos(),
        stored=stored_shard,
    output:
        features=results("streams/{stream}/features/{split}/{shard}.h5"),
    log:
        results("logs/dump/{stream}-{split}-{shard}.log"),
    benchmark:
        results("benchmarks/dump/{stream}-{split}-{shard}.tsv")
    threads: 1
    params:
        settings=dump_settings,
        video_root=read_root(),
        num_shards=lambda wildcards: num_shards(wildcards.split),
        stored=lambda wildcards, input: options("--stored", input.stored),
    shell:
        "python -m lgdnet dump --model {input.model:q} --manifest {input.manifest:q}"
        " --video-root {params.video_root:q} --shard {wildcards.shard} --num-shards {params.num_shards}"
        " {params.stored}"
        " --settings {params.settings:q} --out {output.features:q} --threads {threads} 2> {log:q}"


# Further dumps of the training split, with other clip starts: learned aggregations over-fit less.
rule dump_again:
    input:
        model=results("streams/{stream}/model.safetensors"),
        manifest=videos("train"),
        stored=lambda wildcards: stored_shard(wildcards, split="train"),
    output:
        features=results("streams/{stream}/features/train-{draw}/{shard}.h5"),
    log:
        results("logs/dump/{stream}-train-{draw}-{shard}.log"),
    benchmark:
        results("benchmarks/dump/{stream}-train-{draw}-{shard}.tsv")
    threads: 1
    params:
        settings=dump_settings,
        video_root=read_root(),
        num_shards=num_shards("train"),
        stored=lambda wildcards, input: options("--stored", input.stored),
    shell:
        "python -m lgdnet dump --model {input.model:q} --manifest {input.manifest:q}"
        " --video-root {params.video_root:q} --draw {wildcards.draw} --shard {wildcards.shard} --num-shards {params.num_shards}"
        " {params.stored} --settings {params.settings:q} --out {output.features:q} --threads {threads} 2> {log:q}"
