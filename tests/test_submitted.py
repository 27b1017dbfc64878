"""Jobs that a Snakemake which was killed did not wait for."""

import os

from lgdnet.submitted import FOLDER, forget, note, noted


def test_files_count_from_when_their_job_was_given_to_the_cluster(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outputs = [tmp_path / "a.h5", tmp_path / "b.h5"]
    for path in outputs:
        path.write_text("of before")
        os.utime(path, (1, 1))
    note("7_1", outputs, {"params": ["x"]})
    [job] = noted(str(tmp_path))
    assert (job.slurm_id, job.record, job.made()) == ("7_1", {"params": ["x"]}, None)
    outputs[0].write_text("new")
    assert job.made() is None  # half of it
    outputs[1].write_text("new")
    assert job.made() == max(path.stat().st_mtime for path in outputs)
    outputs[0].unlink()
    assert job.made() is None


def test_another_attempt_replaces_the_one_before_and_other_results_are_left_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    note("7", ["results/a/x.h5"], {})
    note("8", ["results/a/x.h5"], {})
    note("9", ["results/b/x.h5"], {})
    assert [job.slurm_id for job in noted("results/a/")] == ["8"]
    forget(["results/a/x.h5"])
    assert [job.slurm_id for job in noted("results/")] == ["9"]
    next(iter((tmp_path / FOLDER).glob("*.json"))).write_text("{")
    assert list(noted("results/")) == []
