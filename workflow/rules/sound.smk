# `audio` the target is all of it; a job is a shard.
rule audio_shard:
    input:
        manifest=videos(),
    output:
        mel=results("audio/{split}/{shard}.h5"),
    log:
        results("logs/audio/{split}-{shard}.log"),
    benchmark:
        results("benchmarks/audio/{split}-{shard}.tsv")
    retries: restarts("audio")
    threads: 1
    resources:
        **needs("audio"),
    params:
        settings=lgdnet.settings.changed(CHALLENGE.audio),
        video_root=read_root(),
        num_shards=lambda wildcards: num_shards(wildcards.split),
    shell:
        "python -m lgdnet audio --manifest {input.manifest:q} --video-root {params.video_root:q}"
        " --shard {wildcards.shard} --num-shards {params.num_shards} --settings {params.settings:q}"
        " --out {output.mel:q} --threads {threads} 2> {log:q}"
