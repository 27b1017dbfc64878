"""Every fault that the doctor finds says the way out: from made-up machines and recorded answers of Slurm."""

import subprocess
from collections import namedtuple

import pytest
import torch
import yaml

from lgdnet import partitions, slurm
from lgdnet.quota import Quota
from lgdnet.settings import challenge_of
from lgdnet.stages import doctor

SETTINGS = {
    "challenge": "t",
    "dataset": {"video_root": "videos", "annotations": {"train": "t.csv", "validation": "v.csv"}},
    "jobs": {"train": {"gpus": 1, "hours": 48, "memory_gb": 300}},
    "threads": {"train": 64},
    "streams": {"a": {}, "s": {"modality": "audio", "backbone": "xception"}},
}
SINFO = {
    "--format=%R": "cpu\ngpu\n",
    "--format=%P|%l|%c|%m|%D|%G": (
        "cpu*|2:00:00|32|192000|3|(null)\ncpu*|2:00:00|48+|96000|1|(null)\n"
        "gpu|1-00:00:00|64|256000+|2|gpu:a100:8(S:0-1),gpu:v100:2\n"
    ),
    "--format=%P %l %G": "cpu* 2:00:00 (null)\ngpu 1-00:00:00 gpu:a100:8\n",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A project folder with everything in its place, on a machine without Slurm and GPU."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/a.mp4").touch()
    for name in ("t.csv", "v.csv"):
        (tmp_path / name).write_text("label,youtube_id,time_start,time_end,split\n")
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(SETTINGS))
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm/config.yaml").write_text("default-resources: {gpu_partition: gpu}\n")
    monkeypatch.setattr(slurm, "ask", lambda *command, **_: None)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    monkeypatch.setattr(doctor, "quotas", lambda _: [])
    free_space(monkeypatch, 500)
    return tmp_path


def free_space(monkeypatch, gb):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(gb * 1e9))


def on_a_cluster(monkeypatch, srun=None):
    """Slurm's recorded answers; `srun`: what a job prints."""
    answers = {"sacctmgr": "vision\n"}

    def ask(*command, **_):
        return (
            (srun(command) if srun else None)
            if command[0] == "srun"
            else SINFO.get(command[-1], answers.get(command[0]))
        )

    monkeypatch.setattr(doctor.shutil, "which", lambda name: f"/usr/bin/{name}")
    for module in (slurm, partitions):
        monkeypatch.setattr(module, "ask", ask)


def said(folder, verdict, **options):
    return [text for found, text in doctor.run(folder / "c.yaml", **options) if found == verdict]


def test_a_machine_with_everything_has_no_fault(folder):
    assert said(folder, "fault") == []


def test_a_video_folder_that_is_not_there_names_the_keys(folder):
    (folder / "videos/a.mp4").unlink()
    assert "videos: empty. Put the videos there, or correct dataset: video_root" in said(folder, "fault")[0]
    (folder / "videos").rmdir()
    assert "videos: no such folder. Correct dataset: video_root or data_root" in said(folder, "fault")[0]


def test_another_folder_of_the_data_is_looked_at(folder):
    """As in `snakemake --config data_root=...`."""
    [fault] = said(folder, "fault", data_root=folder / "elsewhere")
    assert f"{folder}/elsewhere/t.csv" in fault and "Correct the path or data_root" in fault


def test_little_disk_is_told_against_what_the_challenge_writes(folder, monkeypatch):
    """A thousand videos: features of two streams, sound, two models."""
    (folder / "t.csv").write_text("label,youtube_id\n" + "x,y\n" * 100_000)
    free_space(monkeypatch, 30)
    features = 100_000 * 20 * 2 * 2048 * 2 / 1e9
    written = 2 * features + 100_000 * 256 / 1e6 + 2
    [note] = [text for text in said(folder, "note") if "GB free" in text]
    assert f"30 GB free; this challenge may write {written:,.0f} GB" in note and "`results` be a link" in note
    free_space(monkeypatch, 0.5)
    assert "next to nothing can be written. Free some" in said(folder, "fault")[0]


