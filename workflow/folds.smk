# A challenge with three official folds (UCF101, HMDB51): the whole workflow once per fold, then one table.
#
#   snakemake --snakefile workflow/folds.smk --configfile challenges/ucf101.yaml
#
# Fold k lies under results/<challenge>-fold<k>/; the table of means and deviations is results/<challenge>/folds.csv.
import copy

from snakemake.utils import min_version

min_version("9.27")


def in_fold(fold):
    """The challenge of one fold."""
    settings = copy.deepcopy(dict(config))
    settings["challenge"] = f"{config['challenge']}-fold{fold}"
    settings["dataset"] = {**settings["dataset"], "fold": fold}
    return settings


module fold1:
    snakefile:
        "../Snakefile"
    config:
        in_fold(1)


use rule * from fold1 exclude all as fold1_*


module fold2:
    snakefile:
        "../Snakefile"
    config:
        in_fold(2)


use rule * from fold2 exclude all as fold2_*


module fold3:
    snakefile:
        "../Snakefile"
    config:
        in_fold(3)


use rule * from fold3 exclude all as fold3_*


rule folds:
    default_target: True
    input:
        [f"results/{config['challenge']}-fold{fold}/leaderboard.csv" for fold in (1, 2, 3)],
    output:
        f"results/{config['challenge']}/folds.csv",
    log:
        f"results/{config['challenge']}/logs/folds.log",
    shell:
        "python -m lgdnet folds {input:q} --out {output:q} 2> {log:q}"
