"""Commands of the pages that test_commands.py leaves to others, and to which: every one of them is typed somewhere.

Keys are commands without their comment, exactly as a page has them; values are the files that type them. What stands in
test_long_commands.py is typed by `make test-long`, what stands in tests/slurm by `make test-slurm`; `.ci/run` types the
rest itself.
"""

CI = ".ci/run"
LONG = "tests/docs/test_long_commands.py"
SLURM = "tests/slurm/test_documented_commands.py"

ELSEWHERE: dict[str, str] = {
    "make demo": CI,
    "make test": CI,
    "make lint": CI,
    "make test-slow": CI,
    "make test-long": CI,
    "make test-browser": CI,
    "make test-slurm": CI,
    "make dag": LONG,
    "lgdnet models": LONG,
    "snakemake --configfile challenges/actions-topdown.yaml --config data_root=data/clips": LONG,
    "snakemake --configfile challenges/av-digits.yaml --config data_root=data/clips": LONG,
    "snakemake --configfile challenges/esc10.yaml --config data_root=data/clips": LONG,
    "snakemake --snakefile workflow/folds.smk --configfile challenges/ucf101.yaml": LONG,
    'python -m pytest tests/media/test_exactness.py -m "slow or not slow" -s': LONG,
    'python -m pytest tests/models -m "not slow"': LONG,
    "python -m pytest tests/models": LONG,
    "python -m pytest tests -m gpu": LONG,
    "python -m pytest -m gpu tests/prediction": LONG,
    "python -m pytest -s tests/workflow/test_demo.py": LONG,
    "python -m pytest -s tests/flow/test_directions.py": LONG,
    "python -m tests.training.survival --kills 20": LONG,
    "python benchmarks/audio.py": LONG,
    "python benchmarks/aggregate.py --videos 10000 100000 --width 256": LONG,
    "python benchmarks/augment.py": LONG,
    "python benchmarks/dag.py": LONG,
    "python benchmarks/dag.py --kinetics700": LONG,
    "python benchmarks/decode.py": LONG,
    "python benchmarks/flow.py --truth data/flyingchairs": LONG,
    "python benchmarks/flow.py --no-speed --storage clips/*.mp4": LONG,
    "python benchmarks/models.py": LONG,
    "python benchmarks/models.py --recompute": LONG,
    "python benchmarks/models_gpu.py": LONG,
    "python benchmarks/predict.py": LONG,
    "python benchmarks/report.py": LONG,
    "python benchmarks/train.py": LONG,
    "LGDNET_FINISHED=results/NAME make test-browser": LONG,
    "conda env create -f envs/lgdnet.yaml": LONG,
    "git clone <this repository> lgdnet && cd lgdnet": LONG,
    "python3 -m venv .venv && .venv/bin/pip install --constraint constraints.txt --editable .": LONG,
    "tmux new -s lgdnet": LONG,
    "tmux attach -t lgdnet": LONG,
    "tensorboard --logdir results": LONG,
    "lgdnet doctor --test-job": SLURM,
    "snakemake --profile slurm": SLURM,
    "snakemake fit_check --profile slurm --configfile challenges/mine.yaml": SLURM,
    "snakemake --profile slurm --configfile challenges/mine.yaml": SLURM,
    'squeue --me -o "%i %r"': SLURM,
    "scancel --signal=TERM ID": SLURM,
    "scontrol requeue ID": SLURM,
    "scontrol release ID": SLURM,
    "srun --ntasks-per-node=1": SLURM,
    "srun --ntasks-per-node=2 --gpus-per-task=1": SLURM,
}


def left_to(file: str) -> list[str]:
    return [command for command, typed_in in ELSEWHERE.items() if typed_in == file]
