"""Two starts on the same results, and starts after one that was killed."""

import errno
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lgdnet import one_start
from lgdnet.errors import InputError

START = """
import sys
from pathlib import Path
from lgdnet import one_start
one_start.take(Path(sys.argv[1]), "x.log", beat_sec=float(sys.argv[2]))
print("at work", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "results/c" / one_start.NAME


@pytest.fixture
def other(path):
    """A process that is at work; it counts every twentieth of a second."""
    process = subprocess.Popen(
        [sys.executable, "-c", START, str(path), "0.05"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout and process.stdout.readline() == "at work\n"
    yield process
    process.kill()
    process.communicate()


def of_another_machine(path: Path) -> None:
    """As if its locks were not seen here."""
    holder = json.loads(path.read_text())
    path.unlink()
    path.write_text(json.dumps({**holder, "host": "login7"}).ljust(one_start.WIDTH))


def test_two_living_ones_exclude_each_other(path, other):
    with pytest.raises(
        InputError, match=rf"another snakemake is at work on these results \(process {other.pid} on"
    ):
        one_start.take(path, "y.log")
    assert one_start.holder(path).log == "x.log"


def test_one_that_was_killed_keeps_nobody_out(path, other, capsys):
    other.send_signal(signal.SIGKILL)
    other.wait()
    one_start.take(path, "y.log")
    assert one_start.holder(path).log == "y.log" and capsys.readouterr().err == ""  # and none waits


def test_one_that_ended_says_so(path, other):
    other.communicate()
    assert other.returncode == 0 and one_start.holder(path).ended


def test_one_that_counts_on_another_machine_excludes_this_one(path, other, monkeypatch):
    monkeypatch.setattr(one_start.socket, "gethostname", lambda: "elsewhere")
    monkeypatch.setattr(one_start.fcntl, "flock", lambda *_: None)
    with pytest.raises(InputError, match="another snakemake is at work"):
        one_start.take(path, "y.log", silent_sec=60)


def test_one_that_was_killed_on_another_machine_is_watched_and_then_replaced(path, other, capsys):
    other.kill()
    other.wait()
    of_another_machine(path)
    one_start.take(path, "y.log", silent_sec=0.3)
    assert "on login7, since" in capsys.readouterr().err and one_start.holder(path).log == "y.log"


def test_where_there_are_no_locks_the_count_decides(path, other, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(one_start.fcntl, "flock", no_locks)
    with pytest.raises(InputError, match="another snakemake is at work"):
        one_start.take(path, "y.log", silent_sec=60)
    other.kill()
    other.wait()
    one_start.take(path, "y.log", silent_sec=0.3)
    assert one_start.holder(path).log == "y.log"


def test_results_that_cannot_be_written_are_named(tmp_path):
    (tmp_path / "results").write_text("a file")
    with pytest.raises(InputError, match=r"results/c/\.at-work: Not a directory"):
        one_start.take(tmp_path / "results/c" / one_start.NAME, "y.log")
