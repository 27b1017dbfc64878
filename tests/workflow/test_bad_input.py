"""Bad input through the workflow: one clear line, and nothing trained."""

import copy
import csv

import pytest

from tests.workflow.conftest import TINY, Workspace

pytestmark = pytest.mark.workflow


@pytest.fixture
def fresh(finished, tmp_path) -> Workspace:
    """The videos of the tiny challenge without any results, to spoil."""
    import shutil

    shutil.copytree(finished.folder / "sample", tmp_path / "sample")
    workspace = Workspace(tmp_path)
    workspace.configure(TINY)
    return workspace


def rewrite(path, change) -> None:
    """Change the rows of a CSV in place."""
    rows = list(csv.DictReader(path.open()))
    rows = change(rows)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def output_of(workspace: Workspace) -> str:
    done = workspace.snakemake()
    assert done.returncode != 0
    assert not list(workspace.folder.rglob("model.safetensors"))
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_missing_annotation_file(fresh):
    (fresh.folder / "sample/train.csv").unlink()
    assert "dataset: annotations: train: sample/train.csv: no such file. Correct the path" in output_of(fresh)


def test_an_unknown_key_of_the_challenge_file(fresh):
    challenge = copy.deepcopy(TINY)
    challenge["streams"]["one"] = {"dump": {"num_crop": 1}}
    fresh.configure(challenge)
    assert "streams.one: dump: unknown key 'num_crop'; did you mean 'num_crops'?" in output_of(fresh)


def test_an_unknown_column(fresh):
    rewrite(fresh.folder / "sample/train.csv", lambda rows: [{**row, "colour": "red"} for row in rows])
    assert "sample/train.csv: row 1: unknown column 'colour'" in output_of(fresh)


def test_a_label_that_is_not_in_the_class_list(fresh):
    path = fresh.folder / "sample/validation.csv"
    rewrite(path, lambda rows: [rows[0], {**rows[1], "label": "disc drifing"}, *rows[2:]])
    assert "sample/validation.csv: row 3: label 'disc drifing' is not in" in output_of(fresh)


def test_the_same_video_in_two_splits(fresh):
    first = next(csv.DictReader((fresh.folder / "sample/train.csv").open()))
    rewrite(fresh.folder / "sample/validation.csv", lambda rows: [{**first, "split": "validate"}, *rows[1:]])
    assert "is also in split 'train'" in output_of(fresh)


def test_a_video_root_without_videos(fresh):
    import shutil

    shutil.rmtree(fresh.folder / "sample/videos")
    assert "sample/videos" in output_of(fresh)


def test_a_path_that_climbs_out_of_the_video_root(fresh):
    challenge = copy.deepcopy(TINY)
    challenge["dataset"] = {
        "format": "csv",
        "video_root": "sample/videos",
        "annotations": {"train": "list.csv", "validation": "list.csv"},
    }
    fresh.configure(challenge)
    lines = "video_id,path,label,split\na,../../secret.mp4,x,train\nb,b.mp4,x,validation\n"
    (fresh.folder / "list.csv").write_text(lines)
    assert "list.csv: row 2" in output_of(fresh)
