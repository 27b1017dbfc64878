rule manifest:
    input:
        annotation_files(),
    output:
        splits=[results(f"manifest/{split}.csv") for split in CHALLENGE.dataset.annotations],
        classes=results("manifest/classes.txt"),
        rejected=results("manifest/rejected.csv"),
        health=results("manifest/health.csv"),
    log:
        results("logs/manifest.log"),
    benchmark:
        results("benchmarks/manifest.tsv")
    threads: 2
    params:
        dataset=dataset_settings(),
        settings=lgdnet.settings.changed(CHALLENGE.manifest),
        data_root=CHALLENGE.data_root,
        out=results("manifest"),
    shell:
        "python -m lgdnet manifest --dataset {params.dataset:q} --data-root {params.data_root:q}"
        " --settings {params.settings:q} --out {params.out:q} --threads {threads} 2> {log:q}"


rule extract_flow:
    input:
        manifest=results("manifest/{split}.csv"),
    output:
        # A journal lies beside it, undeclared: a retry goes on after the videos that are finished.
        flow=results("flow/{split}/{shard}.h5"),
    log:
        results("logs/flow/{split}-{shard}.log"),
    benchmark:
        results("benchmarks/flow/{split}-{shard}.tsv")
    threads: 2
    params:
        settings=lgdnet.settings.changed(CHALLENGE.flow),
        video_root=video_root(),
        num_shards=lambda wildcards: num_shards(wildcards.split),
    shell:
        "python -m lgdnet flow --manifest {input.manifest:q} --video-root {params.video_root:q}"
        " --shard {wildcards.shard} --num-shards {params.num_shards} --settings {params.settings:q}"
        " --out {output.flow:q} --threads {threads} 2> {log:q}"