@pytest.mark.parametrize(
    ("quota", "verdict"),
    [
        (Quota("bob on /s", 10, 1000, 5, 0), "ok"),
        (Quota("bob on /s", 995, 1000, 5, 0), "note"),
        (Quota("bob on /s", 1001, 1000, 5, 0), "fault"),
        (Quota("bob on /s", 0, 0, 490_000, 500_000), "note"),
        (Quota("bob on /s", 0, 0, 500_000, 500_000), "fault"),
    ],
)
def test_a_quota_counts_like_a_disk(folder, monkeypatch, quota, verdict):
    monkeypatch.setattr(doctor, "quotas", lambda _: [quota])
    [text] = [text for text in said(folder, verdict) if text.startswith("quota of bob on /s")]
    assert ("or let `results` be a link" in text) == (verdict != "ok")


def test_a_gpu_that_torch_cannot_use_says_why(folder, monkeypatch):
    monkeypatch.setattr(
        slurm, "ask", lambda *command, **_: "NVIDIA H100, 550.1\n" if command[0] == "nvidia-smi" else None
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert (
        "a GPU (NVIDIA H100) that torch" in said(folder, "fault")[0]
        and "CUDA build" in said(folder, "fault")[0]
    )
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert "driver 550.1 is too old for CUDA 13.0. Ask for a newer driver" in said(folder, "fault")[0]


def test_slurm_that_does_not_answer_is_a_fault_only_for_who_wants_it(folder, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert said(folder, "fault") == [] and "needs a machine that may submit jobs" in said(folder, "note")[-1]
    assert "needs a machine that may submit jobs" in said(folder, "fault", test_job=True)[0]


def test_a_profile_that_cannot_be_read_says_how_to_get_it_back(folder, monkeypatch):
    on_a_cluster(monkeypatch)
    (folder / "slurm/config.yaml").unlink()
    assert said(folder, "fault")[0].endswith("Put it back: git checkout slurm/config.yaml")


def test_jobs_that_no_partition_takes_are_named_with_their_line(folder, monkeypatch):
    on_a_cluster(monkeypatch)
    faults = said(folder, "fault")
    assert [fault.split(", ")[0] for fault in faults] == [
        f"{folder}/c.yaml: jobs: probe: hours: 4",
        f"{folder}/c.yaml: jobs: train: hours: 48",
        f"{folder}/c.yaml: jobs: train: memory_gb: 300",
    ]
    assert "but partition 'cpu' allows 2. Lower it" in faults[0] and "partition 'gpu' allows 24" in faults[1]
    assert "no node of partition 'gpu' has more than 256" in faults[2]


def test_cores_and_time_are_read_as_sinfo_prints_them(folder, monkeypatch):
    on_a_cluster(monkeypatch)
    cpu, gpu = partitions.partitions()
    assert (cpu.name, cpu.hours, cpu.cores, cpu.memory_gb, cpu.is_default) == ("cpu", 2, 48, 192, True)
    assert (gpu.hours, gpu.is_default) == (24, False)
    times = {"30:00": 0.5, "45": 0.75, "infinite": float("inf"), "2-12:00:00": 60}
    assert {text: partitions.hours_of(text) for text in times} == times
    settings = {**SETTINGS, "threads": {"train": 65}, "jobs": {}}
    found = misfits(settings, slurm.Names(gpu_partition="gpu"))
    assert (
        "c: threads: train: 65 cores, but no node of partition 'gpu' has more than 64. Lower it, or"
        in found[1]
    )


def misfits(settings, names, **options):
    return partitions.misfits(challenge_of(settings, source="x"), names, file="c", profile="p", **options)


def test_gpus_and_nodes_of_every_kind_of_job_are_compared_with_what_there_is(folder, monkeypatch):
    on_a_cluster(monkeypatch)
    jobs = {"probe": {"hours": 1, "gpus": 1}, "train": {"gpus": 8, "nodes": 3}, "dump": {"gpu_model": "h100"}}
    found = misfits({**SETTINGS, "jobs": jobs}, slurm.Names(partition="cpu", gpu_partition="gpu"))
    assert found == [
        "c: jobs: train: nodes: 3, but partition 'gpu' has 2. Lower it, or name another partition in p.",
        "c: jobs: dump: gpus: 1, but no node of partition 'gpu' has more than 0 h100 GPUs. Lower it, set gpu_model to "
        "one that `sinfo -o %G` shows, or name another partition in p.",
    ]
    only = misfits({**SETTINGS, "jobs": jobs}, slurm.Names(gpu_partition="gpu"), kinds={"dump"})
    assert [line.split(": ")[2] for line in only] == ["dump"]
    on_cpus = misfits({**SETTINGS, "jobs": jobs}, slurm.Names(partition="cpu"), kinds={"probe"})
    assert "probe: gpus: 1, but no node of partition 'cpu' has more than 0 GPUs" in on_cpus[0]


def test_a_list_of_partitions_takes_what_one_of_them_takes(folder, monkeypatch):
    on_a_cluster(monkeypatch)
    names = slurm.Names(partition="cpu,gpu", gpu_partition="gpu")
    assert slurm.faults(names) == []
    assert misfits({**SETTINGS, "jobs": {"probe": {"hours": 20}}}, names) == []
    [fault] = slurm.faults(slurm.Names(partition="cpu,gqu"))
    assert "no partition 'gqu'; did you mean 'gpu'?" in fault


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("default-resources: [slurm_account=visoin]", "you may not use 'visoin'; did you mean 'vision'?"),
        ("- a\n- b", "no profile of Snakemake: `default-resources:` with `name: value` lines is needed."),
        ("default-resources: [7]", "no profile of Snakemake"),
    ],
)
def test_a_profile_is_read_as_snakemake_reads_it(folder, monkeypatch, text, words):
    on_a_cluster(monkeypatch)
    (folder / "slurm/config.yaml").write_text(text)
    assert words in said(folder, "fault")[0] and "slurm/config.yaml: " in said(folder, "fault")[0]


