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
