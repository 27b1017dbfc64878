"""Costs, the table of failed jobs, status, and what a cluster does not have: from files and recorded answers."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from unittest.mock import Mock

import pandas as pd
import pytest

from lgdnet import one_start, slurm
from lgdnet.__main__ import disk_is_full, full_disk, main, of_a_path
from lgdnet.errors import InputError
from lgdnet.stages import cost, failed, status
from lgdnet.workflow_log import newest_log, parsed, read_log, stages_file, write_stages

LOG = """Job stats:
job      count
-----  -------
train        2
dump         3
all          1
total        6

Select jobs to execute...
rule train:
    output: results/t/streams/a/model.safetensors
    log: {logs}/a.log
    jobid: 1
    wildcards: stream=a
Shell command: python -m lgdnet train
Job 1 has been submitted with SLURM jobid 11 (log: x/11.log).
rule train:
    log: {logs}/b.log
    jobid: 2
    wildcards: stream=b
Job 2 has been submitted with SLURM jobid 12 (log: x/12.log).
[Sat Nov 21 09:45:33 2026]
Error in rule train:
    message: SLURM-job '12' failed, SLURM status is: 'OUT_OF_MEMORY'. For further error details see the log
    jobid: 2
    log: {logs}/b.log, x/12.log (check log file(s) for error details)
    external_jobid: 12
Trying to restart job 2.
rule train:
    log: {logs}/b.log
    jobid: 2
    wildcards: stream=b
Job 2 has been submitted with SLURM jobid 13 (log: x/13.log).
[Sat Nov 21 09:45:43 2026]
Finished jobid: 1 (Rule: train)
rule dump:
    log: {logs}/dump.log
    jobid: 3
    wildcards: stream=a, split=test, shard=0000
"""
SECOND_FAULT = """Error in rule train:
    message: SLURM-job '13' failed, SLURM status is: '{state}'. For further error details see the log
    jobid: 2
    log: {logs}/b.log, x/13.log (check log file(s) for error details)
"""


@pytest.fixture
def log(tmp_path):
    (tmp_path / "dump.log").write_text("starting\ndump a: 3/9 videos, 33 %, 1 videos/s, 6 s left\n")
    (tmp_path / "b.log").write_text("step 1\nstep 2\nstep 3\nerror: b.yaml: train: too fast. Lower it.\n")
    path = tmp_path / "x.snakemake.log"
    path.write_text(LOG.format(logs=tmp_path))
    return path


def test_status_counts_every_stage_and_shows_the_last_line_of_what_runs(log):
    lines = [line.split() for line in status.run(log).splitlines()]
    assert lines[1] == ["train", "1", "1", "0", "0"] and lines[2] == ["dump", "0", "1", "0", "2"]
    text = status.run(log)
    assert "dump a test 0000: dump a: 3/9 videos" in text and "train b (Slurm job 13): error" in text


def test_status_counts_what_was_finished_before_this_run_as_done(log):
    write_stages(log, ["manifest", *["train"] * 5, *["dump"] * 3])
    lines = [line.split() for line in status.run(log).splitlines()]
    assert lines[1] == ["manifest", "1", "0", "0", "0"] and lines[2] == ["train", "4", "1", "0", "0"]


def test_status_says_how_a_run_ended(log):
    log.write_text(log.read_text() + "Complete log(s): x\n")
    assert status.run(log).endswith(f"this run has ended, nothing failed: {log}")
    log.write_text(log.read_text() + SECOND_FAULT.format(state="FAILED", logs=log.parent))
    assert "this run has ended, 1 jobs failed for good (`lgdnet failed` says why)" in status.run(log)


def test_status_says_that_a_killed_snakemake_is_gone(tmp_path, log):
    folder, held = tmp_path / ".snakemake/log", tmp_path / "results/t/.at-work"
    folder.mkdir(parents=True)
    held.parent.mkdir(parents=True)
    path = log.rename(folder / log.name)
    for pid, gone in ((os.getpid(), False), (ended_process(), True)):
        worker = {"host": socket.gethostname(), "pid": pid, "since": "now", "log": str(path)}
        held.write_text(json.dumps(worker))
        assert ("no longer at work: start it again" in status.run(path)) == gone


def ended_process() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_status_does_not_show_the_words_of_an_attempt_of_before(log):
    text = log.read_text().replace("rule dump:", "[Sat Nov 21 09:45:53 2026]\nrule dump:")
    log.write_text(text)
    os.utime(log.parent / "dump.log", (0, 0))
    assert "dump a test 0000: in the queue, or just starting" in status.run(log)


def test_a_job_that_was_started_again_has_not_failed_for_good(log):
    assert failed.run(log) == ""


def test_a_job_that_needed_more_memory_names_the_key(log):
    fault = SECOND_FAULT.format(state="OUT_OF_MEMORY", logs=log.parent)
    log.write_text(log.read_text() + fault)
    text = failed.run(log)
    assert "train b: needed more memory: raise jobs: train: memory_gb (2 attempts)" in text
    assert f"{log.parent}/b.log" in text and "Slurm job 13" in text and "| error: b.yaml" in text
    assert "step 1" not in text  # the last three lines


@pytest.mark.parametrize("folder", ["", "wildcards/"])
def test_a_job_whose_own_log_tells_more_than_its_state(log, folder):
    """`FAILED` is all that some clusters say of a job that was killed for its memory; arrays have other paths."""
    fault = SECOND_FAULT.format(state="FAILED", logs=log.parent).replace("x/13", f"{log.parent}/{folder}13")
    log.write_text(log.read_text() + fault)
    (log.parent / "13.log").write_text("slurmstepd: error: Detected 1 oom_kill event in StepId=13.0.\n")
    assert "train b: needed more memory: raise jobs: train: memory_gb" in failed.run(log)
    (log.parent / "13.log").write_text(
        "slurmstepd: error: *** JOB 13 ON n1 CANCELLED DUE TO TIME LIMIT ***\n"
    )
    assert "train b: its time was up: raise jobs: train: hours" in failed.run(log)


REFUSED = """[Sat Nov 28 00:08:41 2026]
Error in rule dump:
    message: SLURM sbatch failed. The error message was 'sbatch: error: Requested node configuration is not available'.
    sbatch call:
        sbatch --parsable --gpus=8 --wrap="python -m snakemake"
