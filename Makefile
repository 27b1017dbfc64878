# Thin: each target is a few lines of commands that can be typed by hand.
PYTHON ?= python3
BIN := .venv/bin
SHELL := /bin/bash

.PHONY: demo test test-slow test-long test-all test-slurm test-browser lint format constraints schema dag clean

# The sample challenge, from rendered videos to the leaderboard.
demo: .venv/installed
	$(BIN)/lgdnet sample --out data/sample
	$(BIN)/snakemake
	$(BIN)/lgdnet leaderboard results/sample/leaderboard.csv

# The fast tests.
test: .venv/installed
	$(BIN)/python -m pytest -n 2 -m "not slow and not long and not workflow and not slurm and not browser"

# The slow ones: the whole workflow, kills, real encoders, the documented commands.
test-slow: .venv/installed
	$(BIN)/python -m pytest -n 2 -m "(slow or workflow) and not long and not slurm and not browser" -rs $(OPTIONS)

# What is too long for every change: the widest sweeps, and the documented commands that measure, install, or run the
# challenges of real data (LGDNET_REAL_DATA names their folder). One after the other, since many of them measure.
test-long: .venv/installed
	$(BIN)/python -m pytest -m "long and not slurm and not browser" -rs --durations 0 $(OPTIONS)

# All tests but those on Slurm and in the browser.
test-all: .venv/installed
	$(BIN)/python -m pytest -n 2 -m "not slurm and not browser"

# On a Slurm that is started for it on this machine: eleven virtual nodes, fake GPUs. Needs Debian's packages, which are
# installed when this runs as root (`python -m tests.slurm.cluster install`). SLURM_TESTS="slurm and (quick or not slow)": what CI runs.
SLURM_TESTS ?= slurm
test-slurm: .venv/installed
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python -m pytest -n 4 --maxschedchunk 1 -m "$(SLURM_TESTS)" tests/slurm --durations 5 --timeout 900 -o timeout_func_only=true $(OPTIONS)

# The report, opened in Debian's Chromium, which is installed when this runs as root: made-up challenges, the sample if
# `make demo` ran, and a finished challenge of yours with LGDNET_FINISHED=results/NAME.
test-browser: .venv/installed
	$(BIN)/python -m tests.browser.chromium
	$(BIN)/python -m pytest -m browser tests/browser --durations 5 --timeout 600 $(OPTIONS)

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/mypy lgdnet
	$(BIN)/lint-imports

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# The versions of .venv into constraints.txt. To move on: `pip install --upgrade` there, `make test-all`, then this.
constraints: .venv/installed
	sed '/^[^#]/d' constraints.txt > constraints.txt.tmp
	$(BIN)/pip freeze --exclude-editable | sed 's/+cpu$$//' >> constraints.txt.tmp
	mv constraints.txt.tmp constraints.txt

# Files in docs/ that are made from the code.
schema: .venv/installed
	$(BIN)/lgdnet schema > docs/config.schema.json
	$(BIN)/lgdnet schema --markdown > docs/configuration.md

dag: .venv/installed
	@command -v dot > /dev/null || { echo "make dag draws with graphviz: apt-get install graphviz"; exit 1; }
	set -o pipefail; $(BIN)/snakemake --rulegraph --quiet all | sed -n '/^digraph/,$$p' | dot -Tsvg > docs/dag.svg.tmp
	mv docs/dag.svg.tmp docs/dag.svg

clean:
	rm -rf results data .snakemake
