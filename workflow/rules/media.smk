rule probe:
    input:
        annotation_files(),
    output:
        # A journal lies beside it, undeclared: a retry goes on after the videos that are checked.
        results("probes/{shard}.jsonl"),
    log:
        results("logs/probe/{shard}.log"),
    benchmark:
        results("benchmarks/probe/{shard}.tsv")
    retries: restarts("probe")
    threads: 2
    resources:
        **needs("probe"),
    params:
        dataset=lambda wildcards: dataset_settings(),  # a path may hold {fold}, which is no wildcard
        settings=lgdnet.settings.changed(CHALLENGE.manifest),
        data_root=CHALLENGE.data_root,
        num_shards=CHALLENGE.manifest.jobs,
    shell:
        "python -m lgdnet probe --dataset {params.dataset:q} --data-root {params.data_root:q}"
        " --shard {wildcards.shard} --num-shards {params.num_shards} --settings {params.settings:q}"
        " --out {output:q} --threads {threads} 2> {log:q}"


rule manifest:
    input:
        annotation_files(),
        probes=probe_shards(),
    output:
        splits=[results(f"manifest/{split}.csv") for split in CHALLENGE.dataset.annotations],
        classes=results("manifest/classes.txt"),
        rejected=report(results("manifest/rejected.csv"), caption="../report/health.rst", category="Data"),
        health=results("manifest/health.csv"),
    log:
        results("logs/manifest.log"),
    benchmark:
        results("benchmarks/manifest.tsv")
    retries: 0  # a fault in a list does not go away by itself
    threads: 2
    resources:
        **needs("probe"),
    params:
        dataset=lambda wildcards: dataset_settings(),  # a path may hold {fold}, which is no wildcard
        settings=lgdnet.settings.changed(CHALLENGE.manifest),
        data_root=CHALLENGE.data_root,
        out=results("manifest"),
        probes=options("--probes", probe_shards()),
    shell:
        "python -m lgdnet manifest --dataset {params.dataset:q} --data-root {params.data_root:q} {params.probes}"
        " --settings {params.settings:q} --out {params.out:q} --threads {threads} 2> {log:q}"


rule transcode:
    input:
        manifest=results("manifest/{split}.csv"),
    output:
        # The videos lie in a folder beside it, undeclared: a retry goes on after those that are finished.
        rows=results("media/{split}/{shard}.csv"),
    log:
        results("logs/media/{split}-{shard}.log"),
    benchmark:
        results("benchmarks/media/{split}-{shard}.tsv")
    retries: restarts("media")
    threads: 2
    resources:
        **needs("media"),
    params:
        settings=lgdnet.settings.changed(CHALLENGE.media),
        video_root=video_root(),
        num_shards=lambda wildcards: num_shards(wildcards.split),
    shell:
        "python -m lgdnet media --manifest {input.manifest:q} --video-root {params.video_root:q}"
        " --shard {wildcards.shard} --num-shards {params.num_shards} --settings {params.settings:q}"
        " --out {output.rows:q} --threads {threads} 2> {log:q}"


rule media_manifest:
    input:
        shards=lambda wildcards: [
            results(f"media/{wildcards.split}/{shard:04d}.csv")
            for shard in range(num_shards(wildcards.split))
        ],
        manifest=results("manifest/{split}.csv"),
    output:
        manifest=results("media/{split}.csv"),
    log:
        results("logs/media/{split}.log"),
    benchmark:
        results("benchmarks/media_manifest/{split}.tsv")
    shell:
        "python -m lgdnet media-manifest {input.shards:q} --manifest {input.manifest:q}"
        " --out {output.manifest:q} 2> {log:q}"


rule cache_shard:
    input:
        manifest=videos(),
    output:
        frames=results("cache/{split}/{shard}.h5"),
    log:
        results("logs/cache/{split}-{shard}.log"),
    benchmark:
        results("benchmarks/cache/{split}-{shard}.tsv")
    retries: restarts("cache")
    threads: 1
    resources:
        **needs("cache"),
    params:
        settings=lgdnet.settings.changed(CHALLENGE.cache) if CHALLENGE.cache else "{}",
        video_root=read_root(),
        num_shards=lambda wildcards: num_shards(wildcards.split),
    shell:
        "python -m lgdnet cache --manifest {input.manifest:q} --video-root {params.video_root:q}"
        " --shard {wildcards.shard} --num-shards {params.num_shards} --settings {params.settings:q}"
        " --out {output.frames:q} 2> {log:q}"


rule extract_flow:
    input:
        manifest=videos(),
    output:
        # A journal lies beside it, undeclared: a retry goes on after the videos that are finished.
        flow=results("flow/{split}/{shard}.h5"),
    log:
        results("logs/flow/{split}-{shard}.log"),
    benchmark:
        results("benchmarks/flow/{split}-{shard}.tsv")
    retries: restarts("flow")
    threads: CHALLENGE.threads.flow
    resources:
        **needs("flow"),
    params:
        settings=lgdnet.settings.changed(CHALLENGE.flow),
        video_root=read_root(),
        num_shards=lambda wildcards: num_shards(wildcards.split),
    shell:
        "python -m lgdnet flow --manifest {input.manifest:q} --video-root {params.video_root:q}"
        " --shard {wildcards.shard} --num-shards {params.num_shards} --settings {params.settings:q}"
        " --out {output.flow:q} --threads {threads} 2> {log:q}"