For further error details see the cluster/cloud log and the log files of the involved rule(s).
    jobid: {job}
    input: x
    log: {{logs}}/dump{job}.log (check log file(s) for error details)
    shell:
        python -m lgdnet dump
        (command exited with non-zero exit code)
Logfile {{logs}}/dump{job}.log not found.
"""


def test_jobs_that_sbatch_refused_are_counted_and_told_one_by_one(log):
    """Its message has lines that begin where a line begins."""
    more = "rule dump:\n    jobid: 4\n    wildcards: stream=b, split=test, shard=0001\n"
    both = more + REFUSED.format(job=3) + REFUSED.format(job=4)
    log.write_text(log.read_text() + both.format(logs=log.parent))
    run = read_log(log)
    assert [job.fields["jobid"] for job in run.of("failed")] == ["3", "4"]
    text = failed.run(log)
    assert "2 failed for good" in text and text.count("Requested node configuration is not available") == 2
    assert "dump b test 0001" in text and "--parsable" not in text


def test_a_file_that_is_no_log_is_named(tmp_path):
    (tmp_path / "notes.txt").write_text("buy milk\n")
    for stage in (status, failed):
        with pytest.raises(InputError, match=r"notes\.txt: no log of Snakemake"):
            stage.run(tmp_path / "notes.txt")


def test_damaged_counts_of_stages_are_as_if_there_were_none(log):
    for text in ("[1]", '{"train": "x"}', "{"):
        stages_file(log).write_text(text)
        assert "train" in status.run(log)


def test_a_damaged_benchmark_is_named_and_what_is_no_number_costs_nothing(tmp_path):
    folder = tmp_path / "benchmarks/train"
    folder.mkdir(parents=True)
    (folder / "a.tsv").write_text("s\tcpu_time\tmax_rss\n3600\tinf\tnan\n")
    cost.run(tmp_path / "benchmarks", tmp_path / "cost.csv", gpus={})
    assert (tmp_path / "cost.csv").read_text().splitlines()[1] == "train,a,1,1,0,0,0"
    (folder / "b.tsv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"train/b\.tsv: damaged .* Delete it"):
        cost.run(tmp_path / "benchmarks", tmp_path / "cost.csv", gpus={})
    with pytest.raises(InputError, match="nothere: no such folder"):
        cost.run(tmp_path / "nothere", tmp_path / "cost.csv", gpus={})


def test_a_job_that_failed_by_itself_gives_its_own_words(log):
    log.write_text(log.read_text() + SECOND_FAULT.format(state="FAILED", logs=log.parent))
    assert "train b: b.yaml: train: too fast. Lower it. (2 attempts)" in failed.run(log)


def test_a_training_that_was_stopped_too_often_says_what_to_raise(log):
    (log.parent / "b.log").write_text("stopped by SIGTERM after step 70, saved; start again to go on\n")
    log.write_text(log.read_text() + SECOND_FAULT.format(state="FAILED", logs=log.parent))
    text = failed.run(log)
    assert (
        "train b: stopped by SIGTERM after step 70, saved; start again to go on. Near its time limit" in text
    )
    assert "raise jobs: train: hours, or train: restarts" in text


def test_a_log_that_is_shown_in_the_log_is_not_read_as_the_runs_own(log):
    """Snakemake shows the log of a failed job; in that of Slurm speaks the Snakemake inside the job."""
    inside = ["rule train:", "    jobid: 0", "Error in rule train:", "    jobid: 0"]
    cut_off = ["Logfile b.log:", "=" * 14, *inside]
    shown = ["Logfile 13.log:", "=" * 15, *inside, *cut_off, "=" * 15, "Finished jobid: 2 (Rule: train)", ""]
    before = parsed(log.read_text()).jobs
    after = parsed(log.read_text() + "\n".join(shown)).jobs
    assert set(after) == set(before) and after["2"].state == "done"


def test_jobs_of_an_array_have_numbers_of_their_own(log):
    array = (
        "Submitted array job with Snakemake IDs 3,4 and SLURM job ID 21. The individual task IDs are 5-6.\n"
    )
    assert parsed(log.read_text() + array).jobs["4"].slurm_id == "21_6"


def test_a_start_that_was_refused_is_not_the_run_that_status_shows(tmp_path):
    logs = tmp_path / ".snakemake/log"
    logs.mkdir(parents=True)
    for name in ("1", "2"):
        (logs / f"{name}.snakemake.log").write_text("Job stats:\n")
    assert newest_log(logs).name == "2.snakemake.log"
    one_start.take(tmp_path / "results/c" / one_start.NAME, ".snakemake/log/1.snakemake.log")
    assert newest_log(logs).name == "1.snakemake.log"


def test_a_folder_without_runs_is_named(tmp_path):
    with pytest.raises(InputError, match="no run has been logged here"):
        newest_log(tmp_path)


def test_costs_are_summed_per_stage_and_stream(tmp_path):
    """Streams `a` and `a-wide`, and a fusion that is called as the file of a stream begins."""
    head = "s\th:m:s\tmax_rss\tcpu_time\n"
    for name, seconds in (
        ("dump/a-test-0000", 1800),
        ("dump/a-test-0001", 1800),
        ("dump/a-wide-test-0000", 3600),
        ("dump/a-train-1-0000", 3600),
        ("fit_aggregator/a-tcp", 7200),
        ("aggregate/a-tcp-test", 3600),
        ("fuse/a-tcp", 3600),
        ("flow/train-0000", 3600),
    ):
        path = tmp_path / f"benchmarks/{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{head}{seconds}\t0:30:00\t{seconds}\t360\n")
    (tmp_path / "benchmarks/manifest.tsv").write_text(f"{head}NA\t0:00:00\tNA\tNA\n")
    (tmp_path / "benchmarks/train").mkdir()
    (tmp_path / "benchmarks/train/a.tsv").write_text(f"{head}1\t0:00:01\t12\t0\n")
    (tmp_path / "logs/train").mkdir(parents=True)
    (tmp_path / "logs/train/a.usage.csv").write_text(
        "wall_sec,cpu_sec,memory_mb,gpus,settings\n"
        "9000,9000,900,4,before\n1800,3600,100,4,now\n1800,3600,200,2,now\n"
    )
    cost.run(tmp_path / "benchmarks", tmp_path / "cost.csv", gpus={"dump": 2, "train": 4})
    table = pd.read_csv(tmp_path / "cost.csv", keep_default_na=False).set_index(["stage", "stream"])
    assert table.loc[("dump", "a")].tolist() == [3, 2.0, 0.3, 3600, 4.0]
    assert {owner: hours for owner, hours in table["wall_hours"].items() if "dump" not in owner} == {
        ("aggregate", "a"): 1.0,
        ("fit_aggregator", "a"): 2.0,
        ("flow", ""): 1.0,
        ("fuse", "a-tcp"): 1.0,
        ("manifest", ""): 0.0,
        ("train", "a"): 1.0,
    }
    assert table.loc[("dump", "a-wide")].tolist() == [1, 1.0, 0.1, 3600, 2.0]
    assert table.loc[("train", "a")].tolist() == [1, 1.0, 2.0, 200, 3.0]  # 4 GPUs, then the 2 there were
    assert table.loc[("manifest", "")].tolist() == [1, 0.0, 0.0, 0, 0.0]


def attempt(log, command, **environment):
    """A process that keeps its account as a job's does."""
    program = f"import os; from pathlib import Path; from lgdnet.launch import keep_account as keep\nkeep(Path({str(log)!r}), os.environ, ['train', '--settings', '{{}}'])\n{command}"
    return subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **environment}, check=False
    ).returncode