def small(folder):
    jobs = {"train": {"gpus": 1, "hours": 2, "memory_gb": 8}, "probe": {"hours": 1}}
    settings = {**SETTINGS, "jobs": jobs, "threads": {"train": 8}}
    (folder / "c.yaml").write_text(yaml.safe_dump(settings))


def test_a_test_job_shows_whether_the_nodes_see_this_folder(folder, monkeypatch):
    small(folder)
    on_a_cluster(monkeypatch, lambda command: f"1\nn1 {folder}\n")
    assert said(folder, "fault", test_job=True) == []
    assert "a job with a GPU ran on n1, where torch sees it" in said(folder, "ok", test_job=True)
    on_a_cluster(monkeypatch, lambda command: "0\nn1 /tmp\n")
    assert f"n1 does not see {folder}: put this project on a disk" in said(folder, "fault", test_job=True)[0]
    assert "torch sees none there" in said(folder, "note", test_job=True)[-1]


def test_a_test_job_that_does_not_run_says_what_to_type(folder, monkeypatch):
    small(folder)
    on_a_cluster(monkeypatch)
    first, second = said(folder, "fault", test_job=True)
    assert "See why by hand: srun --time=5" in first and "--gres=gpu:1 --partition=gpu" in second


def test_the_program_of_the_test_job_prints_what_is_read(folder):
    """As srun would run it."""
    command, _ = doctor.through_queue(slurm.Names(), "", [], "print(7)")
    printed = subprocess.run(
        command[command.index("--ntasks=1") + 2 :], capture_output=True, text=True, check=True
    ).stdout
    assert printed.splitlines()[0] == "7" and printed.split()[-1] == str(folder)
