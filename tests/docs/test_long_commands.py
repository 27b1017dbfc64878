"""Commands of the pages that compute for minutes, install, need real data or a terminal: typed by `make test-long`.

Real data: LGDNET_REAL_DATA names the folder with `manifest.csv`, `flow/flyingchairs` and the clips of `odd/`.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.request import urlopen

import pytest
import torch
import yaml

from tests.docs.elsewhere import LONG, left_to
from tests.docs.pages import ROOT

pytestmark = [pytest.mark.long, pytest.mark.timeout(7200)]

REAL_DATA = Path(os.environ.get("LGDNET_REAL_DATA", "/nowhere"))
CLIPS = ("v_BaseballPitch_g01_c01.avi", "mmaction2_demo.mp4", "mmaction2_test.mp4", "v_GGSY1Qvo990.mp4")
IN_A_SHELL_OF_ITS_OWN = re.compile("git clone|python3 -m venv|tmux|tensorboard|.*folds.smk|.*test_demo")
ALONE = [command for command in left_to(LONG) if not IN_A_SHELL_OF_ITS_OWN.match(command)]
NEEDED = {"make dag": "dot", "conda": "conda", "LGDNET_FINISHED": "chromium"}


def lacking(command: str) -> str | None:
    """What this machine does not have."""
    if "data/" in command or "clips/" in command:
        return None if REAL_DATA.is_dir() else "LGDNET_REAL_DATA names no folder of real data"
    if "models_gpu" in command:
        return None if torch.cuda.is_available() else "no CUDA device here"
    if "-m gpu" in command:
        return None if torch.cuda.is_available() else "no CUDA device here"
    if "augment" in command:
        return None if find_spec("kornia") else "kornia is not installed"
    for begin, program in NEEDED.items():
        if command.startswith(begin):
            return None if shutil.which(program) else f"{program} is not installed"
    return None


@pytest.mark.parametrize("command", ALONE)
def test_a_command_that_stands_alone(command, project):
    if reason := lacking(command):
        pytest.skip(reason)
    if REAL_DATA.is_dir():
        link_real_data(project.folder)
    picture = project.folder / "docs/dag.svg"
    if command == "make dag":
        picture.unlink()
    done = project.run(command.replace("NAME", "sample"), timeout_sec=7000, one_thread=False)
    print(done.stdout[-6000:], done.stderr[-3000:])
    assert done.returncode == 0
    if command == "make dag":
        drawn = picture.read_text()
        assert all(f">{rule}<" in drawn for rule in ("manifest", "train", "dump", "leaderboard"))


def link_real_data(project: Path) -> None:
    """Where the pages say that it lies."""
    (project / "data/clips").symlink_to(REAL_DATA)
    (project / "data/flyingchairs").symlink_to(REAL_DATA / "flow/flyingchairs")
    (project / "clips").mkdir()
    for clip in CLIPS:
        (project / "clips" / clip).with_suffix(".mp4").symlink_to(REAL_DATA / "odd" / clip)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no repository to clone")
def test_a_clone_with_an_environment_of_its_own(tmp_path):
    """Both lines in one shell, as the page has them: the second is typed in the folder that the first went to."""
    clone, install = (
        next(command for command in left_to(LONG) if command.startswith(begin))
        for begin in ("git clone", "python3 -m venv")
    )
    clone = clone.replace("<this repository>", shlex.quote(str(ROOT)))
    script = f"{clone}\n{install}\n.venv/bin/lgdnet models --help\n.venv/bin/snakemake --version"
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        ["bash", "-ec", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "lgdnet/Snakefile").exists()


def test_all_folds_of_a_data_set_with_the_layout_of_ucf101(project):
    """The challenge as it ships, but small; videos of the sample under the names and lists of UCF101."""
    write_ucf101(project.folder)
    [command] = [command for command in left_to(LONG) if "folds.smk" in command]
    done = project.run(command)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    table = (project.folder / "results/ucf101/folds.csv").read_text()
    assert "frame16" in table
    for fold in (1, 2, 3):
        assert (project.folder / f"results/ucf101-fold{fold}/leaderboard.csv").exists()


def write_ucf101(project: Path) -> None:
    path = project / "challenges/ucf101.yaml"
    challenge = yaml.safe_load(path.read_text())
    challenge["stream_defaults"]["backbone"] = "lgd-p3d-resnet18"
    challenge["stream_defaults"] |= {"width": 4, "short_side": 36, "crop": 32, "dump": {"num_clips": 2}}
    challenge["stream_defaults"]["train"] |= {"epochs": 1, "batch_size": 2}
    challenge["media"]["short_side"] = 36
    path.write_text(yaml.safe_dump(challenge, sort_keys=False))
    lists = project / "ucfTrainTestlist"
    lists.mkdir()
    names = {"cooking": "Cooking", "sawing": "Sawing"}
    rows = {"train": [], "test": []}
    for label, name in names.items():
        (project / "UCF-101" / name).mkdir(parents=True)
        for split, part in (("train", "train"), ("validation", "test")):
            for number, video in enumerate(sorted((project / f"mine/by-folder/{split}/{label}").iterdir())):
                group = 10 + number + 10 * (part == "train")
                row = f"{name}/v_{name}_g{group}_c01.avi"
                shutil.copy(video, project / "UCF-101" / row)
                rows[part].append(row)
    numbers = {name: number for number, name in enumerate(sorted(names.values()), 1)}
    (lists / "classInd.txt").write_text("".join(f"{number} {name}\n" for name, number in numbers.items()))
    for fold in (1, 2, 3):
        lines = "".join(f"{row} {numbers[row.split('/')[0]]}\n" for row in rows["train"])
        (lists / f"trainlist0{fold}.txt").write_text(lines)
        (lists / f"testlist0{fold}.txt").write_text("".join(f"{row}\n" for row in rows["test"]))


@pytest.mark.skipif(
    not (ROOT / "results/sample/leaderboard.csv").exists(), reason="`make demo` has not run here"
)
def test_what_the_demo_has_to_reach():
    """In this folder, of the whole demo: the project of the other tests is trained for a moment only."""
    [command] = [command for command in left_to(LONG) if "test_demo" in command]
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    print(done.stdout[-6000:])
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout


@pytest.mark.skipif(not (shutil.which("tmux") and shutil.which("script")), reason="tmux is not installed")
def test_a_session_of_tmux_that_is_left_and_come_back_to(tmp_path):
    new, attach = (command for command in left_to(LONG) if command.startswith("tmux"))
    env = {**os.environ, "TMUX_TMPDIR": str(tmp_path), "TERM": "xterm", "SHELL": "/bin/sh"}
    env.pop("TMUX", None)

    def terminal(command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["script", "-qec", command, "/dev/null"],
            cwd=tmp_path, env=env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    first = terminal(new)
    type_in(first, "echo $$ > shell\n", until=tmp_path / "shell")
    type_in(first, "\x02d")  # control B, d: leave
    assert first.wait(60) == 0
    second = terminal(attach)
    type_in(second, "echo $$ > again; exit\n", until=tmp_path / "again")
    assert second.wait(60) == 0
    assert (tmp_path / "again").read_text() == (tmp_path / "shell").read_text()


def type_in(terminal: subprocess.Popen[bytes], keys: str, *, until: Path | None = None) -> None:
    time.sleep(2)  # tmux drops what is typed before it has drawn its screen
    terminal.stdin.write(keys.encode())
    terminal.stdin.flush()
    last = time.monotonic() + 60
    while until and not (until.exists() and until.read_text()):
        assert time.monotonic() < last, f"{until.name} was not written"
        time.sleep(0.1)


def test_tensorboard_shows_the_curves_until_it_is_stopped(project):
    [command] = [command for command in left_to(LONG) if command.startswith("tensorboard")]
    served = subprocess.Popen(
        ["bash", "-c", f"exec {command}"],
        cwd=project.folder, env=project.environment(), start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        last = time.monotonic() + 120
        while not (runs := shown_by_tensorboard()):
            assert served.poll() is None and time.monotonic() < last, "tensorboard shows nothing"
            time.sleep(0.5)
    finally:
        os.killpg(served.pid, signal.SIGTERM)
        output = served.communicate(timeout=60)[0]
    assert "http://localhost:6006" in output
    assert any("frame16" in run for run in runs)


def shown_by_tensorboard() -> list[str]:
    """The runs that it has found so far."""
    try:
        with urlopen("http://127.0.0.1:6006/data/runs", timeout=10) as answer:
            return json.load(answer)
    except OSError:
        return []