def test_every_attempt_is_on_the_account_one_that_was_killed_too(tmp_path):
    log = tmp_path / "a.usage.csv"
    killed = f"import signal, time\nwhile not Path({str(log)!r}).exists(): time.sleep(0.01)\nos.kill(os.getpid(), signal.SIGKILL)"
    assert attempt(log, killed) == -signal.SIGKILL
    assert attempt(log, "pass", CUDA_VISIBLE_DEVICES="0,1") == 0
    assert attempt(log, "pass", SLURM_NODEID="1") == 0  # of two nodes, the first one speaks
    table = pd.read_csv(log)
    assert (
        list(table["gpus"])[1:] == [2] and (table["wall_sec"] >= 0).all() and table["settings"].nunique() == 1
    )


ANSWERS = {"sinfo": "cpu\ngpu\n", "sacctmgr": "vision\nspeech\n"}


@pytest.fixture
def recorded(monkeypatch):
    monkeypatch.setattr(slurm, "ask", lambda *command, **_: ANSWERS.get(command[0]))


def test_what_a_cluster_has_is_no_fault(recorded):
    assert slurm.faults(slurm.Names("vision", "cpu", "gpu")) == []
    assert slurm.faults(slurm.Names()) == []


def test_gpus_are_counted_by_their_kind():
    assert slurm.gpus_of("gpu:a100:8(S:0-1),gpu:v100:2") == {"": 10, "a100": 8, "v100": 2}
    assert slurm.gpus_of("gpu:4") == {"": 4} and slurm.gpus_of("(null)") == {"": 0}


