"""What `lgdnet plan` says of a dry run: hours and disk of every stage, and why its jobs would run."""

import json

import pytest

from lgdnet.errors import InputError
from lgdnet.rates import Feeding, Measured
from lgdnet.settings import challenge_of
from lgdnet.stages import forecast
from lgdnet.workflow_log import parsed

DRY_RUN = """Job stats:
job      count
-----  -------
train        2
dump         2
evaluate     1

rule train:
    jobid: 1
    benchmark: results/t/benchmarks/train/a.tsv
    reason: Params have changed since last execution: Union of exclusive params before and now across all output: before: '{"train": {"epochs": 3, "seed": 1}}' now: '{"train": {"epochs": 4, "seed": 1}, "width": 8}'
    wildcards: stream=a
    threads: 4
rule train:
    jobid: 2
    benchmark: results/t/benchmarks/train/b.tsv
    reason: Missing output files: x; Input files updated by another job: y
    wildcards: stream=b
    threads: 4
rule dump:
    jobid: 3
    benchmark: results/t/benchmarks/dump/b-0000.tsv
    reason: Missing output files: x
    wildcards: stream=b, split=validation, draw=, shard=0000
rule dump:
    jobid: 4
    benchmark: results/t/benchmarks/dump/a-0000.tsv
    reason: Input files updated by another job: x
    wildcards: stream=a, split=validation, draw=, shard=0000
rule evaluate:
    jobid: 5
    reason: Updated input files: results/t/manifest/validation.csv, results/t/manifest/rejected.csv
"""
SETTINGS = {
    "challenge": "t",
    "dataset": {"annotations": {"train": "t.csv", "validation": "v.csv"}},
    "jobs": {"train": {"gpus": 2, "hours": 10}, "dump": {"gpus": 1, "hours": 2}},
    "threads": {"train": 4},
    "streams": {"a": {}, "b": {"train": {"epochs": 3, "clips_per_video": 2}, "dump": {"num_clips": 10}}},
}


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("manifest", "streams/a", "streams/b", "benchmarks/dump"):
        (tmp_path / "results/t" / name).mkdir(parents=True)
    return tmp_path / "results/t"


def table(results):
    """Words of each line by stage."""
    challenge, jobs = challenge_of(SETTINGS, source="x"), list(parsed(DRY_RUN).jobs.values())
    lines = list(forecast.table(challenge, jobs, Measured(challenge, results)))
    return {line.split()[0]: line.split()[1:] for line in lines}


def test_every_reason_is_told_apart(results):
    """A job that was finished before left its benchmark file, so what is missing now was deleted."""
    (results / "benchmarks/dump/b-0000.tsv").touch()
    assert forecast.why(list(parsed(DRY_RUN).jobs.values())) == [
        "train a: changed settings: train.epochs 3 -> 4, width default -> 8",
        "train b: new",
        "dump b: deleted",
        "dump a: follows another job",
        "evaluate: changed input results/t/manifest/validation.csv and 1 more",
    ]


def test_before_anything_is_measured_hours_are_the_limits(results):
    assert table(results)["train"] == ["2", "40.00", "80.00", "2.00", "limit"]


def test_hours_come_from_an_earlier_run_and_from_fit_check(results):
    """Nine hours of one process are four and a half of two."""
    (results / "cost.csv").write_text("stage,stream,jobs,wall_hours\ntrain,a,1,3\n")
    (results / "streams/b/fit_check.txt").write_text("b: 9 hours of training on one process\n")
    gpu_hours, cpu_hours = 2 * (3 + 4.5), 4 * (3 + 4.5)
    assert table(results)["train"] == [
        "2",
        f"{gpu_hours:.2f}",
        f"{cpu_hours:.2f}",
        "2.00",
        "earlier",
        "run",
        "1,",
        "fit-check",
        "1",
    ]


def test_hours_come_from_the_clips_per_second_of_bench_data(results):
    """Two devices train 20 clips/s, of which four cores feed 16; a dump reads 4 and looks at 30 a second."""
    Feeding(fed_per_core=4, trained=10).write(Feeding.path(results, "b"))
    for split, videos in (("train", 9600), ("validation", 3600)):
        (results / f"manifest/{split}.csv").write_text("video_id\n" + "v\n" * videos)
    train, dump = 9600 * 2 * 3 / 16 / 3600, 3600 * 10 * (1 / 30 + 1 / 4) / 3600
    lines = table(results)
    assert lines["train"][1] == f"{2 * (train + 10):.2f}" and lines["train"][4:] == [
        "limit",
        "1,",
        "bench-data",
        "1",
    ]
    assert lines["dump"][1] == f"{dump + 2:.2f}" and lines["dump"][4:] == ["bench-data", "1,", "limit", "1"]
    assert lines["dump"][3] == f"{3600 * (10 + 20) * 2 * 2048 * 2 / 1e9:.2f}"  # both paths in half precision


def test_a_damaged_measurement_is_named(results):
    path = Feeding.path(results, "b")
    path.write_text(json.dumps({"fed": 1}))
    with pytest.raises(InputError, match=r"bench_data\.json: not a measurement of bench-data .* Delete it\."):
        table(results)


@pytest.mark.parametrize("text", ['{"fed_per_core": 0, "trained": 1}', '{"fed_per_core": NaN, "trained": 1}'])
def test_rates_of_nothing_are_no_measurement(results, text):
    Feeding.path(results, "b").write_text(text)
    with pytest.raises(InputError, match=r"bench_data\.json: not a measurement of bench-data .* Delete it\."):
        table(results)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"a,b\n1,2\n",
        b"stage,stream,jobs,wall_hours\ntrain,b,0,1\n",
        b"stage,stream,jobs,wall_hours\nt,b,1,x\n",
    ],
)
def test_a_damaged_table_of_costs_is_named(results, content):
    (results / "cost.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"cost\.csv: no table of costs .* Delete it"):
        table(results)


def test_hours_that_are_no_number_are_named(results):
    (results / "streams/b/fit_check.txt").write_text("1.2.3 hours of training")
    with pytest.raises(
        InputError, match=r"fit_check\.txt: '1\.2\.3 hours of training' is no number of hours"
    ):
        table(results)


def test_why_there_is_no_plan_is_said_in_one_line(tmp_path):
    """From the words that Snakemake prints behind everything that it tells of itself."""
    told = "Using workflow specific profile x\nBuilding DAG of jobs...\n"
    missing = "MissingInputException in rule train in file x, line 3:\nMissing input files for rule train:\n    output: a\n    affected files:\n        nothere.pt\n"
    assert forecast.fault_of(told + missing) == "Missing input files for rule train: nothere.pt"
    unknown = "MissingRuleException:\nNo rule to produce nosuch\n"
    assert forecast.fault_of(told + unknown) == "MissingRuleException: No rule to produce nosuch"


def test_disk_follows_the_picture_size(results):
    (results / "manifest/validation.csv").write_text("video_id\n" + "v\n" * 1000)
    settings = {
        **SETTINGS,
        "flow": {"short_side": 128},
        "cache": {"short_side": 64},
        "media": {"short_side": 256},
    }
    measured, part = Measured(challenge_of(settings, source="x"), results), {"split": "validation"}
    assert measured.disk_gb("extract_flow", part) == pytest.approx(1000 * 250 * 5.3 / 4 / 1e6)
    assert measured.disk_gb("cache_shard", part) == pytest.approx(1.5 * 4 / 16)
    assert measured.disk_gb("transcode", part) == pytest.approx(1.5)
    assert measured.disk_gb("audio_shard", part) == pytest.approx(0.256)
    assert measured.disk_gb("evaluate", part) == 0
