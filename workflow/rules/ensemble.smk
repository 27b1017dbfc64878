rule aggregate:
    input:
        features=lambda wildcards: feature_shards(wildcards.stream, wildcards.split),
        manifest=results("manifest/{split}.csv"),
    output:
        scores=results("streams/{stream}/{aggregation}/{split}.h5"),
    log:
        results("logs/aggregate/{stream}-{aggregation}-{split}.log"),
    wildcard_constraints:
        aggregation="average_pool",
    threads: 1
    shell:
        "python -m lgdnet aggregate {input.features:q} --method {wildcards.aggregation}"
        " --manifest {input.manifest:q} --out {output.scores:q} 2> {log:q}"


rule evaluate:
    input:
        scores=video_scores(CHALLENGE.evaluate.split),
        manifest=results(f"manifest/{CHALLENGE.evaluate.split}.csv"),
        rejected=results("manifest/rejected.csv"),
    output:
        leaderboard=results("leaderboard.csv"),
    log:
        results("logs/evaluate.log"),
    params:
        rows=row_words(),
    shell:
        "python -m lgdnet evaluate {input.scores:q} --rows {params.rows:q} --manifest {input.manifest:q}"
        " --rejected {input.rejected:q} --out {output.leaderboard:q} 2> {log:q}"