def test_a_machine_without_slurm_is_told_apart(monkeypatch):
    monkeypatch.setattr(slurm, "ask", lambda *command, **_: None)
    monkeypatch.setattr(slurm.shutil, "which", lambda _: None)
    assert "sinfo is not installed here" in slurm.faults(slurm.Names())[0]
    monkeypatch.setattr(slurm.shutil, "which", lambda _: "/usr/bin/sinfo")
    assert "sinfo does not answer" in slurm.faults(slurm.Names())[0]


def test_a_full_disk_is_named_whoever_meets_it():
    error = OSError(errno.ENOSPC, "No space left on device", "results/x.h5")
    assert disk_is_full(error) and full_disk(error).startswith("results/x.h5: not written, the disk is full")
    assert disk_is_full(RuntimeError("H5Dwrite: No space left on device"))
    assert not disk_is_full(OSError(errno.ENOENT, "No such file"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["leaderboard", "{here}"], "{here}: a folder. Name the leaderboard.csv in it."),
        (
            ["report", "{here}", "--challenge", "{here}", "--out", "r.html"],
            "{here}: cannot be read (Is a directory). Name a challenge file, such as config.yaml.",
        ),
        (
            ["sample", "--out", "/proc/nowhere/at/all"],
            "/proc/nowhere: no such file or folder. Correct the path.",
        ),
        (
            ["sample", "--out", "{here}/file/below"],
            "{here}/file/below/videos/train: a part of this path is a file, not a folder. Correct the path.",
        ),
    ],
)
def test_a_wrong_path_is_one_line(monkeypatch, capsys, tmp_path, arguments, said):
    (tmp_path / "file").touch()
    monkeypatch.setattr(sys, "argv", ["lgdnet", *(word.format(here=tmp_path) for word in arguments)])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert capsys.readouterr().err.splitlines()[-1] == f"error: {said.format(here=tmp_path)}"


def test_a_temporary_name_is_not_shown_and_what_names_no_path_is_a_fault_of_ours(monkeypatch, capsys):
    made = OSError(errno.EISDIR, "Is a directory", "out.1234.tmp", None, "out")
    assert of_a_path(made) == "out: a folder, where a file is needed. Name a file."
    denied = OSError(errno.EACCES, "Permission denied", "there/x.png.77.tmp")
    assert of_a_path(denied).startswith("there/x.png: permission denied. Name another place")
    assert "x: Input/output error. Correct" in of_a_path(OSError(errno.EIO, "Input/output error", "x"))
    for error in (OSError("no name"), RuntimeError("a mistake")):
        monkeypatch.setattr("lgdnet.__main__.app", Mock(side_effect=error))
        with pytest.raises(type(error), match=str(error)):
            main()
