"""Commands of the pages that no test types, each with the reason and with what shows it instead.

Keys are commands without their comment, exactly as a page has them.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Because:
    """Why a command is not run here, and the file that runs it, or what it does, instead."""

    reason: str
    shown_in: str


INSTALLS = Because("downloads and installs", "Makefile")
MINUTES = Because("minutes of computing; CI types it", ".ci/run")
TESTS = Because("tests of this project; CI runs them with all others", ".ci/run")
MEASURES = Because("measures for minutes; its --help is run", "tests/docs/test_commands.py")
REAL_DATA = Because("needs data that cannot be shipped; the page has its figures", "docs/results.md")
FOLDS = Because("needs UCF101; planned with made-up lists", "tests/workflow/test_folds.py")
SLURM = Because("needs Slurm", "tests/slurm/test_whole_run.py")
GRAPHVIZ = Because("needs graphviz, which is no Python package", "Makefile")
ALL_MODELS = Because(
    "most of a minute; its --help has an example that runs", "tests/models/test_models_stage.py"
)
GPU = Because("needs a GPU", "tests/models/test_speed_forms.py")
BROWSER = Because("needs Chromium", "Makefile")
FOR_EVER = Because("runs until it is stopped", "tests/training/test_history.py")

NOT_RUN: dict[str, Because] = {
    "make demo": MINUTES,
    "make test": MINUTES,
    "make lint": MINUTES,
    "make dag": GRAPHVIZ,
    "lgdnet models": ALL_MODELS,
    "snakemake --configfile challenges/actions-topdown.yaml --config data_root=data/clips": REAL_DATA,
    "snakemake --configfile challenges/av-digits.yaml --config data_root=data/clips": REAL_DATA,
    "snakemake --configfile challenges/esc10.yaml --config data_root=data/clips": REAL_DATA,
    "snakemake --snakefile workflow/folds.smk --configfile challenges/ucf101.yaml": FOLDS,
    'python -m pytest tests/media/test_exactness.py -m "slow or not slow" -s': TESTS,
    'python -m pytest tests/models -m "not slow"': TESTS,
    "python -m pytest tests/models": TESTS,
    "python -m pytest tests -m gpu": GPU,
    "python -m pytest -s tests/workflow/test_demo.py": TESTS,
    "python -m pytest -s tests/flow/test_directions.py": TESTS,
    "python -m tests.training.survival --kills 20": MEASURES,
    "python benchmarks/audio.py": MEASURES,
    "python benchmarks/aggregate.py --videos 10000 100000 --width 256": MEASURES,
    "python benchmarks/augment.py": MEASURES,
    "python benchmarks/dag.py": MEASURES,
    "python benchmarks/dag.py --kinetics700": MEASURES,
    "python benchmarks/decode.py": MEASURES,
    "python benchmarks/flow.py --truth data/flyingchairs": MEASURES,
    "python benchmarks/flow.py --no-speed --storage clips/*.mp4": MEASURES,
    "python benchmarks/models.py": MEASURES,
    "python benchmarks/models.py --recompute": MEASURES,
    "python benchmarks/models_gpu.py": GPU,
    "python benchmarks/report.py": MEASURES,
    "python benchmarks/train.py": MEASURES,
    "git clone <this repository> lgdnet && cd lgdnet": INSTALLS,
    "python3 -m venv .venv && .venv/bin/pip install --constraint constraints.txt --editable .": INSTALLS,
    "snakemake --profile slurm": SLURM,
    "snakemake --profile slurm --configfile challenges/mine.yaml fit_check": SLURM,
    "snakemake --profile slurm --configfile challenges/mine.yaml": SLURM,
    "make test-browser": BROWSER,
    "make test-slurm": SLURM,
    "lgdnet doctor --test-job": SLURM,
    "srun --ntasks-per-node=1": SLURM,
    "srun --ntasks-per-node=8 --gpus-per-task=1": SLURM,
    "scancel --signal": SLURM,
    "scancel --signal=TERM": SLURM,
    "scontrol requeue": SLURM,
    "scontrol release ID": SLURM,
    'squeue --me -o "%i %r"': SLURM,
    "tmux new -s lgdnet": FOR_EVER,
    "tmux attach -t lgdnet": FOR_EVER,
    "tensorboard --logdir results": FOR_EVER,
}
